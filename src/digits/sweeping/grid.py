"""A sweep: each combination of the values given is a job with a number in the sweep's folder."""

import json
from itertools import product
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import MissingConfigException

from digits.errors import ConfigError
from digits.files import write_text
from digits.record import read_record
from digits.sweeping.identity import changes, facts_of, meaning_of, renamed
from digits.sweeping.jobs import Launch, delete_job, launch_jobs

JOBS = "jobs.json"  # the overrides of each job; its place in the list is its number

_locks: list[FileLock] = []  # held until the process ends; the kernel releases them even after SIGKILL


def jobs_of(overrides: list[str]) -> list[list[str]]:
    """The overrides of each job of a sweep: `seed=1,2` makes two. Of a search, trials that show all it may try.

    Hydra must be initialized.

    Raises:
        ConfigError: a range that cannot be swept or searched, or an override of the former key `sweep`.
    """
    former = [line for line in map(renamed, overrides) if line]
    if former:
        raise ConfigError("\n".join(former))
    parsed = OverridesParser.create(GlobalHydra.instance().config_loader()).parse_overrides(overrides)
    if any(each.key_or_group == "search" and each.value() and not each.is_sweep_override() for each in parsed):
        from digits.sweeping.space import probes, search_of  # imports Optuna, which a sweep does without

        try:
            return probes(*search_of(overrides))
        except MissingConfigException:  # there is no such search; composing a job says so
            return [[str(each.input_line) for each in parsed if not each.is_sweep_override()]]
    choices = {each.get_key_element(): _choices(each) for each in parsed}  # of one key given twice the last counts
    return [list(job) for job in product(*choices.values())]


def begin_sweep(folder: Path, jobs: list[list[str]], configs: list[dict[str, Any]]) -> None:
    """Make `folder` this sweep's, or continue the same sweep in it.

    Args:
        folder: made if it is not there.
        jobs: the overrides of each.
        configs: of each job, as composed, resolved.

    Raises:
        ConfigError: as claim_sweep, or a finished job would have another config now.
        OSError: the folder cannot be written.
    """
    changed = {}
    for number, config in zip(claim_sweep(folder, jobs), configs, strict=True):
        record = read_record(folder / str(number))
        if record.status == "finished" and (found := changes(facts_of(record.config), facts_of(config))):
            changed[number] = found[0]
    if changed:
        number, change = next(iter(changed.items()))
        raise ConfigError(
            f"hydra.sweep.dir: the config of finished jobs in {folder} has changed ({', '.join(map(str, changed))}): "
            f"in job {number} {change}; choose another hydra.sweep.dir, or delete their folders to run them again"
        )


def claim_sweep(folder: Path, jobs: list[list[str]]) -> list[int]:
    """Keep `folder` for this process until it ends, and number the jobs.

    A job that is in the folder already keeps its number; new ones follow.

    Returns:
        The number of each job.

    Raises:
        ConfigError: another process works in the folder, or something else is in it.
    """
    other = f"hydra.sweep.dir: {folder} holds %s; choose a new folder, or the one of this sweep"
    folder.mkdir(parents=True, exist_ok=True)
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    if names and JOBS not in names:
        raise ConfigError(other % f"no sweep ({min(names)} is there, {JOBS} is not)")
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise ConfigError(
            f"hydra.sweep.dir: another process works in {folder}; run the same command again when it has ended"
        ) from None
    _locks.append(lock)
    known = read_jobs(folder)
    numbers = {meaning_of(job): number for number, job in enumerate(known)}
    meanings = [meaning_of(job) for job in jobs]
    missing = [number for meaning, number in numbers.items() if meaning not in meanings]
    if missing:
        raise ConfigError(other % f"another sweep (its job {missing[0]} is {' '.join(known[missing[0]])})")
    for job, meaning in zip(jobs, meanings, strict=True):
        if meaning not in numbers:
            numbers[meaning] = len(known)
            known.append(job)
    if known != read_jobs(folder):
        write_text(folder / JOBS, json.dumps(known, indent=2))
    return [numbers[meaning] for meaning in meanings]


def run_sweep(launch: Launch, folder: Path) -> None:
    """Run the jobs that have not finished.

    A failed or killed job starts again from nothing: its checkpoint may be of other code or another machine.
    """
    jobs = read_jobs(folder)
    left = [number for number in range(len(jobs)) if read_record(folder / str(number)).status != "finished"]
    print(f"{len(jobs)} jobs in {folder}, {len(jobs) - len(left)} of them finished before")
    for number in left:
        delete_job(folder, number)
    launch_jobs(launch, folder, {number: jobs[number] for number in left})


def read_jobs(folder: Path) -> list[list[str]]:
    """The overrides of each job of a sweep, in the order of their numbers."""
    path = folder / JOBS
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def _choices(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [str(override.input_line)]
    if override.is_interval_sweep():
        raise ConfigError(
            f"{override.input_line}: a sweep wants values to combine, like choice(a, b) or range(1, 9); "
            "search=custom searches an interval"
        )
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
