"""A search: check it, run trials up to its total, and report the best."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from hydra.utils import instantiate
from joblib import effective_n_jobs
from pydantic import Field

from resumable_sweeps.driver import Driver
from resumable_sweeps.jobs import say
from resumable_sweeps.names import job_name, search_name
from resumable_sweeps.report import report_search
from resumable_sweeps.slurm import POLL
from resumable_sweeps.space import Space, mistakes_in_search, probes, rehearse, search_of, trial_overrides
from resumable_sweeps.study import Metric
from resumable_sweeps.trials import Trials

Count = Annotated[int, Field(ge=1)]


@dataclass
class Search:
    """What configs/search says."""

    trials: Count  # how many in all, however they end
    metric: Metric  # at the epoch that is kept; the highest accuracy, or the lowest loss, is the best
    sampler: dict[str, Any]  # an Optuna sampler's config
    pruner: dict[str, Any] | None  # an Optuna pruner's config; None lets each trial run to its end
    space: dict[str, str]  # what is searched, in Hydra's sweep notation
    at_once: Count | None = None  # trials; None for as many as the launcher has processes


def run_search(driver: Driver, overrides: list[str]) -> None:
    """Run what is left of the search that the command describes, and report it.

    Raises:
        ConfigError: a trial would be wrong, or something else is in the folder.
        StudyError: the folder holds another search.
        PlainError: no trial has a value.
    """
    plain, space = search_of(overrides, driver.config.search.space, driver.context.config_loader)
    driver.check(probes(plain, space), lambda config: mistakes_in_search(config, driver.project))
    rehearse(driver.config, space)
    folder = _folder_for(driver, plain, space)
    search: Search = instantiate(driver.config.search, _recursive_=False, _convert_="all")
    driver.begin(folder, search.trials, search.metric, is_search=True)
    trials = Trials(driver.jobs, search.sampler, search.pruner)
    trials.begin(_facts(driver, plain, space))
    _run_rest(driver, search, trials, plain, space)
    report_search(driver, trials, plain)


def _folder_for(driver: Driver, plain: list[str], space: Space) -> Path:
    """The folder that the user chose, or one that is named after the search."""
    hydra = driver.config.hydra
    return driver.chosen_folder or Path(hydra.sweep.dir, search_name(hydra.runtime.choices["search"], plain, space))


def _facts(driver: Driver, plain: list[str], space: Space) -> dict[str, Any]:
    """What the search is: with other facts it is another one."""
    config = driver.compose(plain)
    facts = {key: value for key, value in driver.project.facts(config).items() if not key.startswith("callbacks.prun")}
    ranges = {key.lstrip("+"): f"searched in {distribution}" for key, distribution in space.items()}
    return facts | {"search.metric": config.search.metric} | ranges


def _run_rest(driver: Driver, search: Search, trials: Trials, plain: list[str], space: Space) -> None:
    """Run trials up to the total: as many at a time as the launcher has processes, or as `at_once` says.

    A cluster's queue takes the next trial whenever one has ended. Other launchers return when all of theirs have.
    """
    at_once = search.at_once or effective_n_jobs(driver.config.hydra.launcher.get("n_jobs", 1))
    ended = sum(trials.has_ended(number) for number in range(search.trials))
    folder = driver.jobs.folder
    say(f"{search.trials} trials in {folder}, {ended} of them ended before; best by {search.metric}")
    while True:
        queued = driver.queue.numbers() if driver.queue else set()
        for number in sorted(trials.held.keys() - queued):
            trial = trials.tell(number)
            if driver.queue:
                driver.print_left_queue(number, job_name(trial_overrides([], trial.params), space))
        taken = trials.next(at_once - len(trials.held), space, queued)
        new = [each for each in taken if each.number not in queued and not trials.has_ended(each.number)]
        driver.run({each.number: trial_overrides(plain, each.params) for each in new}, space)
        if not trials.held:
            return
        if driver.queue and not taken:
            time.sleep(POLL)
