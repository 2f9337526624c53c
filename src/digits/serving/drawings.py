"""Drawings people gave with their right digit, kept in one SQLite file."""

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
    """One of them.

    Attributes:
        id: chosen by who gave it, so that giving it twice keeps it once.
        image: 784 bytes, 28 rows of 28: ink 255, paper 0, as the model saw it.
        label: the digit it is.
        model: which was asked, and what it answered.
        answer: see model.
        time: when it was given, ISO 8601 in UTC.
    """

    id: str
    image: bytes
    label: int
    model: str
    answer: int
    time: str


class Drawings:
    """The file. Threads and processes may use it at once; what `keep` returned from is on the disk.

    Args:
        path: of the file.
        create: begin an empty one where there is none.

    Raises:
        DataError: here and in each method: it is not there, no such file, damaged, locked or the disk is full.
    """

    def __init__(self, path: Path, create: bool = False) -> None:
        self.path, self._lock = path, Lock()
        if not create and not path.is_file():
            raise DataError(f"{path}: no such file; wanted the drawings that scripts/serve.py keeps")
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._told():
            self._connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute(SCHEMA)

    def keep(self, drawing: Drawing) -> bool:
        """Add a drawing; False where its id is there already, which stays as it is."""
        with self._told():
            added = self._connection.execute(
                "INSERT INTO drawings VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING", astuple(drawing)
            )
        return added.rowcount == 1

    def forget(self, id: str) -> bool:
        """Remove a drawing for good; False where there is none of this id."""
        with self._told():
            self._connection.execute("PRAGMA secure_delete = ON")
            return self._connection.execute("DELETE FROM drawings WHERE id = ?", (id,)).rowcount == 1

    def all(self) -> list[Drawing]:
        """Every drawing, the oldest first."""
        with self._told():
            rows = self._connection.execute("SELECT * FROM drawings ORDER BY time, id").fetchall()
        return [Drawing(*row) for row in rows]

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise DataError(f"{self.path}: {error}; wanted a file of drawings to read and write") from error
