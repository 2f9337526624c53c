"""Two CPU processes as one run."""

import json

import pytest
import torch
from conftest import QUIET, run_command, run_folders


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """One run on two processes: its folder."""
    cwd = tmp_path_factory.mktemp("two")
    done = run_command(
        "train.py",
        *("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "data=mnist_5k", "model=mlp"),
        *("trainer.max_epochs=3", "trainer.precision=32-true", *QUIET),
        cwd=cwd,
    )
    assert done.returncode == 0, done.stderr
    folders = run_folders(cwd)
    assert len(folders) == 1, "one run, one folder"
    return folders[0]


def test_report_is_of_the_same_kind(two):
    metrics = json.loads((two / "report" / "metrics.json").read_text())
    assert metrics["onnx"]["samples"] == 1000, "the test split is counted once"
    assert sum(map(sum, metrics["confusion_matrix"])) == 1000
    assert metrics["test/accuracy"] > 0.9
    assert metrics["val/accuracy"] == pytest.approx(max(row["val/accuracy"] for row in metrics["history"]), abs=1e-6)
    assert json.loads((two / "run.json").read_text())["status"] == "finished"
    assert (two / "report" / "index.html").exists() and (two / "model.onnx").exists()


def test_steps_are_shared(two):
    """3,500 samples in batches of 64 on each of two ranks are 28 steps an epoch."""
    checkpoint = torch.load(two / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 3 * 28


def test_log_is_written_once(two):
    lines = (two / "train.log").read_text().splitlines()
    assert [line for line in lines if "epoch 1:" in line] == [line for line in lines if ": epoch 1:" in line]
    assert sum("epoch 1:" in line for line in lines) == 1


def test_a_sweep_on_several_devices_is_refused(command):
    done = command("train.py", "-m", "trainer=ddp", "seed=1,2", "data=mnist_5k")
    assert done.returncode == 2
    assert "a sweep trains each job on one device; take trainer=default trainer.devices=1" in done.stderr
