"""Whether files hold MNIST, whatever their form: by the SHA-256 of its four original files."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.data.forms import Form, forms_in, inside, parts_of
from digits.data.mnist_form import SIDE
from digits.data.parts import NoPicturesError, Part
from plain_errors import DataError

# Of the original IDX files, unpacked: a header of the shape, then a byte for each pixel or label. Pixels and labels
# from any other form are hashed after the same header.
SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
# Of the same digits in any order, see `hash_of_rows`.
ROWS_SHA256 = {
    "train": "54e1ab866c9484947dd4821c52bb7a43938f555d6b046be6af55247f8e6ffc64",
    "t10k": "97b756d55950f1841ebd48df7379b9b2fc87a10d63e08d6213dad41d564e8508",
}
MOST_TOLD = 3
# Hidden folders, those of one digit's pictures, and those that torchvision and others make for other sets.
NOT_LOOKED_INTO = re.compile(r"\.|\d$|(fashion|kuzushiji|k|q|e)[-_]?mnist", re.IGNORECASE)
COUNTS = (60_000, 10_000)  # training and test digits
KAGGLE = 42_000  # digits of MNIST's 70,000, shuffled
WORDS = ("training images", "training labels", "test images", "test labels")
FASHION = {  # its four files, which have the names of MNIST's
    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


class MnistFiles:
    """What a folder holds of MNIST.

    `pieces` are uint8 arrays by the name of the original file: images [N, 28, 28] and labels [N]. `others` are paths
    of what is no MNIST, by a few words on it. `reordered` is a path whose digits are MNIST's in another order.

    Args:
        folder: looked at together with MNIST/raw, raw and, if MNIST is not there, the folders three levels below.
    """

    def __init__(self, folder: Path) -> None:
        self.pieces: dict[str, NDArray[np.uint8]] = {}
        self.others: dict[str, list[Path]] = {}
        self.reordered: Path | None = None
        usual = [folder / "MNIST" / "raw", folder / "raw", folder]
        self._search(filter(Path.exists, usual))
        if self.missing:
            self._search(each for each in _below(folder) if each not in usual)

    @property
    def missing(self) -> str:
        """In words, what is not there; empty if MNIST is complete."""
        words = [word for word, name in zip(WORDS, SHA256, strict=True) if name not in self.pieces]
        return "MNIST" if len(words) == len(WORDS) else " and ".join(f"MNIST's {word}" for word in words)

    @property
    def can_be_downloaded(self) -> bool:
        """Whether something is missing, and nothing is there that a user takes for MNIST."""
        return bool(self.missing) and not self.others

    def found(self) -> str:
        """In words, what is there that is no MNIST, and where; empty if there is nothing."""
        counted = [(len(paths) - 1, paths[0], what) for what, paths in self.others.items()]
        told = [f"{path}{f' and {more} more' if more else ''}, {what}" for more, path, what in counted[:MOST_TOLD]]
        return "; ".join([*told, *(["and more"] if len(counted) > MOST_TOLD else [])])

    def sha256(self) -> str:
        """The hash of all content, the same for every form with the original order."""
        whole = hashlib.sha256()
        for name in SHA256:
            whole.update(_header(self.pieces[name]))
            whole.update(self.pieces[name].data)
        return whole.hexdigest()

    def _search(self, folders: Iterable[Path]) -> None:
        """Read what is in some folders, until nothing is missing."""
        for form, path in forms_in(folders):
            if self.missing:
                self._add(form, path)

    def _add(self, form: Form, path: Path) -> None:
        try:
            for part in parts_of(form, path):
                for half in _halves(part):
                    self._keep(path, half)
        except DataError as error:
            if isinstance(error.__cause__, NoPicturesError):
                return
            self.others.setdefault(str(error), []).append(path)

    def _keep(self, path: Path, part: Part) -> None:
        """Keep what is MNIST; note what is not, except for what nobody takes for it."""
        if part.images is not None and part.images.shape[1:] != (SIDE, SIDE):
            return
        hashes = [None if values is None else hash_of(values) for values in part]
        names = {sha256: name for name, sha256 in SHA256.items()}
        unknown = [sha256 for sha256 in hashes if sha256 and sha256 not in names]
        if unknown and (split := _split_in_any_order(part)):
            names_of_pair = [name for name in SHA256 if name.startswith(split)]
            if not self.pieces.keys() & names_of_pair:  # images and labels in the same order
                self.reordered = path
                hashes = [SHA256[name] for name in names_of_pair]
            unknown = []
        for values, sha256 in zip(part, hashes, strict=True):
            if values is not None and sha256 in names:
                self.pieces.setdefault(names[sha256], values)
        if unknown:
            self.others.setdefault(_described(part, unknown), []).append(path)


def hash_of(values: NDArray[np.uint8]) -> str:
    """SHA-256 of images [N, 28, 28] or labels [N] as an IDX file would hold them."""
    whole = hashlib.sha256(_header(values))
    whole.update(values.data)
    return whole.hexdigest()


def hash_of_rows(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> str:
    """A hash of images [N, 28, 28] with labels [N] that does not depend on their order.

    Each digit has a SHA-256, of its pixels and its label; this is the SHA-256 of all those, sorted.
    """
    rows = np.concatenate([images.reshape(len(images), -1), labels[:, None]], axis=1)
    return hashlib.sha256(b"".join(sorted(hashlib.sha256(row).digest() for row in rows))).hexdigest()


def _split_in_any_order(part: Part) -> str | None:
    """train or t10k, if the digits are those; None if they are others."""
    if part.images is None or part.labels is None or len(part.images) != len(part.labels):
        return None
    if part.labels.dtype != np.uint8:  # texts
        return None
    found = hash_of_rows(part.images, part.labels)
    return next((split for split, sha256 in ROWS_SHA256.items() if sha256 == found), None)


def _halves(part: Part) -> Iterator[Part]:
    """The training and the test digits of a file that holds all 70,000; else all of it."""
    images, labels = part
    if images is None or labels is None or not len(images) == len(labels) == sum(COUNTS):
        yield part
    else:
        yield from map(Part, np.split(images, COUNTS[:1]), np.split(labels, COUNTS[:1]))


def _described(part: Part, unknown: list[str]) -> str:
    """What is there that is not MNIST; `unknown` are the hashes that are not those of MNIST's files."""
    images, labels = part
    if FASHION & set(unknown):
        return "Fashion-MNIST (clothes, no digits), which data=idx reads"
    if labels is not None and len(labels) == KAGGLE:
        return f"Kaggle's train.csv, {KAGGLE:,} labelled digits without a labelled test split; data=table reads it"
    if images is None or hash_of(images) not in unknown:
        return "labels that are not MNIST's: of another set, or damaged"
    return f"{len(images):,} pictures that are not MNIST's: of another set, or damaged"


def _header(values: NDArray[Any]) -> bytes:
    """The header of an IDX file of bytes."""
    return np.array([0x800 + values.ndim, *values.shape], ">i4").tobytes()


def _below(folder: Path) -> Iterator[Path]:
    """The folders one to three levels below that may hold MNIST."""
    level = [folder]
    for _ in range(3):
        below = [child for each in level if each.is_dir() for child in inside(each)]
        level = [each for each in below if each.is_dir() and not NOT_LOOKED_INTO.match(each.name)]
        yield from level
