"""A sweep: each combination of the values given is a job with a number in the sweep's folder."""

import hashlib
import json
import re
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from filelock import FileLock
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import MissingConfigException

from atomic_files import write_text
from digits.run_folder import RunFolder
from digits.settings import flat, settings_of
from plain_errors import ConfigError
from resumable_sweeps.jobs import Launch, delete_job, free_lock, job_name, launch_jobs, print_end
from resumable_sweeps.slurm import Queue

JOBS = "jobs.json"  # the overrides of each job; its place in the list is its number

_locks: list[FileLock] = []  # held until the process ends


def jobs_of(overrides: list[str]) -> list[list[str]]:
    """The overrides of each job of a sweep: `seed=1,2` makes two jobs. Hydra must be initialized.

    For a search, a few trials that together have each choice and both ends of each range.

    Raises:
        ConfigError: a range that cannot be swept or searched, or an override of the former key `sweep`.
    """
    former = [line for line in map(renamed, overrides) if line]
    if former:
        raise ConfigError("\n".join(former))
    parsed = OverridesParser.create(GlobalHydra.instance().config_loader()).parse_overrides(overrides)
    if any(each.key_or_group == "search" and each.value() and not each.is_sweep_override() for each in parsed):
        from resumable_sweeps.space import probes, search_of  # imports Optuna, which a sweep does not need

        try:
            return probes(*search_of(overrides))
        except MissingConfigException:  # there is no such search; composing a job says so
            return [[str(each.input_line) for each in parsed if not each.is_sweep_override()]]
    choices = {each.get_key_element(): _choices(each) for each in parsed}  # the last one counts if a key is repeated
    return [list(job) for job in product(*choices.values())]


