"""The Optuna study of a search, in its storage: one process at a time, errors in one line."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning, OptunaError
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from digits.errors import StudyError

EXHAUSTED = "exhausted"

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.simplefilter("ignore", ExperimentalWarning)  # the user named the sampler, and the plots are ours to choose


class Study(optuna.Study):
    """A study whose trials are asked for and told one by one."""

    def stop(self) -> None:
        """Remember that the sampler has tried all there is.

        Samplers call this. Optuna's own version works only inside optimize().
        """
        self.set_user_attr(EXHAUSTED, True)


class Storage:
    """Where a study lies.

    Args:
        folder: of the search.
        url: of a database; None for SQLite in the folder.
        name: of the study.
    """

    def __init__(self, folder: Path, url: str | None, name: str) -> None:
        self.in_folder = url is None
        self.url, self.name = url or f"sqlite:///{folder / 'study.db'}", name
        self.lock = folder / ".locks" / "study"

    @contextmanager
    def opened(self) -> Iterator[RDBStorage]:
        """The database, for one process at a time: SQLite gives up where two wait for each other.

        Raises:
            StudyError: it cannot be used.
        """
        with FileLock(self.lock):
            try:
                yield database(self.url)
            except (SQLAlchemyError, OptunaError) as error:
                reason: Any = error
                while reason.__cause__ and not hasattr(reason, "orig"):
                    reason = reason.__cause__
                text = " ".join(str(getattr(reason, "orig", reason)).split())
                raise StudyError(
                    f"search.storage: {self.url} cannot be used ({text}); nothing in it is lost: run the same command "
                    "again when it can be used, or choose another storage"
                ) from error

    def study(self, sampler: BaseSampler | None = None, pruner: BasePruner | None = None) -> Study:
        """The study, which exists; the storage must be open. Without a pruner, none is pruned."""
        return Study(self.name, database(self.url), sampler, pruner or NopPruner())

    def trial_id(self, number: int) -> int:
        """The storage's own number of a trial; the storage must be open."""
        study_id = database(self.url).get_study_id_from_name(self.name)
        return database(self.url).get_trial_id_from_study_id_trial_number(study_id, number)


@lru_cache
def database(url: str) -> RDBStorage:
    """The database at `url`, one object in a process."""
    return RDBStorage(url)
