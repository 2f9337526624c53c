"""A search: which trials there are, which process runs which of them, and how each ended."""

import math
import random
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from hydra.utils import instantiate
from joblib import effective_n_jobs
from omegaconf import DictConfig
from optuna.trial import FrozenTrial, Trial, TrialState

from digits.ranges import Count
from digits.run_folder import RunFolder
from digits.settings import short
from plain_errors import ConfigError, StudyError
from resumable_sweeps.grid import changes
from resumable_sweeps.jobs import Launch, delete_job, free_lock, job_name, launch_jobs, print_end, value_of
from resumable_sweeps.slurm import POLL, Queue
from resumable_sweeps.space import Space, search_of, suggest, trial_overrides
from resumable_sweeps.study import EXHAUSTED, Database, Metric, Study

FACTS = "search"  # the attribute of a study that holds its facts: with other facts it is another search
STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


@dataclass(frozen=True)
class TrialRow:
    """One trial, as the study and its folder describe it. The value of a pruned trial is its last one."""

    number: int
    state: str  # complete, pruned, failed or running
    cost: float  # lower is better: errors in percent, or the loss in nats; infinite without a value
    value: str  # the metric as people read it, an accuracy in percent; empty without a value
    params: dict[str, Any]  # the value of each key that is searched
    epochs: int
    seconds: float  # of setup and fit
    error: str  # why it failed, in one line

    @property
    def settings(self) -> str:
        """The values of the keys searched, in one line."""
        return " ".join(f"{key}={short(value)}" for key, value in self.params.items())


