"""One CPU process and its memory; two as one run."""

import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import QUIET, ROOT, run_command, run_folders
from test_sweep import driver, wait_for

from digits.data.mnist_5k import Mnist5k
from digits.run_folder import RunFolder
from digits.training.checkpoints import load_model
from digits.training.trainer import Trainer

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


def test_a_step_on_a_cpu_does_not_look_for_a_gpu(monkeypatch):
    monkeypatch.setenv("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # as `import lightning` does
    Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    assert "PYTORCH_NVML_BASED_CUDA_CHECK" not in os.environ


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


def test_several_tasks_of_slurm_without_srun_are_refused_at_once(command, tmp_path):
    """As in a script that sbatch has started."""
    slurm = {"SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "train.sh", "SLURM_NTASKS": "2", "SLURM_PROCID": "0"}
    done = command("train.py", *TWO, "model=linear", **slurm)
    line = "error: trainer.devices: got 2 in a job of Slurm; put srun in front of python, to start its tasks\n"
    assert (done.returncode, done.stderr, list(tmp_path.iterdir())) == (2, line, [])


def test_a_warning_that_is_not_known_is_shown(command, tmp_path):
    warn = "import warnings, atexit; import digits.training\n"
    warn += "for text in ('the folder exists and is not empty', 'Checkpoint directory x exists and is not empty.'):\n"
    warn += "    warnings.warn(text)\n"
    done = subprocess.run([sys.executable, "-c", warn], capture_output=True, text=True)
    assert "the folder exists and is not empty" in done.stderr and "Checkpoint" not in done.stderr


TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "data=mnist_5k", *QUIET)
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", str(ROOT / "train.py"))


@pytest.mark.slow
def test_the_ranks_of_torchrun_share_one_folder(tmp_path):
    pattern = "run_folder=" + str(tmp_path / "runs" / "${now:%S-%f}")  # another name for each rank
    command = [*TORCHRUN, *TWO, "model=linear", "trainer.max_epochs=1", pattern]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert RunFolder(folder).record().status == "finished" and (folder / "model.onnx").exists()


# Rank 1 begins late, and rank 0 sees late that it has heard. As soon as rank 1 has ended, torchrun ends rank 0.
LATE = """
import os, time
sleep = time.sleep
if os.environ.get("RANK") == "0":
    time.sleep = lambda seconds: sleep(seconds + 3)
elif os.environ.get("RANK") == "1":
    sleep(2)
"""


@pytest.mark.slow
def test_torchrun_for_one_device_is_refused_once(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(LATE)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [*TORCHRUN, "data=mnist_5k", "model=linear", "trainer.accelerator=cpu"]
    environment = os.environ | {"PYTHONPATH": path}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode != 0 and not run_folders(tmp_path)
    assert done.stderr.count("error: trainer.devices: got 1, but torchrun or srun has started 2 processes") == 1


@pytest.mark.slow
def test_each_job_of_a_sweep_has_two_processes_and_a_dead_one_ends_its_job_only(tmp_path):
    sweep = tmp_path / "sweep"
    arguments = ("-m", *TWO, "model=mlp", "seed=1,2", "trainer.max_epochs=1,400", f"hydra.sweep.dir={sweep}")
    with driver(tmp_path, *arguments) as process:  # jobs 0 and 2 are short, 1 and 3 are long
        wait_for(process, (sweep / "1/checkpoints/last.ckpt").exists, tmp_path)
        os.kill(ranks_above_0(sweep / "1")[0], signal.SIGKILL)
        began = time.monotonic()
        wait_for(process, lambda: RunFolder(sweep / "1").record().status == "failed", tmp_path)
        assert time.monotonic() - began < 30
        wait_for(process, (sweep / "3/checkpoints/last.ckpt").exists, tmp_path)
        assert ranks_above_0(sweep / "3")
        process.kill()
        deadline = time.monotonic() + 30
        while ranks_above_0(sweep / "3"):
            assert time.monotonic() < deadline, "a process outlives its killed driver"
            time.sleep(0.1)
    statuses = [RunFolder(sweep / str(number)).record().status for number in range(4)]
    assert statuses == ["finished", "failed", "finished", "running"]
    assert [RunFolder(sweep / number).record().config["seed"] for number in ("0", "2")] == [1, 2]


def ranks_above_0(folder):
    """The processes that Lightning has started for a job."""
    commands = {path.parent.name: path for path in Path("/proc").glob("[0-9]*/cmdline")}
    found = []
    for pid, path in commands.items():
        with contextlib.suppress(OSError):
            if str(folder) in path.read_text() and "LOCAL_RANK=1" in path.with_name("environ").read_text():
                found.append(int(pid))
    return found


def test_a_search_on_several_devices_is_refused(command):
    done = command("train.py", "-m", "search=mlp", "trainer=ddp", "data=mnist_5k")
    assert done.returncode == 2
    assert "a search trains each trial on one device; take trainer=default trainer.devices=1" in done.stderr
