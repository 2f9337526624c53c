"""What a run leaves behind: the contract that other people's scripts rely on."""

import csv
import hashlib
import json
import os
import pty
import re
import shutil
import termios
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml
from conftest import QUIET, run_command, run_folders, start_training

from digits.data.mnist_5k import Mnist5k
from digits.run_folder import RunFolder

FILES = """
    .hydra/config.yaml .hydra/overrides.yaml run.json train.log checkpoints/best.ckpt checkpoints/last.ckpt
    tensorboard model.onnx report/index.html report/metrics.json report/confusion_matrix.png report/mistakes.png
    report/predictions.csv
"""
METRICS = """
    model test/accuracy test/loss test/ece val/accuracy per_class confusion_matrix parameters fit_seconds
    train_images_per_second dataset onnx checkpoint_sha256 seed
"""


@pytest.fixture(scope="session")
def metrics(quickstart):
    return json.loads((quickstart / "report" / "metrics.json").read_text())


def test_the_config_of_a_former_version_is_read_in_todays_words(quickstart, tmp_path):
    run = RunFolder(shutil.copytree(quickstart, tmp_path / "run"))
    now, text = run.config(), (run.path / ".hydra" / "config.yaml").read_text()
    former = yaml.safe_load(text)
    best = {"_target_": "digits.training.checkpoints.BestCheckpoint", "monitor": former.pop("monitor"), "mode": "max"}
    history = {"_target_": "digits.training.callbacks.History"}
    former["callbacks"] = {"best": best, **former["callbacks"], "history": history}
    former["model"]["optimizer"] = "muon"
    del former["model"]["_recursive_"]
    (run.path / ".hydra" / "config.yaml").write_text(yaml.safe_dump(former))
    assert run.config() == now and now.monitor == "val/accuracy"
    record = json.loads(run.record_file.read_text())
    run.record_file.write_text(json.dumps(record | {"config": former}))
    assert run.record().config["model"] == record["config"]["model"]


@pytest.fixture(scope="session")
def test_split():
    data = Mnist5k(val_size=500)
    data.setup()
    return data.test_images.float() / 255, data.test_labels


def test_every_file_of_the_contract_is_there(quickstart):
    for name in FILES.split():
        assert (quickstart / name).exists(), name
    assert re.fullmatch(r"\d\d-\d\d-\d\d_cnn", quickstart.name)
    assert not list(quickstart.rglob(".*.ckpt*")), "a temporary file was left behind"


