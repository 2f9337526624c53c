"""A process that runs a job beside others: it ends when its driver ends, and has a GPU of its own."""

import multiprocessing
import os
import threading
import time
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

from digits.sweeping.jobs import job_lock

# held until the process ends, or begins its next job
_gpus: list[FileLock] = []
_jobs: list[FileLock] = []


def begin_job(folder: Path, number: int) -> None:
    """Make this process ready for a job; nothing to do where it is the driver itself.

    Threads need no care: the launcher gives each process its share of the cores.

    Args:
        folder: of the sweep.
        number: of the job.
    """
    if driver := multiprocessing.parent_process():
        _end_with(driver.pid)
        _lock_job(folder, number)
        choose_gpu(folder)


@cache
def _end_with(driver: int | None) -> None:
    """End this process when its driver has ended: a killed driver cannot, and the next one starts the job again."""

    def watch() -> None:
        while os.getppid() == driver:
            time.sleep(0.1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _lock_job(folder: Path, number: int) -> None:
    while _jobs:
        _jobs.pop().release()
    _jobs.append(job_lock(folder, number))
    _jobs[0].acquire()


@cache
def choose_gpu(folder: Path) -> None:
    """Let this process see one GPU that no other process of the sweep uses; if all are used, it shares the first."""
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
