"""Keep drawings with their labels in one SQLite file."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from threading import Lock
from typing import Literal

from plain_errors import DataError

SCHEMA = """
CREATE TABLE IF NOT EXISTS drawings (
    id TEXT PRIMARY KEY,
    image BLOB NOT NULL CHECK (length(image) = 784),
    label INTEGER NOT NULL CHECK (label BETWEEN 0 AND 9),
    model TEXT NOT NULL,
    answer INTEGER NOT NULL,
    time TEXT NOT NULL
) STRICT, WITHOUT ROWID
"""
# SQLite opens a file that is not writable without an error; BEGIN IMMEDIATE then fails.
TO_WRITE = [
    *("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA secure_delete = ON"),
    *("BEGIN IMMEDIATE", SCHEMA, "COMMIT"),
]


@dataclass(frozen=True)
class Drawing:
    """A drawing and its label."""

    id: str  # made by the client, so that a repeated request adds nothing
    image: bytes  # 784: 28 rows of 28, ink 255, paper 0, as the model read it
    label: int  # the digit it shows, chosen by a person
    model: str  # name of the model that read it
    answer: int  # the digit that model answered
    time: str  # of arrival, ISO 8601 in UTC


class Drawings:
    """A file of drawings. Threads and processes may share it; what a method changed is on the disk when it returns.

    Args:
        path: of the file.
        mode: as in SQLite's URIs: `ro` to read, `rw` to write too, `rwc` to create a missing file too.

    Raises:
        DataError: here and in each method: the file is missing, damaged, locked or not writable, or the disk is full.
    """

    def __init__(self, path: Path, mode: Literal["ro", "rw", "rwc"] = "ro") -> None:
        self.path, self._mode, self._lock = path.expanduser(), mode, Lock()
        if mode != "rwc" and not self.path.is_file():
            raise DataError(f"{self.path}: no such file; wanted the drawings that scripts/serve.py saves")
        options = f"mode={mode}"
        if mode == "ro" and not self.path.with_name(f"{self.path.name}-wal").exists():
            options += "&immutable=1"  # nobody writes now; without this, SQLite makes files beside this one to read it
        with self._locked():
            if mode == "rwc":
                self.path.parent.mkdir(parents=True, exist_ok=True)
            uri = f"{self.path.absolute().as_uri()}?{options}"
            self._connection = sqlite3.connect(uri, timeout=10, isolation_level=None, check_same_thread=False, uri=True)
            for statement in () if mode == "ro" else TO_WRITE:
                self._connection.execute(statement)

    def add(self, drawing: Drawing) -> bool:
        """Save a drawing; False, and no change, if there is one with its id."""
        with self._locked():
            statement = "INSERT INTO drawings VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
            return self._connection.execute(statement, astuple(drawing)).rowcount == 1

    def delete(self, id: str) -> bool:
        """Delete a drawing and overwrite its bytes in the file; False if there is none with this id."""
        with self._locked():
            return self._connection.execute("DELETE FROM drawings WHERE id = ?", (id,)).rowcount == 1

    def all(self) -> list[Drawing]:
        """Every drawing, the oldest first."""
        with self._locked():
            rows = self._connection.execute("SELECT * FROM drawings ORDER BY time, id").fetchall()
        return [Drawing(*row) for row in rows]

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one thread at a time use the connection; turn the errors of SQLite and of the disk into DataError."""
        with self._lock:
            try:
                yield
            except (sqlite3.Error, OSError) as error:
                reason = getattr(error, "strerror", None) or error
                wanted = "to read" if self._mode == "ro" else "that can be written, in a folder that can"
                raise DataError(f"{self.path}: {reason}; wanted a file of drawings {wanted}") from error
