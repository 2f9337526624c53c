"""A sweep: each combination of the values given is a job with a number in the sweep's folder."""

import json
import sys
from itertools import product
from pathlib import Path

from filelock import FileLock
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from atomic_files import write_text
from plain_errors import ConfigError
from resumable_sweeps.driver import Driver
from resumable_sweeps.jobs import free_lock, make, say
from resumable_sweeps.names import changes, job_name, meaning_of, sweep_name, varied_in
from resumable_sweeps.project import Project

JOBS = "jobs.json"  # the overrides of each job; its place in the list is its number
METRIC = "val/accuracy"


def run_sweep(driver: Driver, overrides: list[str]) -> None:
    """Check all jobs, run those that have not finished, and print the results; exit with 1 if a job failed.

    A failed or killed job starts from the beginning: its checkpoint may be of other code or another machine.

    Raises:
        ConfigError: a job is wrong, its config has changed since it finished, or the folder holds something else.
    """
    wanted = jobs_of(overrides, driver.context.config_loader)
    one = "search: a command runs one search; run each of the others with its own command"
    configs = driver.check(wanted, lambda config: [one] if config.get("search") else [])
    folder = _folder_for(driver, wanted)
    lock, numbers = claim_sweep(folder, wanted)
    with lock:
        _refuse_changed(driver.project, folder, dict(zip(numbers, configs, strict=True)))
        jobs = read_jobs(folder)
        driver.begin(folder, len(jobs), METRIC, is_search=False)
        _run_rest(driver, folder, jobs)
        if not _report(driver, folder, jobs):
            sys.exit(1)


def jobs_of(overrides: list[str], loader: ConfigLoader | None = None) -> list[list[str]]:
    """The overrides of each job of a sweep: `seed=1,2` makes two jobs.

    Args:
        overrides: of the command.
        loader: Hydra's; it knows which choices `model=glob(*)` means.

    Raises:
        ConfigError: a range that cannot be swept.
    """
    parsed = OverridesParser.create(loader).parse_overrides(overrides)
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


def _folder_for(driver: Driver, jobs: list[list[str]]) -> Path:
    """The folder that the user chose, or one that is named after the jobs."""
    if driver.chosen_folder:
        return driver.chosen_folder
    parent = Path(driver.config.hydra.sweep.dir)
    folder, smaller = parent / sweep_name(jobs), smaller_sweep(parent, jobs)
    if smaller and not folder.exists():
        say(f"{smaller} has some of these jobs; hydra.sweep.dir={smaller} adds the others to it")
    return folder


def claim_sweep(folder: Path, jobs: list[list[str]]) -> tuple[FileLock, list[int]]:
    """Make `folder`, or continue the sweep in it; return the lock that keeps others from it, and each job's number.

    A job that is in the folder already keeps its number; new ones follow.

    Raises:
        ConfigError: the folder cannot be made, another process works in it, or something else is in it.
    """
    other = f"hydra.sweep.dir: {folder} holds %s; choose a new folder, or the one of this sweep"
    make(folder)
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    if names and JOBS not in names:
        raise ConfigError(other % f"no sweep ({min(names)} is there, {JOBS} is not)")
    lock = free_lock(folder / ".lock")
    if lock is None:
        raise ConfigError(
            f"hydra.sweep.dir: another process works in {folder}; run the same command again when it has ended"
        )
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
    return lock, [numbers[meaning_of(job)] for job in jobs]


def _refuse_changed(project: Project, folder: Path, configs: dict[int, DictConfig]) -> None:
    """Compare the configs, by number, with those that finished jobs ran with; ConfigError if one differs."""
    changed = {}
    for number, config in configs.items():
        state = project.state(folder / str(number))
        if state.status == "finished" and (found := changes(project.facts(state.config), project.facts(config))):
            changed[number] = found[0]
    if changed:
        number, change = next(iter(changed.items()))
        raise ConfigError(
            f"hydra.sweep.dir: the config of finished jobs in {folder} has changed ({', '.join(map(str, changed))}): "
            f"in job {number} {change}; choose another hydra.sweep.dir, or delete their folders to run them again"
        )


def _run_rest(driver: Driver, folder: Path, jobs: list[list[str]]) -> None:
    """Run the jobs that have not finished. On a cluster, wait for those that are already in its queue."""
    left = [number for number in range(len(jobs)) if driver.jobs.state(number).status != "finished"]
    queued = driver.queue.numbers() if driver.queue else set()
    say(f"{len(jobs)} jobs in {folder}, {len(jobs) - len(left)} of them finished before; best by {METRIC}")
    for key, values in _swept(jobs).items() if left else ():  # range(0,0.8,step=0.1) has nine: 0.8 too
        listed = values if len(values) < 20 else [*values[:9], "…", values[-1]]
        say(f"{key}: {len(values)} values: {', '.join(listed)}")
    if driver.queue:
        print(f"{len(queued)} already in Slurm's queue; scancel --me --name={folder.name} ends them", flush=True)
    new, varied = {number: jobs[number] for number in left if number not in queued}, varied_in(jobs)
    for number in new:
        driver.jobs.delete(number)
    driver.run(new, varied)
    if driver.queue:
        for number in driver.queue.wait(left):
            driver.print_left_queue(number, job_name(jobs[number], varied))


def _report(driver: Driver, folder: Path, jobs: list[list[str]]) -> bool:
    """Print the results, and a line for each job that did not finish. Returns whether all jobs finished."""
    print(f"{len(jobs)} jobs in {folder}")
    driver.project.summarise(folder, _swept(jobs))
    states = [driver.jobs.state(number) for number in range(len(jobs))]
    for number, state in enumerate(states):
        if state.status != "finished":
            say(f"#{number} {state.status}: {state.error or 'killed'}")
    return all(state.status == "finished" for state in states)


def _swept(jobs: list[list[str]]) -> dict[str, list[str]]:
    """The values of each key in which jobs differ, in their order."""
    pairs = [text.partition("=")[::2] for job in jobs for text in job]
    values = {key: list(dict.fromkeys(value for other, value in pairs if other == key)) for key, _ in pairs}
    return {key: found for key, found in values.items() if len(found) > 1}


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
