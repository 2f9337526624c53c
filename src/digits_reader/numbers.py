"""Read the numbers on a picture: several digits, line by line."""

import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from digits_reader.decode import PictureError, decode
from digits_reader.marks import Group
from digits_reader.pictures import prepare_number
from digits_reader.reader import Answer, Reader

# Chosen on 400 drawn numbers without and 400 with digits that touch: tests/written.py, pictures below 1000.
MAX_DOUBT = 5.5
MIN_CONFIDENCE = 0.8  # of each digit; below it, nine of twelve were wrong
MIN_HEIGHT = 0.4  # of a digit, as a share of the tallest one in its line; signs are lower
NO_DIGIT = (
    "marks that are no single digit: digits that touch, a sign, a line or an unclear digit; "
    "wanted clear digits with space between them"
)


@dataclass(frozen=True)
class PlacedDigit:
    """A digit of a number."""

    digit: int
    confidence: float  # its probability, 0 to 1
    box: tuple[int, int, int, int]  # left, top, right, bottom, pixels of the upright picture


@dataclass(frozen=True)
class Line:
    """A line of digits, read as one number."""

    number: str  # zeros at its start too
    digits: list[PlacedDigit]


def read_lines(reader: Reader, content: bytes) -> list[Line]:
    """Read the numbers on a picture file, from top to bottom.

    Args:
        reader: reads each digit.
        content: as for read_picture.

    Raises:
        PictureError: as read_picture; or marks that are no single digit, like digits that touch, or an unclear digit.
    """
    picture = decode(content)
    rows = prepare_number(picture)
    scale = max(Image.open(io.BytesIO(content)).size) / max(picture.size)  # decode() makes large pictures smaller
    answers = iter(reader.answers(np.stack([image for row in rows for _, image, _ in row])))
    lines = []
    for row in rows:
        tallest = max(group.height for group, _, _ in row)
        digits = [_placed(group, crowded, next(answers), tallest, scale) for group, _, crowded in row]
        lines.append(Line("".join(str(each.digit) for each in digits), digits))
    return lines


def _placed(group: Group, crowded: float, answer: Answer, tallest: int, scale: float) -> PlacedDigit:
    # Digits that touch are wide, many rows of pixels cross more than two strokes, and no digit is likely.
    doubt = 7 * group.width / tallest + 9 * crowded**0.5 + 1.1 * math.log(1.001 - answer.confidence)
    unlikely = not answer.certain or answer.confidence < MIN_CONFIDENCE
    if unlikely or doubt > MAX_DOUBT or group.height < MIN_HEIGHT * tallest:
        raise PictureError(NO_DIGIT)
    left, top, right, bottom = (round(scale * side) for side in group[1:])
    return PlacedDigit(answer.digit, answer.confidence, (left, top, right, bottom))