def test_run_json(quickstart):
    record = json.loads((quickstart / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["git"]["commit"] is None or re.fullmatch(r"[0-9a-f]{40}", record["git"]["commit"])
    assert {"setup", "fit", "test", "export", "report"} == record["seconds"].keys()
    assert record["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert record["hardware"]["cores"] >= 1


def test_metrics_json(quickstart, metrics):
    assert set(METRICS.split()) <= metrics.keys()
    assert metrics["model"] == "cnn" and metrics["seed"] == 0
    assert metrics["dataset"]["name"] == "mnist_5k"
    assert [metrics["dataset"][split] for split in ("train", "val", "test")] == [3500, 500, 1000]
    assert "not the official test split" in metrics["dataset"]["test_split"]
    confusion = np.array(metrics["confusion_matrix"])
    assert confusion.sum(axis=1).tolist() == [100] * 10
    assert metrics["test/accuracy"] == pytest.approx(np.trace(confusion) / 1000)
    recall = [scores["recall"] for scores in metrics["per_class"].values()]
    assert recall == pytest.approx((np.diag(confusion) / 100).tolist())
    checkpoint = (quickstart / "checkpoints" / "best.ckpt").read_bytes()
    assert metrics["checkpoint_sha256"] == hashlib.sha256(checkpoint).hexdigest()
    assert metrics["test/accuracy"] > 0.93


def test_onnx_file_alone_reads_digits(quickstart, metrics, test_split):
    """A user divides pixels by 255 and feeds them; nothing else."""
    images, labels = test_split
    session = onnxruntime.InferenceSession(quickstart / "model.onnx")
    (entry,) = session.get_inputs()
    assert (entry.name, entry.type, entry.shape[1:]) == ("images", "tensor(float)", [1, 28, 28])
    assert [output.name for output in session.get_outputs()] == ["logits", "probabilities"]
    for batch in (1, 3, 1000):
        logits, probabilities = session.run(None, {"images": images[:batch].numpy()})
        assert logits.shape == probabilities.shape == (batch, 10)
    assert (probabilities.argmax(axis=1) == labels.numpy()).mean() == pytest.approx(metrics["test/accuracy"])
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(1000), abs=1e-5)


def test_onnx_file_is_sound_and_says_what_it_is(quickstart, metrics):
    model = onnx.load(quickstart / "model.onnx", load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(facts["classes"]) == list(range(10))
    assert facts["model"] == "cnn"
    assert facts["checkpoint_sha256"] == metrics["checkpoint_sha256"]
    assert float(facts["test_accuracy"]) == metrics["test/accuracy"]
    assert "ink 1" in facts["input"]
    assert metrics["onnx"]["argmax_agreement"] == 1.0
    assert metrics["onnx"]["max_abs_diff"] <= 1e-4
    assert metrics["onnx"]["samples"] == 1000
    assert metrics["onnx"]["bytes"] == (quickstart / "model.onnx").stat().st_size
    content = (quickstart / "model.onnx").read_bytes()
    assert b".py" not in content and b"/site-packages" not in content, "a path of this machine is inside"


def test_predictions_csv(quickstart, metrics, test_split):
    with (quickstart / "report" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["label"]) for row in rows] == test_split[1].tolist()
    right = sum(row["label"] == row["prediction"] for row in rows) / len(rows)
    assert right == pytest.approx(metrics["test/accuracy"])
    assert all(sum(float(row[f"p{digit}"]) for digit in range(10)) == pytest.approx(1, abs=1e-4) for row in rows)


def test_page_opens_from_disk_alone(quickstart):
    page = (quickstart / "report" / "index.html").read_text()
    assert set(re.findall(r"https?://[^/\"]+", page)) <= {"http://www.w3.org"}, "an address that is no XML namespace"
    assert not re.search(r"src=[\"'](?!data:|#)|<link", page), "something is fetched from outside"
    for link in re.findall(r"href=[\"']([^\"'#]+)", page):
        assert (quickstart / "report" / link).is_file(), link
    assert page.count("data:image/png;base64,") > 5
    for words in ("Confusion matrix", "Worst mistakes", "as sure as it should be", "python ", "SHA-256", "<svg"):
        assert words in page
    assert "undefined" not in page and "nan" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.S)


def test_tensorboard_has_everything(quickstart):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(quickstart / "tensorboard" / "quickstart"))
    events.Reload()
    tags = events.Tags()
    fit = {"loss/train", "loss/val", "accuracy/val", "train/lr-Muon"}
    assert set(tags["scalars"]) == fit | {"test/accuracy", "test/loss", "test/ece"}
    assert {"test/confusion_matrix", "test/mistakes"} <= set(tags["images"])
    assert {f"precision_recall/{digit}" for digit in range(10)} <= set(tags["tensors"])
    assert tags["graph"]
    plugins = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    assert b"learning_rate" in plugins and b"data.batch_size" in plugins
    assert "_hparams_/experiment" not in events.summary_metadata, "TensorBoard would take it for all runs"


def test_terminal_ends_with_a_short_table_and_no_warning(quickstart):
    printed = (quickstart / "stdout.txt").read_text()
    for words in ("test accuracy", "test loss", "fit", "report/index.html", "model.onnx"):
        assert words in printed
    assert (quickstart / "stderr.txt").read_text() == ""


