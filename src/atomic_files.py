"""Files that are either whole or not there."""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a free name beside `path` for a file that is renamed to `path` on success, and deleted on failure.

    The data reach the disk before the new name does, so a crash leaves the old file or the new one.
    """
    made = [folder.parent for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}")  # mkstemp's file is hidden from others
    try:
        yield temporary
        _fsync(temporary)
        temporary.replace(path)
        for folder in (path.parent, *made):
            _fsync(folder)
    except OSError as error:
        if error.filename == str(temporary):  # nobody knows this name
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def delete_unfinished(folder: Path) -> None:
    """Delete what killed processes have left of files in and below `folder`, where nobody else may write now."""
    for path in folder.rglob(f".*.{'[0-9a-f]' * 8}"):
        path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 `text` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def delete(path: Path) -> None:
    """Delete a file; it does not come back after a crash."""
    path.unlink()
    _fsync(path.parent)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot sync a folder
            raise
    finally:
        os.close(descriptor)
