"""Run a job in several processes, all below one new process."""

import ctypes
import os
import signal
import subprocess
import sys

from plain_errors import PlainError


def run_apart(command: list[str]) -> None:
    """Run a command, which ends when this process does. It starts the other processes of the job as its children.

    As children of this process, each of them would run the whole sweep.

    Raises:
        PlainError: the command failed; the message is the last line of its output.
    """
    done = subprocess.run(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_end_with_parent if sys.platform == "linux" else None,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"its process ended with {done.returncode}"]
        raise PlainError(lines[-1].removeprefix("error: "))


def _end_with_parent() -> None:
    """Have the kernel kill this process when its parent ends. A parent that is killed cannot do that itself."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() == 1:  # the parent has already ended
        os._exit(1)