def test_terminal_begins_with_what_is_done_and_has_a_line_for_each_epoch(quickstart):
    lines = (quickstart / "stdout.txt").read_text().splitlines()
    assert lines[0] == "experiment quickstart   model cnn   data mnist_5k   loading PyTorch …"
    assert lines[1] == f"folder {quickstart.relative_to(quickstart.parents[2])}"
    assert re.fullmatch(r"94,186 parameters   1 x (cpu|cuda:0|mps:0), (32-true|bf16-mixed)", lines[2])
    figures = r"loss \d\.\d{3}   val (\d\d\.\d\d %)   best (\d\d\.\d\d %) \((\d)\)   \d+\.\d s"
    first, second = (re.fullmatch(f"epoch {epoch} of 2   {figures}", lines[2 + epoch]).groups() for epoch in (1, 2))
    assert first == (first[0], first[0], "1") and second[1:] in ((second[0], "2"), (first[0], "1"))
    shown = quickstart.relative_to(quickstart.parents[2])
    assert lines[-3:] == [
        f"{shown}/model.onnx",
        f"to draw for it: digits serve {shown}",
        "to see its curves: make tensorboard",
    ]
    assert f"{shown}/report/index.html" in lines
    assert max(map(len, lines)) <= 80, "nothing is broken inside a word"
    assert "epoch 1:" in (quickstart / "train.log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_has_one_bar_which_is_gone_at_the_end(tmp_path, columns):
    """What a run draws on a terminal of so many columns; no validation, so none is shown."""
    driver, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (40, columns))
    words = ["data=mnist_5k", "model=linear", "data.val_size=0", "trainer.max_epochs=3"]
    process = start_training(*words, cwd=tmp_path, output=terminal, TERM="xterm-256color")
    os.close(terminal)
    drawn = b"".join(iter(partial(read, driver), b"")).decode()
    os.close(driver)
    assert process.wait() == 0 and "left" in drawn and "\x1b[?25l" in drawn
    assert drawn.rindex("\x1b[?25h") < drawn.index("testing the best epoch"), "the cursor is back, the bar is gone"
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn).replace("\r", "\n").splitlines()
    assert len([line for line in shown if re.fullmatch(r"epoch \d of 3   loss \d\.\d{3}   \d\.\d s", line)]) == 3
    assert max(map(len, (line for line in shown if "left" in line))) <= columns
    (folder,) = run_folders(tmp_path)
    assert {f"{folder.relative_to(tmp_path)}/{name}" for name in ("model.onnx", "report/index.html")} <= set(shown)


def read(descriptor):
    """What a terminal has to read; nothing when its program has ended."""
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""


def test_evaluate_and_export_again_from_the_folder(quickstart, metrics, tmp_path):
    """Moved elsewhere, its report gone, then its ONNX file, the run comes out the same."""
    run = tmp_path / "moved"
    shutil.copytree(quickstart, run)
    (run / "report" / "index.html").unlink()
    done = run_command("scripts/evaluate.py", str(run), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "report" / "metrics.json").read_text()) == metrics
    there = str(quickstart.relative_to(quickstart.parents[2]))  # on its page are commands for its folder
    page = re.sub(f"(?<=[ =]){there}", run.name, (quickstart / "report" / "index.html").read_text())
    assert (run / "report" / "index.html").read_text() == page
    (run / "model.onnx").unlink()
    done = run_command("scripts/export.py", str(run), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (run / "model.onnx").stat().st_size == metrics["onnx"]["bytes"]
    assert "100.00 %" in done.stdout


def test_a_copy_without_its_config_files_is_as_good(quickstart, metrics, command, tmp_path):
    """run.json has the whole config: evaluate, export, compare and resume need nothing else."""
    run = shutil.copytree(quickstart, tmp_path / "run", ignore=shutil.ignore_patterns(".hydra"))
    (run / "model.onnx").unlink()
    for words in (["scripts/evaluate.py", "run"], ["scripts/export.py", "run"], ["scripts/compare.py", "run"]):
        done = command(*words)
        assert (done.returncode, done.stderr) == (0, ""), words
    assert json.loads((run / "report" / "metrics.json").read_text()) == metrics
    assert "predicts correctly" in (tmp_path / "comparison.html").read_text()
    record = run / "run.json"
    record.write_text(record.read_text().replace('"finished"', '"running"', 1))  # as if it had been killed
    done = command("train.py", "resume=run", *QUIET)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(record.read_text())["status"] == "finished"
    assert json.loads((run / "report" / "metrics.json").read_text())["test/accuracy"] == metrics["test/accuracy"]
    assert str(quickstart) not in (run / ".hydra" / "config.yaml").read_text()


def test_a_folder_without_any_config_is_refused(command, tmp_path):
    (tmp_path / "run.json").write_text('{"status": "finished"}')
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "metrics.json").write_text("{}")
    done = command("scripts/evaluate.py", str(tmp_path))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "no config in run.json, and no .hydra/config.yaml" in done.stderr


