"""The full MNIST database: 60,000 training and 10,000 test digits.

Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", 1998.
"""

import gzip
import hashlib
import socket
import tempfile
import zlib
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any, ClassVar

import torch
from filelock import FileLock
from torch import Tensor
from torchvision import datasets

from digits.data.datamodule import DigitsData, Splits
from plain_errors import DataError

SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
WHAT_TO_DO = (
    "set MNIST_DIR to the folder that holds MNIST/raw or the four files (MNIST_DIR=… python train.py …), "
    "or take data=mnist_5k, which needs no download"
)
PATIENCE = 10  # seconds without an answer, then a download has failed


class Mnist(DigitsData):
    """MNIST from four files, unpacked or as .gz. If any is missing, all are downloaded to `folder`/MNIST/raw.

    Args:
        folder: the folder that holds MNIST/raw, raw or the files; torchvision calls it root.
    """

    name = "mnist"
    test_split = "official test split"
    train_total: ClassVar[int | None] = 60_000

    def __init__(self, folder: str, **options: Any) -> None:
        super().__init__(**options)
        self.folder = Path(folder).expanduser()
        self.raw = self.folder / "MNIST" / "raw"

    def prepare_data(self) -> None:
        """Download the files if any is missing. If several processes start at once, one downloads; the others wait."""
        try:
            if self._complete():
                return
            self.raw.mkdir(parents=True, exist_ok=True)
            with FileLock(self.raw / ".download.lock"):
                if not self._complete():
                    self._download()
        except (OSError, RuntimeError, HTTPException) as error:
            # torchvision's message has a line for each mirror before the line with what went wrong there
            lines = [line for line in str(error).splitlines() if line and not line.endswith(":")]
            reason = lines[0].removeprefix("<urlopen error ").removesuffix(">") if lines else type(error).__name__
            raise DataError(
                f"MNIST is not in {self.folder} and could not be downloaded ({reason}): {WHAT_TO_DO}"
            ) from error

    def read(self) -> Splits:
        """Read the four files; DataError: one is missing, damaged or has the content of another, by its SHA-256."""
        content = [self._checked(name) for name in SHA256]
        train_images, test_images = (_values(each, header=16).reshape(-1, 1, 28, 28) for each in content[::2])
        train_labels, test_labels = (_values(each, header=8).long() for each in content[1::2])
        sha256 = hashlib.sha256(b"".join(content)).hexdigest()
        return Splits(train_images, train_labels, test_images, test_labels, sha256)

    def _complete(self) -> bool:
        return all(self._path(name) for name in SHA256)

    def _path(self, name: str) -> Path | None:
        """The first file with this name, or with a dot in it: many sites write train-images.idx3-ubyte."""
        spellings = [f"{each}{end}" for each in (name, name.replace("-idx", ".idx")) for end in ("", ".gz")]
        folders = (self.raw, self.folder / "raw", self.folder)
        return next((folder / each for folder in folders for each in spellings if (folder / each).is_file()), None)

    def _download(self) -> None:
        """Download with torchvision to a temporary folder, then move the complete files to their place."""
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(PATIENCE)  # torchvision itself would wait forever
        try:
            with tempfile.TemporaryDirectory(dir=self.raw.parent) as temporary:
                datasets.MNIST(temporary, download=True)
                for name in SHA256:
                    (Path(temporary) / "MNIST" / "raw" / name).replace(self.raw / name)
        finally:
            socket.setdefaulttimeout(before)

    def _checked(self, name: str) -> bytes:
        path = self._path(name) or self.raw / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}; {WHAT_TO_DO}") from error
        if path.suffix == ".gz":
            with suppress(OSError, EOFError, zlib.error):  # a damaged file fails the check below
                content = gzip.decompress(content)
        found = hashlib.sha256(content).hexdigest()
        if found != SHA256[name]:
            other = next((o for o, sha256 in SHA256.items() if sha256 == found), None)
            what = f"holds what belongs in {other}" if other else f"is damaged (SHA-256 {found[:12]}…)"
            raise DataError(
                f"{path}: {what}, wanted SHA-256 {SHA256[name][:12]}…; "
                f"delete it and start again to download it anew, or {WHAT_TO_DO}"
            )
        return content


def _values(content: bytes, header: int) -> Tensor:
    """What follows the header of an IDX file, a byte for each pixel or label: uint8, flat."""
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=header)
