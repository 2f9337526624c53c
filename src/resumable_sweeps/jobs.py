"""A numbered folder for each job or trial, run by Hydra's launcher, here or in a process of its own."""

import multiprocessing
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Collection
from functools import cache
from itertools import groupby, product
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from hydra.core.override_parser.overrides_parser import OverridesParser

from digits.record import Epoch
from digits.run_folder import RunFolder
from digits.settings import short
from plain_errors import PlainError, print_error
from resumable_sweeps.slurm import claim_job

Launch = Callable[..., Any]  # of Hydra's launcher: a list of jobs, and the number of the first one

_locks: dict[str, FileLock] = {}  # held by this process: of its GPU until it ends, of its job until the next job


def launch_jobs(launch: Launch, folder: Path, jobs: dict[int, list[str]], varied: Collection[str]) -> None:
    """Run the jobs of a sweep, given as overrides by number, which differ in the keys `varied`."""
    # a launcher numbers the jobs it is given upwards, so each call takes only consecutive ones
    for _, numbered in groupby(enumerate(sorted(jobs)), key=lambda pair: pair[1] - pair[0]):
        numbers = [number for _, number in numbered]
        try:
            names = [f"hydra.job.name='{job_name(jobs[number], varied)}'" for number in numbers]
            overrides = [[*jobs[number], name] for number, name in zip(numbers, names, strict=True)]
            launch(overrides, initial_job_idx=numbers[0])
        except PlainError:  # Slurm refuses them
            raise
        except Exception as error:  # a process of the launcher died, perhaps for lack of memory
            if len(numbers) == 1:
                print_error(PlainError(f"#{numbers[0]}: {str(error).splitlines()[0]}"))
                continue
            for number in numbers:  # run one at a time, they need less memory
                if RunFolder(folder / str(number)).record().status in ("not begun", "running"):
                    delete_job(folder, number)
                    launch_jobs(launch, folder, {number: jobs[number]}, varied)


def job_name(overrides: list[str], varied: Collection[str]) -> str:
    """A job's own name, experiment and model, and its values of the keys `varied`."""
    pairs = [(each.get_key_element(), each.value()) for each in OverridesParser.create().parse_overrides(overrides)]
    named = {key: str(value) for key, value in pairs if key in ("name", "experiment", "model")}
    swept = [(key, value) for key, value in pairs if key.lstrip("+") in varied and key not in named]
    words = named | {key: f"{key.split('.')[-1]}={short(value)}" for key, value in swept}
    return re.sub(r"[^\w.,=+ -]+", "", " ".join(words.values()))[:100]  # a folder's name, and Hydra can read it


def print_job(folder: Path, number: int, total: int, name: str, metric: str, end: str) -> None:
    """Print how a job ended (its value or `end`), how many jobs have ended, and about how long the others take."""
    records = [RunFolder(folder / str(each)).record() for each in range(max(total, number + 1))]
    ended = [each for each in records if each.status in ("finished", "pruned", "failed")]
    values = [value_of(each.history, metric) for each in records if each.status == "finished"]
    best = (min if metric == "val/loss" else max)((each for each in values if each is not None), default=None)
    value = None if end else value_of(records[number].history, metric)
    if value is not None:
        end = f"val {100 * value:.2f} %" if metric == "val/accuracy" else f"{metric} {value:.4f}"
    seconds = [sum(each.seconds.values()) for each in (records[number], *ended)]
    words = [f"{len(ended)} of {total}   #{number} {name}", end or "dry run or not validated", f"{seconds[0]:.1f} s"]
    words += ["best so far"] * (value is not None and value == best)
    at_once = 1 + sum(each.status == "running" for each in records)
    left = sum(seconds) / len(seconds) * (total - len(ended)) / at_once
    print("   ".join([*words, f"about {left:.0f} s left"] if left else words), flush=True)


def print_end(folder: Path, number: int, total: int, name: str, metric: str = "val/accuracy") -> None:
    """Print how a job on a cluster ended. Its own output goes into a file."""
    record = RunFolder(folder / str(number)).record()
    lost = "" if record.status in ("finished", "pruned", "failed") else "lost; the same command runs it again"
    print_job(folder, number, total, name, metric, lost or ("" if record.status == "finished" else record.status))
    if record.error:
        print_error(PlainError(f"#{number}: {record.error}"))


def value_of(history: list[Epoch], metric: str) -> float | None:
    """A trial's value: its metric at the epoch of best.ckpt, the first epoch with the best validation accuracy.

    None where no epoch was validated.
    """
    validated = [epoch for epoch in history if epoch.val_accuracy is not None]
    best = max(validated, key=lambda epoch: epoch.val_accuracy or 0, default=None)
    if best is None:
        return None
    return best.val_accuracy if metric == "val/accuracy" else best.val_loss


def delete_job(folder: Path, number: int) -> None:
    """Delete the folder of a job, once no process works in it any more."""
    with _job_lock(folder, number):
        if (folder / str(number)).exists():
            shutil.rmtree(folder / str(number))


def begin_job(folder: Path, number: int) -> None:
    """Make this process ready for the job `number` of the sweep in `folder`.

    In the driver's own process there is nothing to lock. The launcher gives each process its share of the cores.
    """
    claim_job(folder, number)
    if driver := multiprocessing.parent_process():
        _end_with(driver.pid)
        if "job" in _locks:
            _locks["job"].release()
        _locks["job"] = _job_lock(folder, number)
        _locks["job"].acquire()
        choose_gpu(folder)


def _job_lock(folder: Path, number: int) -> FileLock:
    """The lock that a parallel launcher's process holds while it runs a job. It may outlive its driver for a moment."""
    (folder / ".locks").mkdir(exist_ok=True)
    return FileLock(folder / ".locks" / f"{number}.job")


@cache
def _end_with(driver: int | None) -> None:
    """End this process when its driver ends. A killed driver cannot do that, and the next one starts the job again."""

    def watch() -> None:
        while os.getppid() == driver:
            time.sleep(0.1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@cache
def choose_gpu(folder: Path) -> None:
    """Let this process see one GPU: one that the fewest processes of the sweep use."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = visible.split(",") if visible else [str(index) for index in range(torch.cuda.device_count())]
    for place, gpu in product(range(os.cpu_count() or 1), gpus):  # the first place on each GPU comes first
        lock = free_lock(folder / ".locks" / f"gpu-{gpu}.{place}")
        if lock:
            os.environ["CUDA_VISIBLE_DEVICES"] = gpu
            _locks[lock.lock_file] = lock
            return


def free_lock(path: Path) -> FileLock | None:
    """Take a lock, which is kept while the object lives and released even by SIGKILL; None if it is not free."""
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock
