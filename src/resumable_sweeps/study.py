"""The Optuna study of a search, in its storage, and the callback by which a trial reports to it."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import optuna
from filelock import FileLock
from lightning import Callback, LightningModule, Trainer
from optuna.exceptions import ExperimentalWarning, OptunaError
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from digits.secrets import masked
from plain_errors import Pruned, StudyError

Metric = Literal["val/accuracy", "val/loss"]
EXHAUSTED = "exhausted"  # the attribute of a study whose sampler has tried all there is

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.simplefilter("ignore", ExperimentalWarning)  # the user chose the sampler, and this project the plots

storage_at = lru_cache(RDBStorage)  # by URL: one object in a process


class Study(optuna.Study):
    """A study that is used by ask() and tell(), one trial at a time."""

    def stop(self) -> None:
        """A sampler calls this when it has tried all values: remember that. Optuna's own method needs optimize()."""
        self.set_user_attr(EXHAUSTED, True)


class Database:
    """Where the study `name` lies: in the database at `url`, or without one in SQLite in the search's folder."""

    def __init__(self, folder: Path, url: str | None, name: str) -> None:
        self.in_folder = url is None
        self.url, self.name = url or f"sqlite:///{folder / 'study.db'}", name
        self.shown = masked(self.url)
        self.lock = folder / ".locks" / "study"

    @contextmanager
    def opened(self) -> Iterator[RDBStorage]:
        """Its storage, for one process at a time: SQLite fails if two wait for each other.

        Raises:
            StudyError: it cannot be used.
        """
        with FileLock(self.lock):
            try:
                yield storage_at(self.url)
            except (SQLAlchemyError, OptunaError) as error:
                reason: Any = error
                while reason.__cause__ and not hasattr(reason, "orig"):
                    reason = reason.__cause__
                text = " ".join(str(getattr(reason, "orig", reason)).split())
                raise StudyError(
                    f"search.storage: {self.shown} cannot be used ({text}); nothing in it is lost: run the same "
                    "command again when it can be used, or choose another storage"
                ) from error

    def study(self, sampler: BaseSampler | None = None, pruner: BasePruner | None = None) -> Study:
        """The study, which must exist; the database must be open. Without a pruner, no trial is pruned."""
        return Study(self.name, storage_at(self.url), sampler, pruner or NopPruner())

    def trial_id(self, number: int) -> int:
        """The storage's own number of a trial; the database must be open."""
        study_id = storage_at(self.url).get_study_id_from_name(self.name)
        return storage_at(self.url).get_trial_id_from_study_id_trial_number(study_id, number)


class Pruning(Callback):
    """Raises Pruned if the pruner stops the trial after a validation, except after the last one.

    Args:
        folder: of the trial; its name is the trial's number, its parent is the search's folder.
        pruner: None prunes nothing.
        metric, storage, study_name: those of the search.
    """

    def __init__(
        self, folder: str, metric: Metric, pruner: BasePruner | None, storage: str | None, study_name: str
    ) -> None:
        self.number, self.metric, self.pruner = int(Path(folder).name), metric, pruner
        self.database = Database(Path(folder).parent, storage, study_name)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking:
            return
        epoch, value = trainer.current_epoch, trainer.callback_metrics[self.metric].item()
        hopeless = self.report(epoch, value)
        if hopeless and epoch + 1 < (trainer.max_epochs or 0):
            raise Pruned(f"pruned after epoch {epoch + 1}: {self.metric} {value:.4f}")

    def report(self, epoch: int, value: float) -> bool:
        """Write a value into the study, and return whether the pruner stops the trial.

        A trial that was killed may already have reported later epochs; the pruner does not see those.
        """
        with self.database.opened() as storage:
            trial_id = self.database.trial_id(self.number)
            storage.set_trial_intermediate_value(trial_id, epoch, value)
            trial = storage.get_trial(trial_id)
            reported = trial.intermediate_values.items()
            trial.intermediate_values = {at: each for at, each in reported if at <= epoch}
            study = self.database.study(pruner=self.pruner)
            return study.pruner.prune(study, trial)
