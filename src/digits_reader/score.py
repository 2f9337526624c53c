"""Count how many pictures a model reads. Each file's name begins with what it shows, then names a set: 7_ann.png."""

import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digits_reader.reader import Reader
from digits_reader.terminal import Reading, paths_of, read_numbers, read_pictures
from plain_errors import DataError

NAMES = {  # by whether numbers are read; `no` is for a picture of no digit
    False: (r"(\d|no(?=[\W_]|$))[\W_]*([^\W\d_]*)", "their digit, like 7_ann.png, or with no"),
    True: (r"(\d+(?:-\d+)*)[\W_]*([^\W\d_]*)", "their digits, line by line, like 42-7_ann.png"),
}


@dataclass(frozen=True)
class Judged:
    """What became of a picture. A doubted answer may be right and refused."""

    group: str  # that its name names
    is_right: bool  # the answer, or the best guess, is what the name says
    is_refused: bool  # there is no answer, or a doubted one
    said: str


def judge(reader: Reader, names: Iterable[str], number: bool) -> list[Judged]:
    """Read the pictures that the names stand for, one digit on each or, with `number`, several.

    Raises:
        DataError: a picture's name does not say what it shows.
    """
    return [_judged(reading, number) for reading in (read_numbers if number else read_pictures)(reader, names)]


def _judged(reading: Reading, number: bool) -> Judged:
    pattern, wanted = NAMES[number]
    name = re.match(pattern, Path(reading.picture).stem)
    if name is None:
        raise DataError(f"{reading.picture}: wanted pictures whose names begin with {wanted}")
    answer, lines = reading.answer, reading.lines or []
    is_refused = not (answer.certain if answer else lines)
    found = str(answer.digit) if answer else "-".join(line.number for line in lines)
    said = f"{found}, {answer.confidence:.1%} sure" if answer else reading.error or found
    return Judged(
        name[2], is_refused if name[1] == "no" else found == name[1], is_refused, f"{reading.picture}: {said}"
    )


def write_scores(judged: list[Judged]) -> None:
    """Print the shares of pictures that are right, refused and neither, by set; then what was said of the others."""
    by_group: dict[str, list[Judged]] = defaultdict(list)
    for each in sorted(judged, key=lambda each: each.group):
        by_group[each.group].append(each)
    if len(by_group) > 1:
        by_group["all"] = judged
    print(f"{'':12} pictures  right, %  refused, %  wrong, %")
    for group, members in by_group.items():
        right, refused = [each.is_right for each in members], [each.is_refused for each in members]
        wrong = np.mean([not (a or b) for a, b in zip(right, refused, strict=True)])
        shares = f"{100 * np.mean(right):9.2f} {100 * np.mean(refused):11.2f} {100 * wrong:9.2f}"
        print(f"{group or 'all':12} {len(members):8} {shares}")
    print(*(each.said for each in judged if not each.is_right), sep="\n")


def simpler_scores(reader: Reader, names: Iterable[str]) -> dict[str, float]:
    """The share of pictures of digits that is right when they are prepared as simple exercises do."""
    shares = {}
    ways: list[Callable[[Image.Image], NDArray[np.float32]]] = [cropped, inverted]
    files = [(int(path.name[0]), path.read_bytes()) for name in names for path in paths_of(name)]
    for prepare in ways:
        images = np.stack([prepare(Image.open(io.BytesIO(content)).convert("L")) for _, content in files])
        right = [answer.digit == digit for answer, (digit, _) in zip(reader.answers(images), files, strict=True)]
        shares[prepare.__name__] = float(np.mean(right))
    return shares


def inverted(picture: Image.Image) -> NDArray[np.float32]:
    """Invert and resize: float32 [1, 28, 28]."""
    return 1 - np.asarray(picture.resize((28, 28)), np.float32)[None] / np.float32(255)


def cropped(picture: Image.Image) -> NDArray[np.float32]:
    """Invert, drop levels below 50, crop, scale, centre: float32 [1, 28, 28]."""
    grey = 255 - np.asarray(picture)
    grey = np.where(grey > 50, grey, 0)
    rows, columns = np.flatnonzero(grey.any(axis=1)), np.flatnonzero(grey.any(axis=0))
    cut = Image.fromarray(grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    scale = 20 / max(cut.size)
    small = np.asarray(cut.resize([max(1, round(side * scale)) for side in cut.size]))
    top, left = (24 - round((sums := small.sum(axis)) @ np.arange(len(sums)) / sums.sum()) for axis in (1, 0))
    image = np.zeros((1, 48, 48), np.float32)
    image[0, top : top + len(small), left : left + len(small[0])] = small / 255
    return image[:, 10:38, 10:38]
