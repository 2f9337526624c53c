"""Keep drawings with their labels as pictures, 7/<id>.png: the folder's name is the label."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from filelock import FileLock
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from atomic_files import atomic_path, delete
from plain_errors import DataError

BLOCK = 4096  # bytes: as much as a drawing takes on the disk


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
    """A folder of drawings. Threads and processes may share it; what a method changed is on the disk when it returns.

    Raises:
        DataError: here and in each method: the folder is a file or not writable, the disk is full, or a file in it is
            no drawing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser()
        if self.folder.is_file():
            convert = f"digits drawings --file {self.folder} export {self.folder.with_suffix('')}"
            raise DataError(f"{self.folder}: is a file, wanted a folder; if an older version wrote it: {convert}")

    def check_writable(self) -> None:
        """Make the folder, if there is none, and try whether a drawing has room there."""
        with self._made(), TemporaryFile(dir=self.folder, buffering=0) as file:
            file.write(bytes(BLOCK))

    def add(self, drawing: Drawing) -> bool:
        """Save a drawing; False, and no change, if there is one with its id."""
        texts = PngInfo()
        for key in ("model", "answer", "time"):
            texts.add_itxt(key, str(getattr(drawing, key)))
        with self._locked():
            if self._paths(drawing.id):
                return False
            with atomic_path(self.folder / str(drawing.label) / f"{drawing.id}.png") as path:
                Image.frombytes("L", (28, 28), drawing.image).save(path, "PNG", pnginfo=texts)
        return True

    def delete(self, id: str) -> bool:
        """Delete a drawing; False if there is none with this id."""
        with self._locked():
            paths = self._paths(id)
            for path in paths:
                delete(path)
        return bool(paths)

    def ids(self, start: str) -> list[str]:
        """The ids that begin so; none for an empty text."""
        return sorted({path.stem for path in self.folder.glob("[0-9]/*.png") if start and path.stem.startswith(start)})

    def all(self) -> list[Drawing]:
        """Every drawing, the oldest first."""
        if not self.folder.is_dir():
            raise DataError(f"{self.folder}: no such folder; wanted the drawings that digits serve saves")
        drawings = [_read(path) for path in self.folder.glob("[0-9]/*.png")]
        return sorted(drawings, key=lambda drawing: (drawing.time, drawing.id))

    def _paths(self, id: str) -> list[Path]:
        paths = (self.folder / str(label) / f"{id}.png" for label in range(10))
        return [path for path in paths if path.exists()]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one thread of one process at a time change the folder."""
        with self._made(), FileLock(self.folder / ".lock", poll_interval=0.005):
            yield

    @contextmanager
    def _made(self) -> Iterator[None]:
        """Make the folder, if there is none; turn the disk's errors into DataError."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            yield
        except OSError as error:
            raise DataError(f"{self.folder}: {error.strerror}; wanted a folder that can be written") from error


def _read(path: Path) -> Drawing:
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            image, texts = picture.tobytes(), picture.info
        if (picture.mode, picture.size) != ("L", (28, 28)):
            raise ValueError(f"{picture.mode} {picture.size}")
        id, label, answer = path.stem, int(path.parent.name), int(texts["answer"])
        return Drawing(id, image, label, str(texts["model"]), answer, str(texts["time"]))
    except (OSError, ValueError, KeyError, SyntaxError) as error:  # Pillow's of a damaged file
        raise DataError(f"{path}: not a drawing that the page saved ({error})") from error


def drawings_of_older_version(file: Path) -> list[Drawing]:
    """Read the SQLite file in which older versions kept drawings, the oldest first.

    Raises:
        DataError: it is no such file.
    """
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True)) as store:
            rows = store.execute("SELECT id, image, label, model, answer, time FROM drawings ORDER BY time, id")
            return [Drawing(*row) for row in rows]
    except sqlite3.Error as error:
        raise DataError(f"{file}: {error}; wanted a folder of drawings, or an older version's file") from error
