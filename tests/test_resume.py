"""Killed, interrupted, resumed: nothing is lost and nothing differs."""

import os
import shutil
import signal
import subprocess
import time

import pytest
import torch
from conftest import QUIET, run_command, start_training

from digits.run_folder import RunFolder

pytestmark = pytest.mark.slow

# Dropout, augmentation, one_cycle, two optimizers in one, a mean of the weights and a best epoch that is not the last:
# all that a resume could get wrong.
LEARN = ["model=mlp", "optimizer=muon", "model.augmentation.rotation=10", "callbacks=averaged"]
LEARN += ["trainer.max_epochs=6"]
RUN = ["data=mnist_5k", *LEARN, "seed=2", *QUIET]
ENDLESS = ["trainer.max_epochs=1000", "callbacks.early_stopping.patience=1000"]


def signalled(cwd, *arguments, after, number):
    """Start a run in a process group of its own and send it a signal once its log says `after`.

    Return the process group, the exit code and what was printed; whatever is left is killed.
    """
    output = cwd / "printed.txt"
    with output.open("w") as file:
        process = start_training(*RUN, *arguments, cwd=cwd, output=file)
    try:
        deadline = time.monotonic() + 120
        while not any(after in log.read_text() for log in cwd.glob("outputs/*/*/train.log")):
            assert process.poll() is None and time.monotonic() < deadline, output.read_text()
            time.sleep(0.02)
        os.kill(process.pid, number)
        code = process.wait(timeout=60)
        deadline = time.monotonic() + 5
        while alive(process.pid) and time.monotonic() < deadline:
            time.sleep(0.1)
        return bool(alive(process.pid)), code, output.read_text()
    finally:
        if alive(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def alive(group):
    """The processes of a group, but for dead ones that nobody has waited for."""
    states = subprocess.run(["ps", "-e", "-o", "pgid=,stat="], capture_output=True, text=True, check=True).stdout
    return [line for line in states.splitlines() if line.split()[0] == str(group) and "Z" not in line.split()[1]]


def weights(path):
    return torch.load(path, weights_only=True)["state_dict"]


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    "overrides, line",
    [
        (["model.dropout=0.5"], "model.dropout=0.5: cannot be changed when "),
        (["data=mnist"], "data=mnist: cannot be changed when "),
        ([], "resume: the run in "),
    ],
)
def test_resuming_a_run_as_another_one_or_a_finished_one_is_refused(quickstart, command, tmp_path, overrides, line):
    folder = tmp_path / "run"
    shutil.copytree(quickstart, folder)
    if overrides:  # as if it had been killed
        (folder / "run.json").write_text((folder / "run.json").read_text().replace('"finished"', '"running"', 1))
    done = command("train.py", f"resume={folder}", *overrides)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.removeprefix("error: ").startswith(line)


def test_a_run_that_still_runs_is_not_resumed(tmp_path):
    with (tmp_path / "printed.txt").open("w") as file:
        process = start_training(*RUN, *ENDLESS, "run_folder=run", cwd=tmp_path, output=file)
    try:
        end = time.monotonic() + 120
        while not (tmp_path / "run/checkpoints/last.ckpt").exists():
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.1)
        done = run_command("train.py", "resume=run", cwd=tmp_path)
        assert (done.returncode, done.stderr.count("\n"), process.poll()) == (2, 1, None)
        assert done.stderr == "error: resume: the run in run still runs; wait for its end, or stop it first\n"
    finally:
        process.kill()
        process.wait()
    done = run_command("train.py", "resume=run", "trainer.max_epochs=1", cwd=tmp_path)
    assert "still runs" not in done.stderr


def test_a_run_that_another_process_holds_is_not_touched(quickstart, command, tmp_path):
    """It may finish while the command that is refused still checks: its run.json must not be put back."""
    run = RunFolder(shutil.copytree(quickstart, tmp_path / "run"))
    run.record_file.write_text(run.record_file.read_text().replace('"finished"', '"running"', 1))
    files = [run.record_file, *run.path.glob(".hydra/*.yaml")]
    before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in files]
    run.hold()
    done = command("train.py", "resume=run", *QUIET)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "still runs" in done.stderr
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in files] == before


