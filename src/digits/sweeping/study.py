"""A search: an Optuna study in its storage, the folder its trials lie in, and which process runs which of them."""

import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import optuna
from filelock import FileLock, Timeout
from hydra.utils import instantiate
from optuna.exceptions import ExperimentalWarning, OptunaError
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from digits.errors import ConfigError, StudyError
from digits.ranges import Count
from digits.sweeping.grid import delete_job, read_record
from digits.sweeping.space import Space

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.simplefilter("ignore", ExperimentalWarning)  # whoever names a sampler wants it


class Search:
    """A study whose trial n lies in the folder n. Several processes may work on it at once.

    Args:
        folder: of the search.
        trials: how many in all, whatever becomes of them.
        metric: what is searched for: the highest accuracy or the lowest loss of the epoch that is kept.
        sampler: an Optuna sampler's config. Its seed is mixed with a trial's number, so that what it proposes follows
            from the trials before, however often the search was continued.
        pruner: an Optuna pruner's config; None lets each trial run to its end.
        storage: URL of a database; None for SQLite in the folder.
        study_name: in the storage.
        space: what is searched, in Hydra's sweep notation.
    """

    def __init__(
        self,
        folder: Path,
        trials: Count,
        metric: Literal["val/accuracy", "val/loss"],
        sampler: dict[str, Any],
        pruner: dict[str, Any] | None,
        storage: str | None,
        study_name: str,
        space: dict[str, str],
    ) -> None:
        self.folder, self.trials, self.metric, self.sampler, self.pruner = folder, trials, metric, sampler, pruner
        self.url, self.name = storage or f"sqlite:///{folder / 'study.db'}", study_name
        self.in_folder = storage is None
        self.held: dict[int, FileLock] = {}  # of the trials this process runs; the kernel frees them after SIGKILL

    @classmethod
    def of(cls, config: Any, folder: Path) -> "Search":
        """The search that a composed config speaks of, in `folder`."""
        return instantiate(config.sweep, folder=folder, _recursive_=False, _convert_="all")

    def begin(self, facts: dict[str, str]) -> None:
        """Make the study, or go on with it.

        Args:
            facts: what makes two searches the same, by name.

        Raises:
            ConfigError: something else lies in the folder, or the URL is none.
            StudyError: the storage cannot be used, or holds another search under this name.
            OSError: the folder cannot be written.
        """
        there = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
        if there and not (self.folder / ".locks" / "study").exists():
            raise ConfigError(
                f"hydra.sweep.dir: {self.folder} holds no search ({max(there)} is there); choose a folder that is new, "
                "or this search's own"
            )
        (self.folder / ".locks").mkdir(parents=True, exist_ok=True)
        if not self.in_folder:
            facts = facts | {"hydra.sweep.dir": str(self.folder.resolve())}
        with self.storage() as storage:
            direction = StudyDirection.MINIMIZE if self.metric == "val/loss" else StudyDirection.MAXIMIZE
            study = optuna.create_study(storage=storage, study_name=self.name, direction=direction, load_if_exists=True)
            if not study.trials and "search" not in study.user_attrs:
                study.set_user_attr("search", facts)
            known = study.user_attrs.get("search", {})  # none in a study that is not of train.py
            apart = [
                f"{key} was {known.get(key)} and is now {facts.get(key)}"
                for key in facts | known
                if known.get(key) != facts.get(key)
            ]
            if apart:
                raise StudyError(
                    f"sweep.storage: {self.url} holds another search as {self.name}: {'; '.join(apart)}; give another "
                    f"{'hydra.sweep.dir' if self.in_folder else 'sweep.study_name'}"
                )
            done = [int(path.name) for path in self.folder.iterdir() if path.name.isdigit()]
            if done and max(done) >= len(study.trials):
                raise StudyError(
                    f"sweep.storage: {self.url} knows nothing of trial {max(done)} in {self.folder}; give "
                    "the storage it was made with, or another hydra.sweep.dir"
                )

    def next_trials(self, most: int, space: Space) -> list[Trial]:
        """Take on at most so many trials: first those that a killed process has left, then new ones up to the total.

        What a killed one has left is deleted, unless it had ended and only nobody wrote down how.
        """
        taken: list[Trial] = []
        with self.storage():
            known = self.study.get_trials(deepcopy=False)
            for trial in known:
                if len(taken) < most and trial.state == TrialState.RUNNING and self._take(trial.number):
                    taken.append(Trial(self.study, trial._trial_id))
                    if not self.has_ended(trial.number):
                        delete_job(self.folder, trial.number)
            left = self.trials - sum(trial.state != TrialState.WAITING for trial in known)
            if "exhausted" in self.study.user_attrs:
                left = 0
            for _ in range(min(left, most - len(taken))):
                taken.append(self.study.ask())
                self._take(taken[-1].number)
            for new in taken:
                self.study.sampler = self._sampler(new.number)
                for key, distribution in space.items():
                    new._suggest(key, distribution)  # what it has already, it keeps
        return taken

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Keep a value of a trial that runs; return whether it is to be given up.

        The pruner does not see what the trial had reported for later epochs before it was killed and run again.
        """
        with self.storage() as storage:
            trial_id = self.study.trials[number]._trial_id
            storage.set_trial_intermediate_value(trial_id, epoch, value)
            trial = storage.get_trial(trial_id)
            trial.intermediate_values = {at: of for at, of in trial.intermediate_values.items() if at <= epoch}
            return self.study.pruner.prune(self.study, trial)

    def tell(self, number: int) -> FrozenTrial:
        """Write down what became of a trial, as its folder has it, and leave it."""
        state = self._state_of(number)
        with self.storage():
            value = read_record(self.folder / str(number))["value"] if state == TrialState.COMPLETE else None
            trial = self.study.tell(number, value, state)
            self.held.pop(number).release()
        return trial

    def has_ended(self, number: int) -> bool:
        """Whether a trial came to a value or was pruned."""
        return self._state_of(number) != TrialState.FAIL

    @contextmanager
    def storage(self) -> Iterator[RDBStorage]:
        """The storage, for one process at a time: SQLite gives up where two wait for each other."""
        with FileLock(self.folder / ".locks" / "study"):
            try:
                yield _opened(self.url)
            except (SQLAlchemyError, OptunaError) as error:
                reason: Any = error
                while reason.__cause__ and not hasattr(reason, "orig"):
                    reason = reason.__cause__
                told = " ".join(str(getattr(reason, "orig", reason)).split())
                raise StudyError(
                    f"sweep.storage: {self.url} cannot be used ({told}); nothing in it is lost: the same command goes "
                    "on once it can, or take another storage"
                ) from error

    @property
    def study(self) -> optuna.Study:
        """The study, once it has begun."""
        if not hasattr(self, "_study"):
            pruner = instantiate(self.pruner, _convert_="all") if self.pruner else optuna.pruners.NopPruner()
            self._study = optuna.load_study(
                study_name=self.name, storage=_opened(self.url), sampler=self._sampler(0), pruner=pruner
            )
            # how a sampler that has tried all there is says so
            setattr(self._study, "stop", lambda: self._study.set_user_attr("exhausted", True))  # noqa: B010
        return self._study

    def _sampler(self, number: int) -> BaseSampler:
        node = dict(self.sampler)
        # a quasi-random sequence is one for all trials
        if node.get("seed") is not None and not node["_target_"].endswith("QMCSampler"):
            node["seed"] = random.Random(f"{node['seed']} {number}").getrandbits(32)
        return instantiate(node, _convert_="all")

    def _take(self, number: int) -> bool:
        lock = FileLock(self.folder / ".locks" / str(number))
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return False
        self.held[number] = lock
        return True

    def _state_of(self, number: int) -> TrialState:
        states = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
        return states.get(read_record(self.folder / str(number)).get("status", ""), TrialState.FAIL)


@lru_cache
def _opened(url: str) -> RDBStorage:
    return RDBStorage(url)
