"""The jobs of a sweep and the trials of a search: a numbered folder each, run by Hydra's launcher."""

import shutil
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

from filelock import FileLock

from digits.cli import print_error
from digits.errors import DigitsError
from digits.record import read_record

Launch = Callable[..., Any]  # of Hydra's launcher: a list of jobs, and the number of the first one


def job_lock(folder: Path, number: int) -> FileLock:
    """The lock that a process of a parallel launcher holds while it runs a job of the sweep in `folder`.

    The process may outlive its driver for a moment.
    """
    (folder / ".locks").mkdir(exist_ok=True)
    return FileLock(folder / ".locks" / f"{number}.job")


def delete_job(folder: Path, number: int) -> None:
    """Delete the folder of a job, once no process works in it any more."""
    with job_lock(folder, number):
        if (folder / str(number)).exists():
            shutil.rmtree(folder / str(number))


def launch_jobs(launch: Launch, folder: Path, jobs: dict[int, list[str]]) -> None:
    """Run jobs, each under its number.

    Args:
        launch: numbers the jobs it is given upwards, so that it takes only consecutive ones.
        folder: of the sweep.
        jobs: the overrides of each job, by its number.
    """
    for _, numbered in groupby(enumerate(sorted(jobs)), key=lambda pair: pair[1] - pair[0]):
        numbers = [number for _, number in numbered]
        try:
            launch([jobs[number] for number in numbers], initial_job_idx=numbers[0])
        except Exception as error:  # a process of the launcher died, perhaps for lack of memory
            if len(numbers) == 1:
                print_error(DigitsError(f"#{numbers[0]}: {str(error).splitlines()[0]}"))
                continue
            for number in numbers:  # one by one they take less
                if read_record(folder / str(number)).status in ("not begun", "running"):
                    delete_job(folder, number)
                    launch_jobs(launch, folder, {number: jobs[number]})
