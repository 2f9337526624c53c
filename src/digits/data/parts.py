"""What a file of digits holds, as bytes: the pixels of square pictures, and labels."""

import math
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from digits.data.mnist_form import SIDE


class NoPicturesError(ValueError):
    """A file holds something else than pictures of digits."""


class Part(NamedTuple):
    """What a file holds: images uint8 [N, side, side] and labels [N], uint8 or texts, or only one of the two."""

    images: NDArray[np.uint8] | None
    labels: NDArray[Any] | None


def decoded(content: bytes, name: object) -> NDArray[np.uint8]:
    """The grey values of a picture file: uint8 [28, 28]; ValueError: it is damaged or of another size."""
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE) if content else None
    if image is None:
        raise ValueError(f"{name} is damaged")
    if image.shape != (SIDE, SIDE):
        raise ValueError(f"{name} has {image.shape[1]}x{image.shape[0]} pixels, wanted {SIDE}x{SIDE}")
    return np.asarray(image, np.uint8)


def numbers(lines: Iterable[bytes], skip: int = 0, quote: str | None = None, **options: Any) -> NDArray[np.uint8]:
    """Whole numbers 0 to 255 between commas, [rows, columns]; ValueError: there is something else, or nothing."""
    options |= {"delimiter": ",", "comments": None, "skiprows": skip, "quotechar": quote, "ndmin": 2}
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # that there are no rows
        table = np.loadtxt(lines, np.uint8, encoding="utf-8", **options)
    if len(table) == 0:
        raise ValueError("no rows of numbers")
    return table


def labelled(table: NDArray[np.uint8], at: int) -> Iterator[Part]:
    """A table with the label in column `at`; without labels, if it has only the columns of square pictures."""
    if is_square(table.shape[1]):
        yield Part(squares(table), None)
    else:
        labels = table[:, at].copy()
        pixels = table[:, 1:] if at == 0 else np.delete(table, at, axis=1)
        yield Part(squares(pixels), labels)


def as_labels(values: NDArray[Any]) -> NDArray[Any]:
    """Labels [N] as uint8, also if they are numbers written as texts; other texts as they are.

    Raises:
        ValueError: a label is empty, or a number that is not whole or not from 0 to 255.
    """
    if values.dtype.kind != "U":
        return as_bytes(values)
    names, positions = np.unique(np.strings.strip(values), return_inverse=True)
    if all(name.isdecimal() for name in names):
        return as_bytes(names.astype(np.float64))[positions]  # some may be too long for an int64
    if "" in names:
        raise ValueError("a digit without a label")
    return names[positions]


def squares(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Pixels [N, …] as uint8 [N, side, side].

    Raises:
        NoPicturesError: the pictures are not square.
        ValueError: the pixels are not whole numbers from 0 to 255.
    """
    if pixels.ndim == 2 and is_square(pixels.shape[1]):
        pixels = pixels.reshape(-1, math.isqrt(pixels.shape[1]), math.isqrt(pixels.shape[1]))
    if pixels.ndim != 3 or pixels.shape[1] != pixels.shape[2]:
        shape = "x".join(map(str, pixels.shape[1:])) or "no"
        raise NoPicturesError(
            f"{shape} pixels in a picture, wanted a square number like {SIDE * SIDE}, without colours"
        )
    return as_bytes(pixels)


def is_square(number: int) -> bool:
    """Whether so many pixels make a square picture."""
    return math.isqrt(number) ** 2 == number


def as_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Whole numbers 0 to 255 of any type as uint8; ValueError: there are others."""
    with np.errstate(invalid="ignore"):  # of NaN, which the comparison finds
        kept = np.ascontiguousarray(values, np.uint8) if values.dtype.kind in "uif" else None
    if kept is None or (values.dtype != np.uint8 and not np.array_equal(kept, values)):
        raise ValueError("values that are not whole numbers 0 to 255")
    return kept
