"""A sweep on a Slurm cluster: its jobs outlive the driver, so the queue says which of them still run."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from hydra.plugins.launcher import Launcher

from atomic_files import write_text
from plain_errors import ConfigError, PlainError

POLL = 2.0  # seconds from one look at the queue to the next


def on_slurm(config: Any) -> bool:
    """Whether a composed config sends its jobs to Slurm."""
    return str(config.hydra.launcher["_target_"]).endswith(".SlurmLauncher")


class Queue:
    """The jobs of one sweep in Slurm's queue.

    Each array of jobs carries a comment: the sweep's folder, and the number of its first job.
    """

    def __init__(self, folder: Path, launcher: Callable[..., Launcher]) -> None:
        self.name, self.comment, self.launcher = folder.name, f"{folder.resolve()} ", launcher
        logging.getLogger("submitit").addFilter(lambda record: False)  # it warns again and again of missing accounts

    def __call__(self, jobs: list[list[str]], initial_job_idx: int) -> None:
        """Send jobs to Slurm, and return once they are in the queue.

        Raises:
            ConfigError: sbatch refuses them.
        """
        launcher = self.launcher(name=self.name, comment=f"{self.comment}{initial_job_idx}")
        failed: list[Exception] = []

        def launch() -> None:
            try:  # it also waits for the results, forever if Slurm has no accounting
                launcher.launch(jobs, initial_job_idx)
            except Exception as error:
                failed.append(error)

        thread = threading.Thread(target=launch, daemon=True)
        thread.start()
        while thread.is_alive() and initial_job_idx not in self.numbers():
            time.sleep(POLL / 4)
        if failed:
            reason = str(failed[0]).strip().splitlines()[-1]
            raise ConfigError(f"hydra.launcher: Slurm does not take the jobs ({reason})")

    def numbers(self) -> set[int]:
        """The numbers of the jobs that wait or run."""
        command = ["squeue", "--me", "--noheader", "--array", "--format=%K|%k"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            reason = getattr(error, "stderr", "") or str(error)
            raise PlainError(f"squeue: {reason.strip()}; the jobs run on, the same command waits for them") from error
        found = set()
        for line in done.stdout.splitlines():
            index, _, comment = line.partition("|")
            if comment.startswith(self.comment):
                found.add(int(comment.removeprefix(self.comment)) + (int(index) if index.isdigit() else 0))
        return found

    def wait(self, numbers: Iterable[int]) -> Iterator[int]:
        """Yield each of the jobs once it has left the queue."""
        left = set(numbers)
        while left:
            queued = self.numbers()
            yield from sorted(left - queued)
            left &= queued
            time.sleep(POLL if left else 0)


def claim_job(folder: Path, number: int) -> None:
    """In a job of Slurm: end this process if another running job of Slurm has claimed the sweep's job.

    This happens if two drivers start at once on two machines whose file system has no locks.
    """
    if os.environ.get("SUBMITIT_EXECUTOR") != "slurm":
        return
    array, claim = os.environ.get("SLURM_ARRAY_JOB_ID"), folder / ".locks" / f"{number}.slurm"
    own = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]
    claim.parent.mkdir(exist_ok=True)
    try:
        with claim.open("x") as file:  # of two, one succeeds, on every file system
            file.write(own)
    except FileExistsError:
        other = claim.read_text()
        if other != own and subprocess.run(["squeue", "--noheader", f"--jobs={other}"], capture_output=True).stdout:
            sys.exit(f"Slurm's job {other} already runs this job")
        write_text(claim, own)
