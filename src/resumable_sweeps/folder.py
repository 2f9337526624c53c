"""The folder of a sweep, and the locks in it: the kernel releases them when their process ends, however it ends."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from plain_errors import ConfigError


def free_lock(path: Path) -> FileLock | None:
    """Take a lock, which is kept while the object lives; None if another process has it."""
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock


def job_lock(folder: Path, number: int) -> FileLock:
    """The lock that a parallel launcher's process holds while it runs a job. It may outlive its driver for a moment."""
    (folder / ".locks").mkdir(exist_ok=True)
    return FileLock(folder / ".locks" / f"{number}.job")


def delete_job(folder: Path, number: int) -> None:
    """Delete the folder of a job, once no process works in it any more."""
    with job_lock(folder, number):
        if (folder / str(number)).exists():
            shutil.rmtree(folder / str(number))


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Say in one line why the folder of a sweep cannot be made or written."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"hydra.sweep.dir: cannot make {folder} ({error.strerror}); choose a folder that can be written"
        ) from error
