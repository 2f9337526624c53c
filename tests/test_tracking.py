"""What loggers get of a run, of one that is killed and resumed too; MLflow and Weights & Biases without a network."""

import csv
import os
import re
import shutil
import signal
import time

import pytest
from conftest import QUIET, run_command, start_training
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.util import tensor_util

import digits.config
from digits.config import CONFIGS, mistakes_in
from digits.reporting.tracking import FIGURES, loggers_of
from digits.run_folder import RunFolder

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow", "ignore:The ``noload``")
SMALL = ["data=mnist_5k", "data.train_size=800", "data.batch_size=20", "model=linear", "run_folder=run", *QUIET]
EPOCH = 40  # steps
UNSTEADY = ["model.learning_rate=0.3", "model.schedule=constant", "seed=1"]  # so the best epoch is the second of three
LOGGERS = ["logger=[csv,tensorboard,mlflow,wandb]", "logger.wandb.offline=true"]
LOGGED = [*SMALL, *UNSTEADY, *LOGGERS, "trainer.log_every_n_steps=1"]


def stop_in_second_epoch(cwd, number, *arguments):
    """Start a run with all loggers and send it a signal."""
    file, end = cwd / "run" / "csv" / "metrics.csv", time.monotonic() + 120
    with (cwd / "printed.txt").open("w") as output:
        process = start_training(*LOGGED, *arguments, cwd=cwd, output=output)
        while not file.exists() or len(rows(cwd / "run")) < 2.5 * EPOCH:  # two rows a step
            assert process.poll() is None and time.monotonic() < end, (cwd / "printed.txt").read_text()
            time.sleep(0.005)
        os.kill(process.pid, number)
        process.wait()


def status(cwd):
    """What MLflow says of the only run there."""
    (run,) = mlflow_runs(cwd)
    return run.info.status


def client_of(cwd):
    from mlflow.tracking import MlflowClient  # imports much, which the other tests do not need

    return MlflowClient(f"sqlite:///{cwd}/outputs/mlflow.db")


def mlflow_runs(cwd):
    client = client_of(cwd)
    return client.search_runs([client.get_experiment_by_name("digits").experiment_id])


def wandb_runs(run):
    """The id and the exit codes, none without an end, of each part of a run in W&B."""
    for file in sorted(run.glob("wandb/offline-run-*/run-*.wandb")):
        codes = re.findall(r"got exitcode: (\d+)", (file.parent / "logs" / "debug.log").read_text())
        yield file.stem.removeprefix("run-"), codes


def points(run):
    """The steps and values of each chart of a run in TensorBoard."""
    shown = EventMultiplexer(tensor_size_guidance={"scalars": 0}).AddRunsFromDirectory(str(run)).Reload()
    (name,) = shown.Runs()
    charts = shown.PluginRunToTagToContent("scalars")[name]
    return {
        tag: [(event.step, tensor_util.make_ndarray(event.tensor_proto).item()) for event in shown.Tensors(name, tag)]
        for tag in charts
    }


