"""A numbered folder for each job or trial, run by Hydra's launcher, here or in a process of its own."""

import multiprocessing
import os
import shutil
import threading
import time
from collections.abc import Callable
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from digits.cli import print_error
from digits.errors import DigitsError
from digits.record import read_record

Launch = Callable[..., Any]  # of Hydra's launcher: a list of jobs, and the number of the first one

_locks: dict[str, FileLock] = {}  # held by this process: a GPU until it ends, a job until it begins the next


def launch_jobs(launch: Launch, folder: Path, jobs: dict[int, list[str]]) -> None:
    """Run the jobs of a sweep, given as overrides by number."""
    # a launcher numbers the jobs it is given upwards, so each call takes only consecutive ones
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


def delete_job(folder: Path, number: int) -> None:
    """Delete the folder of a job, once no process works in it any more."""
    with _job_lock(folder, number):
        if (folder / str(number)).exists():
            shutil.rmtree(folder / str(number))


def begin_job(folder: Path, number: int) -> None:
    """Make this process ready for the job `number` of the sweep in `folder`; the driver itself needs nothing.

    Threads need no care: the launcher gives each process its share of the cores.
    """
    if driver := multiprocessing.parent_process():
        _end_with(driver.pid)
        if "job" in _locks:
            _locks["job"].release()
        _locks["job"] = _job_lock(folder, number)
        _locks["job"].acquire()
        choose_gpu(folder)


def _job_lock(folder: Path, number: int) -> FileLock:
    """What a process of a parallel launcher holds while it runs a job. It may outlive its driver for a moment."""
    (folder / ".locks").mkdir(exist_ok=True)
    return FileLock(folder / ".locks" / f"{number}.job")


@cache
def _end_with(driver: int | None) -> None:
    """End this process when its driver has ended: a killed driver cannot, and the next one starts the job again."""

    def watch() -> None:
        while os.getppid() == driver:
            time.sleep(0.1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@cache
def choose_gpu(folder: Path) -> None:
    """Let this process see one GPU that no other process of the sweep uses; if all are used, it shares the first."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = visible.split(",") if visible else [str(index) for index in range(torch.cuda.device_count())]
    for gpu in gpus:
        lock = free_lock(folder / ".locks" / f"gpu-{gpu}")
        if lock:
            os.environ["CUDA_VISIBLE_DEVICES"] = gpu
            _locks[f"gpu-{gpu}"] = lock
            return


def free_lock(path: Path) -> FileLock | None:
    """Take a lock, which is kept while the object lives and released even by SIGKILL; None if it is not free."""
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock
