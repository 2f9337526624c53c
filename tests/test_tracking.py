"""What loggers get of a run, of one that is killed and resumed too; MLflow and Weights & Biases without a network."""

import csv
import os
import signal
import time

import pytest
from conftest import QUIET, run_command, start_training
from hydra import compose, initialize_config_dir
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.util import tensor_util

import digits.config
from digits.config import CONFIGS, mistakes_in

SMALL = ["data=mnist_5k", "data.train_size=800", "data.batch_size=5", "model=linear", "run_folder=run", *QUIET]
EPOCH = 160  # steps


def rows(run):
    with (run / "csv" / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """Two folders with the same run: in the second it was killed in its second epoch, and resumed."""
    whole, killed = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("killed")
    run = [*SMALL, "trainer.max_epochs=3", "trainer.log_every_n_steps=1", "logger=[csv,tensorboard]"]
    done = run_command("train.py", *run, cwd=whole)
    assert done.returncode == 0, done.stderr
    file, end = killed / "run" / "csv" / "metrics.csv", time.monotonic() + 120
    with (killed / "printed.txt").open("w") as output:
        process = start_training(*run, cwd=killed, output=output)
        while not file.exists() or len(rows(killed / "run")) < 2.5 * EPOCH:  # two rows a step
            assert process.poll() is None and time.monotonic() < end, (killed / "printed.txt").read_text()
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert max(int(row["step"]) for row in rows(killed / "run")) > EPOCH
    done = run_command("train.py", "resume=run", *QUIET, cwd=killed)
    assert done.returncode == 0, done.stderr
    return whole, killed


def test_a_resumed_run_has_the_rows_of_metrics_csv_that_a_whole_run_has(resumed):
    whole, killed = (rows(folder / "run") for folder in resumed)
    assert [row["epoch"] for row in killed if row["val/accuracy"]] == ["0", "1", "2"]
    assert killed == whole


def test_tensorboard_shows_each_step_of_a_resumed_run_once(resumed):
    def points(run):
        shown = EventMultiplexer(tensor_size_guidance={"scalars": 0}).AddRunsFromDirectory(str(run)).Reload()
        (name,) = shown.Runs()
        return {
            tag: [(event.step, tensor_util.make_ndarray(event.tensor_proto)) for event in shown.Tensors(name, tag)]
            for tag in ("accuracy/val", "loss/train", "loss/val", "train/lr-AdamW", "test/accuracy")
        }

    whole, killed = (points(folder / "run") for folder in resumed)
    assert len(whole["loss/train"]) == 3 * EPOCH and len(whole["loss/val"]) == 3
    assert killed == whole


@pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow", "ignore:The ``noload``")
def test_mlflow_and_wandb_get_settings_figures_model_and_report_of_each_job(command, tmp_path):
    from mlflow.tracking import MlflowClient  # imports much, which the other tests do not need

    short = ("data=mnist_5k", "data.train_size=500", "model=linear", "trainer.max_epochs=1", "name=first")
    loggers = ("logger=[tensorboard,mlflow,wandb]", "logger.wandb.offline=true", "trainer.log_every_n_steps=2")
    done = command("train.py", "-m", *loggers, *short, *QUIET, "seed=1,2")
    assert done.returncode == 0, done.stderr
    client = MlflowClient(f"sqlite:///{tmp_path}/outputs/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("digits").experiment_id])
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
