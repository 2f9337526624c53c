"""Sets of one's own digits: splits, classes and checks that are the same wherever the digits come from."""

import hashlib
import logging
from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from digits.data.by_content import TEST_SHARE, chosen_by_content
from digits.data.datamodule import DIGITS, DigitsData, Splits
from digits.data.mnist_form import SIDE, in_mnist_form
from digits.data.parts import Part
from plain_errors import ConfigError, DataError

LIGHT = 127  # the middle of paper and ink
MOST_TEXTS = 62  # classes whose labels are texts: digits, capital and small letters
LEAST = 2  # digits of a class in the training split: one for training, one for validation

log = logging.getLogger(__name__)


class OwnDigits(DigitsData):
    """Digits of 28x28 pixels are taken as they are; other sizes are brought into the form of MNIST's.

    Where no test split is given, the pixels of a digit decide whether it belongs to it, so those that are there stay
    where they are when others are added. The labels are whole numbers from 0 to 255, mostly digits; with `classes` null
    those that are there are the classes. If one label is another text, all are texts, and the sorted ones the classes.

    Args:
        source: the file or folder that the digits are in.
    """

    def __init__(self, source: str, **options: Any) -> None:
        super().__init__(**options)
        self.source = Path(source).expanduser()
        self.name = self.source.resolve().stem
        self.takes_all_classes = options.get("classes") is None

    @abstractmethod
    def parts(self) -> list[Part]:
        """Read one split, or the training and the test split; DataError: they cannot be read."""

    def read(self) -> Splits:
        """Read the digits and split them, if they are not; DataError: they are too few, or no digits."""
        parts = [_paired(self.source, part) for part in self.parts()]
        if any(labels.dtype.kind == "U" for _, labels in parts):
            parts = [(images, labels.astype(str)) for images, labels in parts]
        chosen = f"{100 * TEST_SHARE:.0f} % of the pictures, chosen by their pixels"
        self.test_split = chosen if len(parts) == 1 else "the test split that came with the digits"
        if len({images.shape[1:] for images, _ in parts}) > 1:
            raise DataError(f"{self.source}: pictures of one size for training and of another for the test")
        if len(parts) == 1:
            ((images, labels),) = parts
            is_test = chosen_by_content(images, TEST_SHARE)
            parts = [(images[~is_test], labels[~is_test]), (images[is_test], labels[is_test])]
        self._choose_classes(*(labels for _, labels in parts))
        if isinstance(self.classes[0], str):
            log.info(f"{self.source}: the labels are {', '.join(self.classes)}")
            parts = [(images, np.searchsorted(self.classes, labels).astype(np.uint8)) for images, labels in parts]
        sha256 = hashlib.sha256(b"".join(values.tobytes() for pair in parts for values in pair)).hexdigest()
        (train, train_labels), (test, test_labels) = self._formed(parts)
        return Splits(train, train_labels, test, test_labels, sha256)

    def _choose_classes(self, train: NDArray[Any], test: NDArray[Any]) -> None:
        """Take the classes from the labels, and check that there are enough digits of each."""
        if self.takes_all_classes:
            self.classes = np.union1d(train, test).tolist()
        if train.dtype.kind == "U":
            names = ", ".join(self.classes[:MOST_TEXTS])
            if not self.takes_all_classes:
                raise ConfigError(f"data.classes: chooses among digits, but the labels of {self.source} are {names}")
            if len(self.classes) > MOST_TEXTS:
                raise DataError(f"{self.source}: {len(self.classes)} labels ({names} …), wanted at most {MOST_TEXTS}")
        if len(self.classes) < 2:
            what = f"all digits are of class {self.classes[0]}" if self.classes else "no digits"
            raise DataError(f"{self.source}: {what}, wanted two classes at least")
        few = [str(each) for each in self.classes if np.count_nonzero(train == each) < LEAST]
        if few:
            raise DataError(
                f"{self.source}: too few digits of class {', '.join(few)} for training: wanted {LEAST} of each, "
                f"beside the test split ({self.test_split})"
            )
        if not np.isin(test, self.classes).any():
            raise DataError(f"{self.source}: too few digits for a test split ({self.test_split}); add some")
        if (self.hands or self.drawings) and not set(self.classes) <= set(DIGITS):
            key = "hands" if self.hands else "drawings"
            raise ConfigError(
                f"data.{key}: adds digits 0 to 9, but the labels of {self.source} go to {self.classes[-1]}"
            )

    def _formed(self, parts: list[tuple[NDArray[np.uint8], NDArray[Any]]]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Bring images into the form that Splits have, white ink on black."""
        size = parts[0][0].shape[1:]
        edges = np.concatenate([_edges(images) for images, _ in parts])
        is_on_light = np.mean(np.median(edges, axis=1) > LIGHT) > 0.5
        told = [f"scaled from {size[1]}x{size[0]} to {SIDE}x{SIDE}"] if size != (SIDE, SIDE) else []
        told += ["inverted, as most have dark ink on light paper"] if is_on_light else []
        number = sum(len(labels) for _, labels in parts)
        log.info(f"{self.source}: {number:,} pictures, {' and '.join(told) or 'as they are'}")
        formed = []
        for images, labels in parts:
            white = 255 - images if is_on_light else images
            if size != (SIDE, SIDE):
                white = np.stack([in_mnist_form(image) for image in white])
            formed.append((torch.from_numpy(np.ascontiguousarray(white))[:, None], torch.from_numpy(labels).long()))
        return formed


def _paired(source: Path, part: Part) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Images with labels, at least one; DataError: they do not belong together."""
    images, labels = part
    if images is None or labels is None:
        raise DataError(f"{source}: {'labels' if images is None else 'pictures'} alone, wanted pictures with labels")
    if len(images) != len(labels):
        raise DataError(f"{source}: {len(images):,} pictures, but {len(labels):,} labels")
    if len(images) == 0:
        raise DataError(f"{source}: no digits")
    return images, labels


def _edges(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The pixels along the four edges of each image, [N, 4 * side]."""
    return np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1)
