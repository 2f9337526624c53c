"""A small run, and ways to have it killed."""

import hashlib
import os
import time
from pathlib import Path

import torch
from conftest import QUIET, ROOT
from forked import Forked

KILLED_AT = str(ROOT / "tests/faults/killed_at.py")
TRAIN = str(ROOT / "train.py")
# Shuffled batches, dropout, augmentation, one_cycle, two optimizers in one, a mean of the weights and a best epoch that
# is not the last: all that a resume could get wrong.
LEARN = ["model=mlp", "model.hidden=[64]", "optimizer=muon", "model.augmentation.rotation=10", "callbacks=averaged"]
EPOCHS = 4
RUN = ["data=mnist_5k", "data.train_size=500", "data.val_size=200", *LEARN, f"trainer.max_epochs={EPOCHS}", "seed=2"]
RUN += ["trainer.log_every_n_steps=2", "logger=[csv,tensorboard]", "run_folder=run", *QUIET]
LAST = "run/checkpoints/last.ckpt"


def sha256_of_weights(run):
    """Of all weights in last.ckpt and best.ckpt."""
    found = hashlib.sha256()
    for name in ("last.ckpt", "best.ckpt"):
        checkpoint = torch.load(run / "checkpoints" / name, weights_only=True)
        for key, tensor in sorted((checkpoint["state_dict"] | checkpoint.get("current_model_state", {})).items()):
            found.update(f"{name} {key} {tensor.dtype} {tuple(tensor.shape)}".encode() + tensor.numpy().tobytes())
    return found.hexdigest()


def cpu_seconds(pid):
    """Of a running process. Unlike time, it does not depend on what else the machine does."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def begun(cwd, *words, session=False):
    """A script under way in `cwd`, which prints into printed.txt."""
    with (cwd / "printed.txt").open("w") as file:
        return Forked([*words], cwd, (file, file), session=session)


def wait_for(process, happened, cwd):
    """Wait until something has happened in a process that still runs."""
    end = time.monotonic() + 120
    while not happened():
        assert process.poll() is None and time.monotonic() < end, (cwd / "printed.txt").read_text()
        time.sleep(0.002)


def kill_while_it_trains(cwd, arguments, seconds):
    """Start a run and kill it after some seconds of work that follow its first checkpoint."""
    process = begun(cwd, TRAIN, *arguments)
    wait_for(process, (cwd / LAST).exists, cwd)
    start = cpu_seconds(process.pid)
    wait_for(process, lambda: cpu_seconds(process.pid) >= start + seconds, cwd)
    process.kill()
    return process.wait()


def kill_at(cwd, how, number, *words, part="/checkpoints", start=LAST):
    """Run a script that is killed at an event of the files of its checkpoints, see killed_at.py."""
    return begun(cwd, KILLED_AT, how, str(number), part, start, *words).wait(120)
