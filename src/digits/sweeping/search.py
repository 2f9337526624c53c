"""A search: which trials there are, which process runs which of them, and how each ended."""

import random
from pathlib import Path
from typing import Any, Literal

import optuna
from filelock import FileLock, Timeout
from hydra.utils import instantiate
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, Trial, TrialState

from digits.errors import ConfigError, StudyError
from digits.ranges import Count
from digits.record import Epoch, read_record
from digits.sweeping.identity import changes
from digits.sweeping.jobs import delete_job
from digits.sweeping.space import Space, suggest
from digits.sweeping.study import EXHAUSTED, Storage, Study

Metric = Literal["val/accuracy", "val/loss"]
FACTS = "search"  # the attribute of a study that says what makes a search the same


class Search:
    """A study whose trial n lies in the folder n. Several processes may work on it at once.

    Args:
        folder: of the search.
        trials: how many in all, however they end.
        metric: the highest accuracy or the lowest loss is searched, each of the epoch that is kept.
        sampler: an Optuna sampler's config. Its seed is mixed with the number of a trial: what it proposes then
            depends on the trials before, and not on how often the search was continued.
        pruner: an Optuna pruner's config; None lets each trial run to its end.
        storage: URL of a database; None for SQLite in the folder.
        study_name: in the storage.
        space: what is searched, in Hydra's sweep notation.
    """

    def __init__(
        self,
        folder: Path,
        trials: Count,
        metric: Metric,
        sampler: dict[str, Any],
        pruner: dict[str, Any] | None,
        storage: str | None,
        study_name: str,
        space: dict[str, str],
    ) -> None:
        self.folder, self.trials, self.metric, self.sampler = folder, trials, metric, sampler
        self.pruner = instantiate(pruner, _convert_="all") if pruner else None  # some decide what a sampler may see
        self.storage = Storage(folder, storage, study_name)
        self.held: dict[int, FileLock] = {}  # of the trials this process runs; the kernel releases them after SIGKILL

    @classmethod
    def of(cls, config: Any, folder: Path) -> "Search":
        """The search in `folder` that a composed config describes."""
        return instantiate(config.search, folder=folder, _recursive_=False, _convert_="all")

    def begin(self, facts: dict[str, Any]) -> None:
        """Make the study, or continue it.

        Args:
            facts: what makes two searches the same.

        Raises:
            ConfigError: something else is in the folder.
            StudyError: the storage cannot be used, or holds another search under this name.
            OSError: the folder cannot be written.
        """
        names = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
        if names and not self.storage.lock.exists():
            raise ConfigError(
                f"hydra.sweep.dir: {self.folder} holds no search ({max(names)} is there); choose a new folder, or the "
                "one of this search"
            )
        self.storage.lock.parent.mkdir(parents=True, exist_ok=True)
        if not self.storage.in_folder:  # its trials lie in one folder only
            facts = facts | {"hydra.sweep.dir": str(self.folder.resolve())}
        with self.storage.opened() as database:
            optuna.create_study(
                storage=database,
                study_name=self.storage.name,
                direction="minimize" if self.metric == "val/loss" else "maximize",
                load_if_exists=True,
            )
            self._check_same(self.storage.study(), facts, names)

    def _check_same(self, study: Study, facts: dict[str, Any], names: list[str]) -> None:
        if not study.trials and FACTS not in study.user_attrs:
            study.set_user_attr(FACTS, facts)
        found = changes(study.user_attrs.get(FACTS, {}), facts)  # a study of another program has no facts
        if found:
            raise StudyError(
                f"search.storage: {self.storage.url} holds another search as {self.storage.name}: {'; '.join(found)}; "
                f"choose another {'hydra.sweep.dir' if self.storage.in_folder else 'search.study_name'}"
            )
        last = max((int(name) for name in names if name.isdigit()), default=-1)
        if last >= len(study.trials):
            raise StudyError(
                f"search.storage: {self.storage.url} has no trial {last}, but {self.folder} has; choose the storage "
                "that this search began with, or another hydra.sweep.dir"
            )

    def next_trials(self, most: int, space: Space) -> list[Trial]:
        """Take trials for this process: first those that a killed process left, then new ones up to the total.

        Args:
            most: how many at most.
            space: what is searched.
        """
        taken: list[Trial] = []
        with self.storage.opened():
            study = self.storage.study(self._sampler(0), self.pruner)
            known = study.get_trials(deepcopy=False)
            for trial in known:
                if len(taken) < most and trial.state == TrialState.RUNNING and self._take(trial.number):
                    taken.append(self._continued(study, trial.number, space))
            begun = sum(trial.state != TrialState.WAITING for trial in known)
            left = 0 if EXHAUSTED in study.user_attrs else self.trials - begun
            for number in range(len(known), len(known) + min(left, most - len(taken))):
                study.sampler = self._sampler(number)
                taken.append(study.ask(fixed_distributions=space))
                self._take(taken[-1].number)
        return taken

    def tell(self, number: int) -> FrozenTrial:
        """Write into the study how a trial ended, and release it."""
        record = read_record(self.folder / str(number))
        value = value_of(record.history, self.metric) if record.status == "finished" else None
        state = TrialState.PRUNED if record.status == "pruned" else TrialState.FAIL
        with self.storage.opened():
            study = self.storage.study(self._sampler(number), self.pruner)
            trial = study.tell(number, value, state if value is None else TrialState.COMPLETE)
            self.held.pop(number).release()
        return trial

    def has_ended(self, number: int) -> bool:
        """Whether a trial needs no other run, even if its process was killed before it could tell the study."""
        return read_record(self.folder / str(number)).status in ("finished", "pruned")

    def _take(self, number: int) -> bool:
        lock = FileLock(self.folder / ".locks" / str(number))
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return False
        self.held[number] = lock
        return True

    def _continued(self, study: Study, number: int, space: Space) -> Trial:
        study.sampler = self._sampler(number)
        trial = Trial(study, self.storage.trial_id(number))
        suggest(trial, space)  # the process may have been killed before it had chosen all values
        if not self.has_ended(number):
            delete_job(self.folder, number)
        return trial

    def _sampler(self, number: int) -> BaseSampler:
        node = dict(self.sampler)
        # a quasi-random sequence is one for all trials
        if node.get("seed") is not None and not node["_target_"].endswith("QMCSampler"):
            node["seed"] = random.Random(f"{node['seed']} {number}").getrandbits(32)
        return instantiate(node, _convert_="all")


def value_of(history: list[Epoch], metric: Metric) -> float | None:
    """A trial's value: the metric of the epoch that best.ckpt is of, the first with the best validation accuracy.

    None where no epoch was validated.
    """
    validated = [epoch for epoch in history if epoch.val_accuracy is not None]
    best = max(validated, key=lambda epoch: epoch.val_accuracy or 0, default=None)
    if best is None:
        return None
    return best.val_accuracy if metric == "val/accuracy" else best.val_loss