def rows(run):
    with (run / "csv" / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """Two folders with the same run: in the second it was killed in its second epoch, and resumed."""
    whole, killed = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("killed")
    done = run_command("train.py", *LOGGED, "trainer.max_epochs=3", cwd=whole)
    assert done.returncode == 0, done.stderr
    stop_in_second_epoch(killed, signal.SIGKILL, "trainer.max_epochs=3")
    assert max(int(row["step"]) for row in rows(killed / "run")) > EPOCH
    assert status(killed) == "RUNNING"
    done = run_command("train.py", "resume=run", *QUIET, cwd=killed)
    assert done.returncode == 0, done.stderr
    return whole, killed


def test_a_resumed_run_has_the_rows_of_metrics_csv_that_a_whole_run_has(resumed):
    whole, killed = (rows(folder / "run") for folder in resumed)
    assert [row["epoch"] for row in killed if row["val/accuracy"]] == ["0", "1", "2"]
    assert killed == whole


@pytest.mark.parametrize("step, kept", [(None, ["0", "1"]), (1, ["0"])])
def test_rows_stay_but_for_those_that_are_trained_again(tmp_path, step, kept):
    """None are after a search, when its best trial is tested."""
    node = {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": str(tmp_path), "name": "csv", "version": ""}
    config = OmegaConf.create({"logger": {"csv": node}})
    logger = loggers_of(config, {})["csv"]
    logger.log_metrics({"loss": 0.5}, 0)
    logger.log_metrics({"loss": 0.25, "accuracy": 0.75}, 1)
    logger.save()
    loggers_of(config, {}, step)
    assert [row["step"] for row in rows(tmp_path)] == kept


def test_tensorboard_shows_each_step_of_a_resumed_run_once(resumed):
    whole, killed = (points(folder / "run") for folder in resumed)
    assert len(whole["loss/train"]) == 3 * EPOCH and len(whole["loss/val"]) == 3 + 1
    assert killed == whole


def test_tables_of_runs_show_the_figures_of_the_epoch_that_was_kept(resumed):
    """They show the last value: of the largest step in MLflow, the last one in TensorBoard."""
    whole, _ = resumed
    metrics, charts, (run,) = RunFolder(whole / "run").metrics(), points(whole / "run"), mlflow_runs(whole)
    assert metrics.kept_epoch == 1, "neither the first nor the last"
    kept = metrics.model_dump(by_alias=True, include=FIGURES)
    in_tensorboard = {"accuracy/val": "val/accuracy", "loss/val": "val/loss"} | {
        name: name for name in ("test/accuracy", "test/loss", "test/ece")
    }
    for chart, name in in_tensorboard.items():
        assert charts[chart][-1] == (3 * EPOCH, pytest.approx(kept[name])), name
    assert {name: run.data.metrics[name] for name in kept} == pytest.approx(kept)
    history = client_of(whole).get_metric_history(run.info.run_id, "val/accuracy")
    assert [point.step for point in history] == [EPOCH - 1, 2 * EPOCH - 1, 3 * EPOCH - 1, 3 * EPOCH]
    for name in ("test/accuracy", "fit_seconds"):
        (point,) = client_of(whole).get_metric_history(run.info.run_id, name)
        assert point.step == 3 * EPOCH


def test_tables_show_the_best_epoch_of_each_trial_of_a_search(command, tmp_path):
    search = ["search=custom", "search.trials=2", "model.weight_decay=choice(0.05,0.051)", "trainer.max_epochs=3"]
    done = command("train.py", "-m", *search, *SMALL[:3], *UNSTEADY, "model=linear", "logger=mlflow", *QUIET)
    assert done.returncode == 0, done.stderr
    trials = [RunFolder(file.parent).record() for file in tmp_path.glob("outputs/sweeps/*/?/run.json")]
    shown = {run.info.run_id: run.data.metrics["val/accuracy"] for run in mlflow_runs(tmp_path)}
    assert len(trials) == len(shown) == 2
    for trial in trials:
        assert trial.value("val/accuracy") > trial.history[-1].val_accuracy
        assert shown[trial.tracked["mlflow"]] == pytest.approx(trial.value("val/accuracy"), abs=0.01)


def test_a_closed_form_has_no_point_before_its_validation(command, tmp_path):
    done = command("train.py", "data=mnist_5k", "model=pixel_similarity", "run_folder=run", *QUIET)
    assert done.returncode == 0, done.stderr
    (validated, kept), (tested,) = (points(tmp_path / "run")[chart] for chart in ("accuracy/val", "test/accuracy"))
    assert validated[0] < kept[0] == tested[0]


def test_mlflow_and_wandb_go_on_with_the_run_that_is_resumed(resumed):
    _, killed = resumed
    assert status(killed) == "FINISHED"
    (run,) = mlflow_runs(killed)
    assert run.data.metrics["test/accuracy"] > 0.4
    (first, no_end), (second, end) = wandb_runs(killed / "run")
    assert (first, no_end, end) == (second, [], ["0"])
    assert RunFolder(killed / "run").record().tracked == {"mlflow": run.info.run_id, "wandb": first}


def test_mlflow_and_wandb_are_told_how_a_run_ended(command, tmp_path):
    stop_in_second_epoch(tmp_path, signal.SIGTERM, "trainer.max_epochs=1000")
    assert status(tmp_path) == "KILLED"
    (tmp_path / "run" / "report").write_text("in the way")
    done = command("train.py", "resume=run", "trainer.max_epochs=2")
    assert done.returncode == 1 and status(tmp_path) == "FAILED", done.stderr
    (tmp_path / "run" / "report").unlink()
    done = command("train.py", "resume=run", "trainer.max_epochs=3")  # a setting that MLflow has already, with 2
    assert (done.returncode, status(tmp_path)) == (0, "FINISHED"), done.stderr
    assert [codes for _, codes in wandb_runs(tmp_path / "run")] == [["255"], ["1"], ["0"]]


def test_a_run_that_mlflow_does_not_know_is_new_there(resumed, command, tmp_path):
    whole, _ = resumed
    run = RunFolder(shutil.copytree(whole / "run", tmp_path / "run"))
    run.record_file.write_text(run.record_file.read_text().replace('"finished"', '"running"', 1))
    done = command("train.py", "resume=run")
    assert done.returncode == 0 and "MLflow has no run" in done.stdout, done.stderr
    assert status(tmp_path) == "FINISHED" and rows(run.path) == rows(whole / "run")


def test_mlflow_and_wandb_get_settings_figures_model_and_report_of_each_job(command, tmp_path):
    short = ("data=mnist_5k", "data.train_size=500", "model=linear", "trainer.max_epochs=1", "name=first")
    loggers = ("logger=[tensorboard,mlflow,wandb]", "logger.wandb.offline=true", "trainer.log_every_n_steps=2")
    done = command("train.py", "-m", *loggers, *short, *QUIET, "seed=1,2")
    assert done.returncode == 0, done.stderr
    runs = mlflow_runs(tmp_path)
    assert sorted(run.data.params["seed"] for run in runs) == ["1", "2"]
    for run in runs:
        assert (run.info.run_name, run.info.status) == ("first", "FINISHED")
        assert run.data.params.items() >= {"learning_rate": "0.001", "data.train_size": "500"}.items()
        assert run.data.metrics["test/accuracy"] > 0.4 and "train/loss" in run.data.metrics
        kept = {path.name for path in tmp_path.glob(f"outputs/mlflow/{run.info.run_id}/artifacts/**/*")}
        assert kept >= {"model.onnx", "index.html", "metrics.json"}
    for job in ("0", "1"):
        (log,) = tmp_path.glob(f"outputs/sweeps/*/{job}/wandb/offline-run-*/run-*.wandb")
        for word in (b"first", b"data.train_size", b"test/accuracy", b"train/loss", b"model.onnx", b"index.html"):
            assert word in log.read_bytes(), word
        assert list(tmp_path.glob(f"outputs/sweeps/*/{job}/tensorboard/**/events*"))


@pytest.mark.parametrize("logger", ["mlflow", "wandb"])
def test_a_tracker_that_is_not_installed_is_named_with_its_extra(monkeypatch, logger):
    monkeypatch.setattr(digits.config, "find_spec", lambda package: None)
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        mistakes = mistakes_in(compose("train", [f"logger={logger}"], return_hydra_config=True))
    assert mistakes == [f"logger={logger}: not installed; pip install -e '.[{logger}]' installs it"]


def test_a_run_of_few_steps_logs_some_of_them(command, tmp_path):
    short = ("data=mnist_5k", "data.train_size=640", "model=linear", "trainer.max_epochs=1", "run_folder=run", *QUIET)
    done = command("train.py", *short, "logger=csv")
    assert (done.returncode, done.stderr) == (0, "")
    steps = [int(row["step"]) for row in rows(tmp_path / "run") if row["train/loss"]]
    assert steps == [1, 3, 5, 7, 9], "every second of ten"
