"""A job in a process of its own, beside others: it ends when its driver does, and has a GPU to itself."""

import multiprocessing
import os
import threading
import time
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

from digits.sweeping.grid import job_lock

# held until the process ends, or begins its next job
_gpus: list[FileLock] = []
_jobs: list[FileLock] = []


def begin_job(folder: Path, number: int) -> None:
    """Make this process ready for a job; nothing where it is the driver itself.

    Threads need no care: the launcher gives each process its share of the cores.

    Args:
        folder: of the sweep.
        number: of the job.
    """
    if driver := multiprocessing.parent_process():
        _follow(driver.pid)
        _own_job(folder, number)
        _own_gpu(folder)


@cache
def _follow(driver: int | None) -> None:
    """A driver that is killed cannot tell its processes; they would go on writing where another one begins again."""

    def watch() -> None:
        while os.getppid() == driver:
            time.sleep(0.1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _own_job(folder: Path, number: int) -> None:
    while _jobs:
        _jobs.pop().release()
    _jobs.append(job_lock(folder, number))
    _jobs[0].acquire()


@cache
def _own_gpu(folder: Path) -> None:
    """Let this process see one GPU that no other of this sweep has; where there are fewer, the rest share the first."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = visible.split(",") if visible else [str(index) for index in range(torch.cuda.device_count())]
    for gpu in gpus:
        lock = FileLock(folder / ".locks" / f"gpu-{gpu}")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            continue
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
        _gpus.append(lock)
        return
