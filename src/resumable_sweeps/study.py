"""The Optuna study of a search, in a file of its folder."""

import os
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Literal

import optuna
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from atomic_files import atomic_path
from plain_errors import StudyError, in_one_line

Metric = Literal["val/accuracy", "val/loss"]
NAME = "search"  # of the only study in a journal
EXHAUSTED = "exhausted"  # the attribute of a study whose sampler has tried all there is
BEGINNING = b'{"op_code"'  # of each line of a journal
GRACE = 10  # seconds until a lock is taken from a process that was killed in the milliseconds of a write

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.simplefilter("ignore", ExperimentalWarning)  # the user chose the sampler, and this project the plots


class Study(optuna.Study):
    """A study that is used by ask() and tell(), one trial at a time."""

    def stop(self) -> None:
        """A sampler calls this when it has tried all values: remember that. Optuna's own method needs optimize()."""
        self.set_user_attr(EXHAUSTED, True)


class Journal:
    """The study of the search in `folder`: a file to which several processes and machines append a line at a time."""

    def __init__(self, folder: Path) -> None:
        self.file, self.former = folder / "study.jsonl", folder / "study.db"
        self.lock = FileLock(folder / ".locks" / "study")  # for what must see no other driver's lines in between

    @property
    def storage(self) -> JournalStorage:
        """The storage, which this process opens once.

        Raises:
            StudyError: the file is not a journal.
        """
        return _storage(self.file)

    def study(self, sampler: BaseSampler | None = None, pruner: BasePruner | None = None) -> Study:
        """The study, which must exist. Without a pruner, no trial is pruned."""
        return Study(NAME, self.storage, sampler, pruner or NopPruner())

    def trial_id(self, number: int) -> int:
        """The storage's own number of a trial."""
        return self.storage.get_trial_id_from_study_id_trial_number(self.storage.get_study_id_from_name(NAME), number)

    def convert(self) -> None:
        """Copy the study of a former version, which kept it in SQLite, unless that is done."""
        if self.file.exists() or not self.former.exists():
            return
        try:
            former = RDBStorage(f"sqlite:///{self.former}")
            (study,) = former.get_all_studies()
            with atomic_path(self.file) as temporary:
                journal = JournalStorage(JournalFileBackend(str(temporary), Lock(temporary)))
                optuna.copy_study(
                    from_study_name=study.study_name, from_storage=former, to_storage=journal, to_study_name=NAME
                )
            former.engine.dispose()
        except Exception as error:
            raise StudyError(
                f"{self.former}: cannot be read ({in_one_line(error)}); wanted a search's study"
            ) from error


class Lock(JournalFileOpenLock):
    """Optuna's lock for all file systems. Who gets it removes what a process left that was killed as it wrote."""

    def __init__(self, file: Path) -> None:
        super().__init__(str(file), grace_period=GRACE)
        self.file = file

    def acquire(self) -> bool:
        """Wait for the lock. Half a line at the end would spoil the next one, and all that follow."""
        super().acquire()
        with self.file.open("rb+") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
            if file.read() not in (b"", b"\n"):
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
        return True


@lru_cache
def _storage(file: Path) -> JournalStorage:
    if file.exists():
        with file.open("rb") as lines:
            beginning = lines.read(len(BEGINNING))
        if not BEGINNING.startswith(beginning):
            raise StudyError(f"{file}: is not the study of a search; choose another hydra.sweep.dir")
    try:
        return JournalStorage(JournalFileBackend(str(file), Lock(file)))
    except (ValueError, LookupError) as error:
        raise StudyError(f"{file}: is damaged ({in_one_line(error)}); choose another hydra.sweep.dir") from error
