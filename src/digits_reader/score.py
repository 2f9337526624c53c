"""Count how many pictures a model reads. Each file's name begins with what it shows, then names a set: 7_ann.png."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from digits_reader.reader import Reader
from digits_reader.terminal import Reading, read_numbers, read_pictures
from plain_errors import DataError

NAMES = {  # by whether numbers are read; `no` is for a picture of no digit
    False: (r"(\d|no(?=[\W_]|$))[\W_]*([^\W\d_]*)", "their digit, like 7_ann.png, or with `no`, like no_letter.png"),
    True: (r"(\d+(?:-\d+)*)[\W_]*([^\W\d_]*)", "their digits, line by line, like 42-7_ann.png"),
}


@dataclass(frozen=True)
class Judged:
    """What became of a picture. A doubted answer may be right and refused."""

    group: str  # that its name names
    is_right: bool  # the answer, or the best guess, is what the name says
    is_refused: bool  # there is no answer, or a doubted one
    confidence: float | None  # in the digit that was found on a picture of one
    said: str


def judge(reader: Reader, names: Iterable[str], number: bool) -> list[Judged]:
    """Read the pictures that the names stand for, one digit on each or, with `number`, several.

    Raises:
        DataError: a picture's name does not say what it shows.
    """
    return [_judged(reading, number) for reading in (read_numbers if number else read_pictures)(reader, names)]


def _judged(reading: Reading, number: bool) -> Judged:
    path, (pattern, wanted) = Path(reading.picture), NAMES[number]
    is_kept = not number and re.fullmatch(r"\d", path.parent.name)  # as 7/<id>.png: an id may begin with any digit
    name = re.match(pattern, path.parent.name if is_kept else path.stem)
    if name is None:
        raise DataError(f"{reading.picture}: wanted pictures whose names begin with {wanted}")
    answer, lines = reading.answer, reading.lines or []
    is_refused = answer.certain is False if answer else not lines
    found = str(answer.digit) if answer else "-".join(line.number for line in lines)
    confidence = answer.confidence if answer and name[1] != "no" else None
    said = f"{found}, {100 * answer.confidence:.1f} % sure" if answer else reading.error or found
    said += ", refused" if answer and is_refused else ""
    is_right = is_refused if name[1] == "no" else found == name[1]
    return Judged(name[2], is_right, is_refused, confidence, f"{reading.picture}: {said}")


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