def _choices(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [str(override.input_line)]
    if override.is_interval_sweep():
        raise ConfigError(
            f"{override.input_line}: a sweep wants values to combine, like choice(a, b) or range(1, 9); "
            "search=custom searches an interval"
        )
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


def renamed(override: str) -> str | None:
    """One line on an override of the former key `sweep`; None for any other override."""
    found = re.fullmatch(r"([+~]*)sweep(|[.=].*)", override, re.DOTALL)
    if not found:
        return None
    rest = "=custom" if found[2] == "=search" else found[2]
    return f"{override}: sweep is now called search; take {found[1]}search{rest}"


def begin_sweep(folder: Path, jobs: list[list[str]], configs: list[dict[str, Any]]) -> None:
    """Make `folder` for the jobs of a sweep, each with its resolved config, or continue the same sweep in it.

    Raises:
        ConfigError: as claim_sweep, or a finished job would have another config now.
        OSError: the folder cannot be written.
    """
    changed = {}
    for number, config in zip(claim_sweep(folder, jobs), configs, strict=True):
        record = RunFolder(folder / str(number)).record()
        if record.status == "finished" and (found := changes(facts_of(record.config), facts_of(config))):
            changed[number] = found[0]
    if changed:
        number, change = next(iter(changed.items()))
        raise ConfigError(
            f"hydra.sweep.dir: the config of finished jobs in {folder} has changed ({', '.join(map(str, changed))}): "
            f"in job {number} {change}; choose another hydra.sweep.dir, or delete their folders to run them again"
        )


def claim_sweep(folder: Path, jobs: list[list[str]]) -> list[int]:
    """Keep `folder` for this process until it ends, and return the number of each job.

    A job that is in the folder already keeps its number; new ones follow.

    Raises:
        ConfigError: another process works in the folder, or something else is in it.
    """
    other = f"hydra.sweep.dir: {folder} holds %s; choose a new folder, or the one of this sweep"
    folder.mkdir(parents=True, exist_ok=True)
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    if names and JOBS not in names:
        raise ConfigError(other % f"no sweep ({min(names)} is there, {JOBS} is not)")
    lock = free_lock(folder / ".lock")
    if lock is None:
        raise ConfigError(
            f"hydra.sweep.dir: another process works in {folder}; run the same command again when it has ended"
        )
    _locks.append(lock)
    known = read_jobs(folder)
    wanted = {meaning_of(job): job for job in jobs}
    numbers = {meaning_of(job): number for number, job in enumerate(known)}
    for meaning, number in numbers.items():
        if meaning not in wanted:
            raise ConfigError(other % f"another sweep (its job {number} is {' '.join(known[number])})")
    new = [meaning for meaning in wanted if meaning not in numbers]
    if new:
        write_text(folder / JOBS, json.dumps(known + [wanted[meaning] for meaning in new], indent=2))
    numbers |= {meaning: number for number, meaning in enumerate(new, start=len(known))}
    return [numbers[meaning_of(job)] for job in jobs]


def run_sweep(launch: Launch, folder: Path, queue: Queue | None) -> None:
    """Run the jobs that have not finished. On a cluster, wait for those that are already in its `queue`.

    A failed or killed job starts from the beginning: its checkpoint may be of other code or another machine.
    """
    jobs = read_jobs(folder)
    left = [number for number in range(len(jobs)) if RunFolder(folder / str(number)).record().status != "finished"]
    queued = queue.numbers() if queue else set()
    print(f"{len(jobs)} jobs in {folder}, {len(jobs) - len(left)} of them finished before; best by val/accuracy")
    if queue:
        print(f"{len(queued)} already in Slurm's queue; scancel --me --name={folder.name} ends them", flush=True)
    new, varied = {number: jobs[number] for number in left if number not in queued}, varied_in(jobs)
    for number in new:
        delete_job(folder, number)
    launch_jobs(launch, folder, new, varied)
    if queue:
        for number in queue.wait(left):
            print_end(folder, number, len(jobs), job_name(jobs[number], varied))


def read_jobs(folder: Path) -> list[list[str]]:
    """The overrides of each job of a sweep, in the order of their numbers."""
    path = folder / JOBS
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def smaller_sweep(parent: Path, jobs: list[list[str]]) -> Path | None:
    """Find the sweep in `parent` that has most of these jobs and no other; None where there is none."""
    wanted = {meaning_of(job) for job in jobs}
    known = {path.parent: {meaning_of(job) for job in read_jobs(path.parent)} for path in parent.glob(f"*/{JOBS}")}
    smaller = [folder for folder, meanings in known.items() if meanings < wanted]
    return max(smaller, key=lambda folder: len(known[folder]), default=None)


# Is this the same sweep or search, and what is its folder's name?


def meaning_of(overrides: list[str]) -> tuple[tuple[str, str], ...]:
    """Overrides as sorted pairs of key and value: neither order nor spelling counts, 1e-3 is 0.001."""
    parsed: list[Any] = OverridesParser.create().parse_overrides(overrides)
    return tuple(sorted((each.get_key_element(), json.dumps(each.value(), default=str)) for each in parsed))


def facts_of(config: Mapping[str, Any], searched: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the result depends on, with dotted keys: values of a resolved config, and the range of each searched key."""
    folder = config["run_folder"]
    callbacks = {name: node for name, node in (config["callbacks"] or {}).items() if name != "pruning"}
    facts = settings_of(config) | flat({"seed": config["seed"], "callbacks": callbacks})
    for key, value in facts.items():
        if isinstance(value, str) and value.startswith(f"{folder}/"):  # each job has a folder of its own
            facts[key] = value.replace(folder, "${run_folder}", 1)
    if config.get("search"):
        facts["search.metric"] = config["search"]["metric"]
    return facts | {key.lstrip("+"): f"searched in {range_}" for key, range_ in (searched or {}).items()}


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """How the facts differ: "key was X and is now Y" for each that does."""
    pairs = {key: (then.get(key), now.get(key)) for key in {**then, **now}}
    return [f"{key} was {before} and is now {after}" for key, (before, after) in pairs.items() if before != after]


def sweep_name(jobs: list[list[str]]) -> str:
    """Name a sweep's folder after the values that its jobs differ in."""
    swept = varied_in(jobs)
    words = ["-".join([key.split(".")[-1], *sorted(swept[key], key=lambda text: (len(text), text))]) for key in swept]
    return _folder_name("_".join(words), sorted({meaning_of(job) for job in jobs}))


def varied_in(jobs: list[list[str]]) -> dict[str, set[str]]:
    """The values of each key in which jobs differ; if they differ in none, the values of all keys."""
    values: dict[str, set[str]] = {}
    for key, value in (pair for meaning in sorted({meaning_of(job) for job in jobs}) for pair in meaning):
        values.setdefault(key, set()).add(value)
    return {key: found for key, found in values.items() if len(found) > 1} or values


def search_name(choice: str, plain: list[str], space: Mapping[str, Any]) -> str:
    """Name a search's folder after the `choice` in search=…, the overrides of all trials and the ranges.

    The number of trials, sampler, pruner and storage do not count.
    """
    settings = [pair for pair in meaning_of(plain) if not pair[0].lstrip("+~").startswith("search.")]
    return _folder_name(choice, [settings, {key: str(space[key]) for key in sorted(space)}])


def _folder_name(readable: str, meaning: Any) -> str:
    readable = re.sub(r"[^\w.-]+", "", readable)[:80].strip("._-")
    return f"{readable}_{hashlib.sha256(json.dumps(meaning).encode()).hexdigest()[:8]}"
