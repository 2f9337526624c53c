"""Keep drawings with their labels in one SQLite file."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from threading import Lock

from digits.errors import DataError

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
        create: whether to create a missing file.

    Raises:
        DataError: here and in each method: the file is missing, damaged or locked, or the disk is full.
    """

    def __init__(self, path: Path, create: bool = False) -> None:
        self.path, self._lock = path, Lock()
        if not create and not path.is_file():
            raise DataError(f"{path}: no such file; wanted the drawings that scripts/serve.py saves")
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
            for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA secure_delete = ON"):
                self._connection.execute(statement)
            self._connection.execute(SCHEMA)

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
        """Let one thread at a time use the connection; turn SQLite's errors into DataError."""
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise DataError(f"{self.path}: {error}; wanted a file of drawings to read and write") from error