def test_a_name_with_a_slash_is_one_folder_of_tensorboard(command, tmp_path):
    done = command(
        "train.py", "data=mnist_5k", "model=linear", "trainer.max_epochs=1", "name=a/b", "run_folder=r", *QUIET
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in (tmp_path / "r" / "tensorboard").iterdir()] == ["a-b"]
    assert RunFolder(tmp_path / "r").record().name == "a/b"


def test_hydras_own_key_names_the_folder_too(command, tmp_path):
    done = command(
        "train.py", "data=mnist_5k", "model=linear", "trainer.fast_dev_run=true", "hydra.run.dir=mine", *QUIET
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "mine" / "run.json").exists() and not (tmp_path / "outputs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name, codes", [([], [0, 0]), (["run_folder=outputs/2026-01-01/mine"], [0, 2])])
def test_two_runs_in_one_instant_do_not_share_a_folder(tmp_path, name, codes):
    """A name of the user's own must be free; one of ours gives way."""
    arguments = ["data=mnist_5k", "model=linear", "trainer.fast_dev_run=true", *QUIET, *name]
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(run_command, "train.py", *arguments, cwd=tmp_path) for _ in range(2)]
    assert sorted(run.result().returncode for run in runs) == codes
    assert len(run_folders(tmp_path)) == codes.count(0)


@pytest.mark.slow
def test_half_an_epoch_counts_as_half_its_images(tmp_path):
    half = ["data=mnist_5k", "model=linear", "trainer.max_epochs=2", "trainer.limit_train_batches=0.5"]
    done = run_command("train.py", *half, *QUIET, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = run_folders(tmp_path)
    metrics = json.loads((folder / "report" / "metrics.json").read_text())
    train = metrics["dataset"]["train"]
    assert [row["images"] for row in metrics["history"]] == pytest.approx([train / 2] * 2, rel=0.08)
    rate = sum(row["images"] for row in metrics["history"]) / metrics["fit_seconds"]
    assert metrics["train_images_per_second"] == pytest.approx(rate)


def test_early_stopping_says_why_in_terminal_log_and_report(command, tmp_path):
    still = [
        "model=linear",
        "model.learning_rate=1e-12",
        "data=mnist_5k",
        "data.train_size=500",
        "trainer.max_epochs=9",
    ]
    done = command("train.py", *still, "callbacks.early_stopping.patience=2", "run_folder=run", *QUIET)
    assert done.returncode == 0, done.stderr
    line = "stopped after epoch 3: val/accuracy did not rise for 2 epochs; the best is epoch 1"
    assert done.stdout.splitlines().count(line) == 1
    assert (tmp_path / "run" / "train.log").read_text().count(line) == 1
    assert line in (tmp_path / "run" / "report" / "index.html").read_text()
    assert RunFolder(tmp_path / "run").record().early_stop == line

    at_once = ["+callbacks.early_stopping.stopping_threshold=0", "run_folder=at_once"]
    done = command("train.py", *still, *at_once, *QUIET)
    assert re.search(r"^stopped after epoch 1: Stopping threshold reached: val/accuracy = \S+ > 0; ", done.stdout, re.M)
    done = command("train.py", *still, "run_folder=whole", "trainer.max_epochs=2", *QUIET)
    assert done.returncode == 0 and "stopped after" not in done.stdout