def test_a_refused_resume_leaves_the_run_as_it_was(quickstart, command, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(quickstart, folder)
    (folder / "run.json").write_text((folder / "run.json").read_text().replace('"finished"', '"running"', 1))
    texts = {path: path.read_text() for path in [folder / "run.json", *folder.glob(".hydra/*.yaml")]}
    done = command("train.py", "resume=run", "trainer.max_epochs=3", *QUIET)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "trainer.max_epochs: got a run of" in done.stderr
    assert len(texts) == 4 and {path: path.read_text() for path in texts} == texts


def test_resume_into_a_run_of_another_length_is_refused(quickstart, command):
    last = quickstart / "checkpoints" / "last.ckpt"
    done = command("train.py", "experiment=quickstart", "trainer.max_epochs=3", f"ckpt_path={last}", *QUIET)
    assert done.returncode == 2
    assert "trainer.max_epochs: got a run of 165 steps" in done.stderr


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_leave_no_process_of_several_behind(tmp_path, number, code):
    several = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")
    left, found, printed = signalled(tmp_path, *several, *ENDLESS, after="epoch 2:", number=number)
    assert (left, found) == (False, code), printed


def test_a_finished_run_is_trained_longer_or_says_how(command, tmp_path):
    small = ["model=linear", "data=mnist_5k", "data.train_size=500", *QUIET]

    def train(folder, *arguments):
        return command("train.py", *small, f"run_folder={folder}", *arguments)

    stopping = ["callbacks.early_stopping.patience=1", "+callbacks.early_stopping.min_delta=1"]
    assert train("constant", "model.schedule=constant", "trainer.max_epochs=5", *stopping).returncode == 0
    assert len(RunFolder(tmp_path / "constant").record().history) == 2
    longer = ["model.schedule=constant", "trainer.max_epochs=4", "ckpt_path=constant/checkpoints/last.ckpt"]
    done = train("a", *longer)
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    assert "early stopping ended this run" in done.stderr and "~callbacks.early_stopping" in done.stderr
    done = train("b", *longer, "~callbacks.early_stopping")
    assert done.returncode == 0, done.stderr
    assert len(RunFolder(tmp_path / "b").record().history) == 4

    cycle = "model.schedule=one_cycle"
    assert train("one_cycle", cycle, "trainer.max_epochs=1").returncode == 0
    done = train("c", cycle, "trainer.max_epochs=2", "ckpt_path=one_cycle/checkpoints/last.ckpt")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "take the settings of that run, or begin a new run without it" in done.stderr
    done = command("train.py", "resume=one_cycle")
    assert done.returncode == 2 and "has finished; to train longer, begin a run" in done.stderr


def test_a_student_of_a_run_is_resumed_bit_for_bit_and_outlives_its_teacher(quickstart, command, tmp_path):
    teacher = shutil.copytree(quickstart, tmp_path / "teacher")
    small = ["model=mlp", "data=mnist_5k", "data.train_size=500", "model.augmentation.rotation=10", *QUIET]
    small += ["model.schedule=constant", "model.teacher=teacher"]

    def train(folder, *arguments):
        return command("train.py", *small, f"run_folder={folder}", *arguments)

    assert train("first", "trainer.max_epochs=1").returncode == 0
    assert train("whole", "trainer.max_epochs=2").returncode == 0
    done = train("resumed", "trainer.max_epochs=2", "ckpt_path=first/checkpoints/last.ckpt")
    assert done.returncode == 0, done.stderr
    assert train("labels", "trainer.max_epochs=2", "model.teacher=null").returncode == 0
    whole, resumed, other = (
        weights(tmp_path / name / "checkpoints" / "last.ckpt") for name in ("whole", "resumed", "labels")
    )
    assert same(whole, resumed) and not same(whole, other) and whole.keys() == other.keys()

    done = train("pair", "data.classes=[3,7]", "data.val_size=50")
    assert done.returncode == 2 and "teacher knows the digits [0, 1, 2" in done.stderr
    done = train("refusing", "trainer.max_epochs=1", "data.non_digits=100")
    assert done.returncode == 0, "what a teacher cannot know, labels say: " + done.stderr
    shutil.rmtree(teacher)
    assert command("scripts/evaluate.py", "whole").returncode == 0
    done = train("orphan")
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    assert "model.teacher: teacher has no best.ckpt" in done.stderr
