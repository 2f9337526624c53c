"""Train a job of a sweep in several processes, all below one new process."""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from digits.run_folder import RunFolder
from digits.training.ranks import forget_rank
from plain_errors import PlainError

TRAIN = Path(__file__).parents[3] / "train.py"


def train_apart(cfg: DictConfig) -> float | None:
    """Train in a new process, which ends when this one does. Lightning starts the other ranks as its children.

    As children of this process, each of them would run the whole sweep.

    Returns:
        val/accuracy of the best checkpoint; None in a dry run or without validation.

    Raises:
        PlainError: the process failed; the message is the last line of its output.
    """
    folder, hydra = RunFolder(HydraConfig.get().runtime.output_dir), HydraConfig.get()
    if folder.last.exists():  # a cluster has put the job back into its queue
        overrides = [f"resume={folder.path}"]
    else:
        folder.record_file.unlink(missing_ok=True)
        overrides = [*hydra.overrides.task, f"run_folder='{folder.path}'", f"run_label='{hydra.job.name}'"]
    forget_rank()
    done = subprocess.run(
        [sys.executable, TRAIN, *overrides],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_end_with_parent if sys.platform == "linux" else None,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"its process ended with {done.returncode}"]
        raise PlainError(lines[-1].removeprefix("error: "))
    if not folder.metrics_file.exists():  # a dry run
        return None
    return folder.metrics().val_accuracy


def _end_with_parent() -> None:
    """Have the kernel kill this process when its parent ends. A parent that is killed cannot do that itself."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() == 1:  # the parent has already ended
        os._exit(1)
