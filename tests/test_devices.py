"""One CPU process and its memory; two as one run."""

import json
import os
import platform
import subprocess
import sys

import pytest
import torch
from conftest import QUIET, run_command, run_folders

from digits.data.mnist_5k import Mnist5k
from digits.training.checkpoints import load_model

FAULTS = """
import resource, torch
from digits.training.trainer import Trainer

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(1 << 24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults() + faults())
Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
print(min(faults() for _ in range(4)))  # small blocks may take a corner of the first
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_memory_that_a_step_frees_is_there_for_the_next_one():
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    usual, kept = map(int, done.stdout.split())
    assert kept < 0.1 * usual, "the kernel had to clear pages of 64 MB again"


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """One run on two processes: its folder."""
    cwd = tmp_path_factory.mktemp("two")
    done = run_command(
        "train.py",
        *("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "data=mnist_5k", "model=cnn"),
        *("trainer.max_epochs=3", "trainer.precision=32-true", *QUIET),
        cwd=cwd,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert [line for line in lines if "Initializing distributed" not in line] == [], "no library warns"
    folders = run_folders(cwd)
    assert len(folders) == 1, "one run, one folder"
    return folders[0]


def test_report_is_of_the_same_kind(two):
    metrics = json.loads((two / "report" / "metrics.json").read_text())
    assert metrics["onnx"]["samples"] == 1000, "the test split is counted once"
    assert sum(map(sum, metrics["confusion_matrix"])) == 1000
    assert metrics["test/accuracy"] > 0.9
    best = max(metrics["history"], key=lambda row: row["val/accuracy"])
    assert metrics["val/accuracy"] == pytest.approx(best["val/accuracy"], abs=1e-6)
    assert metrics["val/loss"] == pytest.approx(best["val/loss"], rel=1e-5), "ranks judged different models"
    assert json.loads((two / "run.json").read_text())["status"] == "finished"
    assert (two / "report" / "index.html").exists() and (two / "model.onnx").exists()


def test_steps_are_shared(two):
    """3,500 samples in batches of 64 on each of two ranks are 28 steps an epoch."""
    checkpoint = torch.load(two / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 3 * 28


def test_calibration_is_by_all_validation_digits(two):
    model, data = load_model(two / "checkpoints" / "best.ckpt"), Mnist5k(val_size=500)
    data.setup()
    found = model.sharpness.item()
    with torch.no_grad():
        model.calibrate(model.scores(data.val_images / 255), data.val_labels, smoothing=1 / 500)
    assert model.sharpness.item() == pytest.approx(found, rel=1e-3)


def test_log_is_written_once(two):
    lines = (two / "train.log").read_text().splitlines()
    assert [line for line in lines if "epoch 1:" in line] == [line for line in lines if ": epoch 1:" in line]
    assert sum("epoch 1:" in line for line in lines) == 1


def test_a_run_on_a_machine_with_slurm_says_nothing_of_it(command, tmp_path):
    """Lightning warns where it finds `srun` and is not started by it."""
    srun = tmp_path / "bin" / "srun"
    srun.parent.mkdir()
    srun.touch(mode=0o755)
    path = os.pathsep.join([str(srun.parent), os.environ["PATH"]])
    done = command("train.py", "data=mnist_5k", "model=linear", "trainer.fast_dev_run=true", *QUIET, PATH=path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("left_over", [{"RANK": "1"}, {"LOCAL_RANK": "1"}, {"SLURM_PROCID": "2", "SLURM_NTASKS": "4"}])
def test_rank_variables_do_not_make_a_rank_of_a_run_on_one_device(command, tmp_path, left_over):
    done = command("train.py", "data=mnist_5k", "model=linear", "trainer.fast_dev_run=true", *QUIET, **left_over)
    assert (done.returncode, done.stderr) == (0, "") and "dry run" in done.stdout
    (folder,) = run_folders(tmp_path)
    assert '"finished"' in (folder / "run.json").read_text()


def test_a_sweep_on_several_devices_is_refused(command):
    done = command("train.py", "-m", "trainer=ddp", "seed=1,2", "data=mnist_5k")
    assert done.returncode == 2
    assert "a sweep trains each job on one device; take trainer=default trainer.devices=1" in done.stderr