@dataclass
class Search:
    """A study whose trial n lies in the folder n. Several processes may work on it at once."""

    folder: Path
    trials: Count  # how many in all, however they end
    metric: Metric  # at the epoch that is kept; the highest accuracy, or the lowest loss, is the best
    sampler: dict[str, Any]  # an Optuna sampler's config
    pruner: dict[str, Any] | None  # an Optuna pruner's config; None lets each trial run to its end
    storage: str | None  # URL of a database; None for SQLite in the folder
    study_name: str
    space: dict[str, str]  # what is searched, in Hydra's sweep notation
    at_once: Count | None = None  # trials; None for as many as the launcher has processes

    def __post_init__(self) -> None:
        self.database = Database(self.folder, self.storage, self.study_name)
        self.held: dict[int, FileLock] = {}  # of the trials this process runs

    @classmethod
    def of(cls, config: Any, folder: Path) -> "Search":
        """The search in `folder` that a composed config describes."""
        return instantiate(config.search, folder=folder, _recursive_=False, _convert_="all")

    def begin(self, facts: dict[str, Any]) -> None:
        """Make the study, or continue it if its `facts` have not changed.

        Raises:
            ConfigError: something else is in the folder.
            StudyError: the storage cannot be used, or holds another search under this name.
            OSError: the folder cannot be written.
        """
        names = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
        if names and not self.database.lock.exists():
            raise ConfigError(
                f"hydra.sweep.dir: {self.folder} holds no search ({max(names)} is there); choose a new folder, or the "
                "one of this search"
            )
        self.database.lock.parent.mkdir(parents=True, exist_ok=True)
        if not self.database.in_folder:  # such a study belongs to one folder
            facts = facts | {"hydra.sweep.dir": str(self.folder.resolve())}
        with self.database.opened() as storage:
            optuna.create_study(
                storage=storage,
                study_name=self.study_name,
                direction="minimize" if self.metric == "val/loss" else "maximize",
                load_if_exists=True,
            )
            self._check_same(self.database.study(), facts, names)

    def _check_same(self, study: Study, facts: dict[str, Any], names: list[str]) -> None:
        if not study.trials and FACTS not in study.user_attrs:
            study.set_user_attr(FACTS, facts)
        found = changes(study.user_attrs.get(FACTS, {}), facts)  # a study of another program has no facts
        if found:
            raise StudyError(
                f"search.storage: {self.database.shown} holds another search as {self.study_name}: {'; '.join(found)}; "
                f"choose another {'hydra.sweep.dir' if self.database.in_folder else 'search.study_name'}"
            )
        last = max((int(name) for name in names if name.isdigit()), default=-1)
        if last >= len(study.trials):
            raise StudyError(
                f"search.storage: {self.database.shown} has no trial {last}, but {self.folder} has; choose the storage "
                "that this search began with, or another hydra.sweep.dir"
            )

    def next_trials(self, most: int, space: Space, queued: Collection[int] = ()) -> list[Trial]:
        """Take at most `most` trials for this process: first those of a killed process, then new ones up to the total.

        The folder of a killed process's trial is deleted, unless the trial has ended or is `queued` on a cluster.
        """
        taken: list[Trial] = []
        with self.database.opened():
            study = self._study(0)
            known = study.get_trials(deepcopy=False)
            for trial in known:
                if len(taken) < most and trial.state == TrialState.RUNNING and self._take(trial.number):
                    taken.append(Trial(self._study(trial.number), self.database.trial_id(trial.number)))
                    suggest(taken[-1], space)  # the process may have been killed before it had chosen all values
                    if not self.has_ended(trial.number) and trial.number not in queued:
                        delete_job(self.folder, trial.number)
            begun = sum(trial.state != TrialState.WAITING for trial in known)
            left = 0 if EXHAUSTED in study.user_attrs else self.trials - begun
            for number in range(len(known), len(known) + min(left, most - len(taken))):
                taken.append(self._study(number).ask(fixed_distributions=space))
                self._take(taken[-1].number)
        return taken

    def tell(self, number: int) -> FrozenTrial:
        """Write into the study how a trial ended, and release its lock."""
        record = RunFolder(self.folder / str(number)).record()
        value = value_of(record.history, self.metric) if record.status == "finished" else None
        state = TrialState.PRUNED if record.status == "pruned" else TrialState.FAIL
        with self.database.opened():
            trial = self._study(number).tell(number, value, state if value is None else TrialState.COMPLETE)
            self.held.pop(number).release()
        return trial

    def has_ended(self, number: int) -> bool:
        """Whether a trial needs no other run, even if its process was killed before it could tell the study."""
        return RunFolder(self.folder / str(number)).record().status in ("finished", "pruned")

    def row_of(self, trial: FrozenTrial) -> TrialRow:
        """Put together what the study and the folder of a trial say."""
        record = RunFolder(self.folder / str(trial.number)).record()
        value = trial.value if trial.value is not None else next(reversed(trial.intermediate_values.values()), None)
        cost, text = math.inf, ""
        if value is not None and self.metric == "val/accuracy":
            cost, text = 100 * (1 - value), f"{value:.2%}"
        elif value is not None:
            cost, text = value, f"{value:.4f}"
        error = record.error or ("no epoch was validated" if record.status == "finished" else "killed")
        return TrialRow(
            number=trial.number,
            state=STATES.get(trial.state, "running"),
            cost=cost,
            value=text,
            params=trial.params,
            epochs=len(trial.intermediate_values),
            seconds=sum(record.seconds.get(phase, 0) for phase in ("setup", "fit")),
            error=error if trial.state == TrialState.FAIL else "",
        )

    def _take(self, number: int) -> bool:
        lock = free_lock(self.folder / ".locks" / str(number))
        if lock:
            self.held[number] = lock
        return lock is not None

    def _study(self, number: int) -> Study:
        """The study as trial `number` sees it; the database must be open.

        The sampler's seed is mixed with the number: what it proposes then depends on the trials before, and not on how
        often the search was continued.
        """
        node = dict(self.sampler)
        # all trials share one quasi-random sequence
        if node.get("seed") is not None and not node["_target_"].endswith("QMCSampler"):
            node["seed"] = random.Random(f"{node['seed']} {number}").getrandbits(32)
        sampler = instantiate(node, _convert_="all")
        # made anew for each trial: Hyperband also chooses what the sampler sees
        pruner = instantiate(self.pruner, _convert_="all") if self.pruner else None
        return self.database.study(sampler, pruner)


def run_search(launch: Launch, folder: Path, config: DictConfig, overrides: list[str], queue: Queue | None) -> None:
    """Run trials up to the total: as many at a time as the launcher has processes, or as `at_once` says.

    A cluster's `queue` takes the next trial whenever one has ended. Other launchers return when all of theirs have.
    """
    plain, space = search_of(overrides)
    search = Search.of(config, folder)
    at_once = search.at_once or effective_n_jobs(config.hydra.launcher.get("n_jobs", 1))
    ended = sum(search.has_ended(number) for number in range(search.trials))
    print(f"{search.trials} trials in {folder}, {ended} of them ended before; best by {search.metric}", flush=True)
    while True:
        queued = queue.numbers() if queue else set()
        for number in sorted(search.held.keys() - queued):
            trial = search.tell(number)
            if queue:
                name = job_name(trial_overrides([], trial.params), space)
                print_end(folder, number, search.trials, name, search.metric)
        trials = search.next_trials(at_once - len(search.held), space, queued)
        waiting = [each for each in trials if each.number not in queued and not search.has_ended(each.number)]
        launch_jobs(launch, folder, {each.number: trial_overrides(plain, each.params) for each in waiting}, space)
        if not search.held:
            return
        if queue and not trials:
            time.sleep(POLL)
