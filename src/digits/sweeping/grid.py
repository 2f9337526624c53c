"""A sweep's folder: named after its jobs, a number for each, one process at a time; the same jobs continue it."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from hydra.core.override_parser.overrides_parser import OverridesParser

from digits.errors import ConfigError
from digits.files import write_text

JOBS = "jobs.json"  # the overrides of each job; its place in the list is its number

_locks: list[FileLock] = []  # held until the process ends; the kernel frees them even after SIGKILL


def sweep_name(jobs: list[list[str]]) -> str:
    """Name a set of jobs, in whatever order and spelling: the swept values to read, a hash of it all to be sure."""
    meanings = sorted({_meaning(job) for job in jobs})
    values: dict[str, set[str]] = {}
    for key, value in (pair for meaning in meanings for pair in meaning):
        values.setdefault(key, set()).add(value)
    swept = {key: found for key, found in values.items() if len(found) > 1} or values
    words = ["-".join([key.split(".")[-1], *sorted(swept[key], key=lambda text: (len(text), text))]) for key in swept]
    readable = re.sub(r"[^\w.-]+", "", "_".join(words))[:80].strip("._-")
    return f"{readable}_{hashlib.sha256(json.dumps(meanings).encode()).hexdigest()[:8]}"


def claim_sweep(folder: Path, jobs: list[list[str]]) -> list[int]:
    """Make `folder` this process's own until it ends, and number the jobs in it.

    A job that the folder knows keeps its number; new ones come after those.

    Args:
        folder: made if it is not there.
        jobs: the overrides of each.

    Returns:
        The number of each job.

    Raises:
        ConfigError: another process works in the folder, or something else than these jobs lies there.
        OSError: it cannot be written.
    """
    other = f"hydra.sweep.dir: {folder} holds %s; choose a folder that is new, or this sweep's own"
    folder.mkdir(parents=True, exist_ok=True)
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    if names and JOBS not in names:
        raise ConfigError(other % f"no sweep ({min(names)} is there, {JOBS} is not)")
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise ConfigError(
            f"hydra.sweep.dir: another process works in {folder}; the same command goes on when that has ended"
        ) from None
    _locks.append(lock)
    known = read_jobs(folder)
    numbers = {_meaning(job): number for number, job in enumerate(known)}
    foreign = numbers.keys() - {_meaning(job) for job in jobs}
    if foreign:
        number = min(numbers[meaning] for meaning in foreign)
        raise ConfigError(other % f"another sweep (its job {number} is {' '.join(known[number])})")
    for job in jobs:
        if _meaning(job) not in numbers:
            numbers[_meaning(job)] = len(known)
            known.append(job)
    if known != read_jobs(folder):
        write_text(folder / JOBS, json.dumps(known, indent=2))
    return [numbers[_meaning(job)] for job in jobs]


def read_jobs(folder: Path) -> list[list[str]]:
    """The overrides of each of a sweep's jobs, in the order of their numbers."""
    path = folder / JOBS
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def unfinished(folder: Path) -> Iterator[tuple[int, list[list[str]]]]:
    """Find the jobs that are to be done.

    What a failed or killed job has left is deleted before it begins again from its start: exact even where its
    checkpoint would not be (other code, another machine, a GPU's sums in another order).

    Yields:
        The first number and the overrides of jobs whose numbers follow each other.
    """
    jobs = read_jobs(folder)
    left = [at for at in range(len(jobs)) if read_record(folder / str(at)).get("status") != "finished"]
    print(f"{len(jobs)} jobs in {folder}, {len(jobs) - len(left)} of them finished before")
    for stretch in stretches(left):
        for number in stretch:
            delete_job(folder, number)
        yield stretch[0], [jobs[number] for number in stretch]


def stretches(numbers: list[int]) -> list[list[int]]:
    """Cut ascending numbers where one is missing: a launcher counts its jobs up from the first."""
    cut = groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    return [[number for _, number in pairs] for _, pairs in cut]


def delete_job(folder: Path, number: int) -> None:
    """Delete what a job has left, once no process works on it any more."""
    with job_lock(folder, number):
        if (folder / str(number)).exists():
            shutil.rmtree(folder / str(number))


def job_lock(folder: Path, number: int) -> FileLock:
    """What a process of a parallel launcher holds while it does a job; it may outlive its driver for a moment."""
    (folder / ".locks").mkdir(exist_ok=True)
    return FileLock(folder / ".locks" / f"{number}.job")


def read_record(folder: Path) -> dict[str, Any]:
    """What run.json says of the run in `folder`; nothing where none has begun."""
    path = folder / "run.json"
    return json.loads(path.read_text(encoding="utf-8") or "{}") if path.exists() else {}


def _meaning(job: list[str]) -> tuple[tuple[str, str], ...]:
    """Overrides as keys and values, sorted: 1e-3 and 0.001 are the same."""
    parsed: list[Any] = OverridesParser.create().parse_overrides(job)
    return tuple(sorted((each.get_key_element(), json.dumps(each.value(), default=str)) for each in parsed))
