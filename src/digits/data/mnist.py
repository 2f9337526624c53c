"""The full MNIST database: 60,000 training and 10,000 test digits.

Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", 1998.
"""

import hashlib
import logging
import os
import shutil
import socket
import tempfile
from http.client import HTTPException
from pathlib import Path
from typing import Any, ClassVar

import torch
from filelock import FileLock
from torchvision import datasets

from atomic_files import atomic_path, delete_unfinished
from digits.data.datamodule import DigitsData, Splits
from digits.data.mnist_files import SHA256, MnistFiles
from plain_errors import DataError

WHAT_TO_DO = (
    "set MNIST_DIR to the folder that holds MNIST in any form of docs/own-data.md{} (MNIST_DIR=… python train.py …), "
    "or take data=mnist_5k, which needs no download"
)
OR_DOWNLOAD = ", or to a new one for a download"
PATIENCE = 10  # seconds without an answer, then a download has failed

log = logging.getLogger(__name__)


class Mnist(DigitsData):
    """MNIST in any form that people keep it in, see digits.data.forms, verified by SHA-256.

    If the folder holds none of it, four files are downloaded to `folder`/MNIST/raw.

    Args:
        folder: the folder that holds MNIST, or MNIST/raw; torchvision calls it root. It may be one file.
    """

    name = "mnist"
    test_split = "official test split"
    train_total: ClassVar[int | None] = 60_000

    def __init__(self, folder: str, **options: Any) -> None:
        super().__init__(**options)
        self.folder = Path(folder).expanduser()
        self.raw = self.folder / "MNIST" / "raw"
        self.files: MnistFiles | None = None

    def prepare_data(self) -> None:
        """Find the files, and download them where there are none. Of several processes, one downloads; others wait."""
        if self.sha256:  # Lightning calls this again
            return
        self.files = MnistFiles(self.folder)
        if not self.files.can_be_downloaded:
            return
        try:
            with FileLock(_lock_of(self.raw)):
                self.files = MnistFiles(self.folder)
                if self.files.can_be_downloaded:
                    delete_unfinished(self.raw)
                    log.info(f"{self.folder} lacks {self.files.missing}: downloading 12 MB to {self.raw}")
                    self._download()
                    self.files = MnistFiles(self.folder)
        except (OSError, RuntimeError, HTTPException) as error:
            # torchvision's message has a line for each mirror before the line with what went wrong there
            lines = [line for line in str(error).splitlines() if line and not line.endswith(":")]
            reason = lines[0].removeprefix("<urlopen error ").removesuffix(">") if lines else type(error).__name__
            raise DataError(
                f"{self.folder} lacks {self.files.missing}, which could not be downloaded ({reason}): "
                f"{WHAT_TO_DO.format('')}"
            ) from error

    def read(self) -> Splits:
        """Read the files; DataError: they are missing, or something else than MNIST by its SHA-256."""
        files, self.files = self.files or MnistFiles(self.folder), None
        if files.missing:
            found = f" (found {files.found()})" if files.others else ""
            raise DataError(f"{self.folder} lacks {files.missing}{found}: {WHAT_TO_DO.format(OR_DOWNLOAD)}")
        if files.reordered:
            log.info(f"{files.reordered}: MNIST in another order than the original files, so other digits validate")
        pieces = [torch.from_numpy(files.pieces[name]) for name in SHA256]
        train_images, test_images = (images[:, None] for images in pieces[::2])
        train_labels, test_labels = (labels.long() for labels in pieces[1::2])
        return Splits(train_images, train_labels, test_images, test_labels, files.sha256())

    def _download(self) -> None:
        """Download with torchvision to a temporary folder, then copy the complete files to their place."""
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(PATIENCE)  # torchvision itself would wait forever
        try:
            with tempfile.TemporaryDirectory() as temporary:
                datasets.MNIST(temporary, download=True)
                for name in SHA256:
                    with atomic_path(self.raw / name) as path:
                        shutil.copyfile(Path(temporary) / "MNIST" / "raw" / name, path)
        finally:
            socket.setdefaulttimeout(before)


def _lock_of(folder: Path) -> Path:
    """A user's lock for a download to a folder. It is not in the folder, where it would stay."""
    whose = f"{os.path.expanduser('~')} {folder.absolute()}"  # noqa: PTH111  Path.home() can fail
    return Path(tempfile.gettempdir()) / f"digits-{hashlib.sha256(whose.encode()).hexdigest()[:16]}.lock"
