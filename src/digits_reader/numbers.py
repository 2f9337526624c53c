"""Read the numbers on a picture: several digits, line by line."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from digits_reader.decode import PictureError
from digits_reader.marks import Cluster
from digits_reader.pictures import prepare_number
from digits_reader.reader import Answer, Reader

# Whether a cluster of marks is one digit; the static site gets these too. MAX_DOUBT and the weights were chosen on 400
# drawn numbers without and 400 with digits that touch: digits draw numbers, pictures below 1000.
LIMITS = {
    "min_confidence": 0.8,  # below it, nine of twelve were wrong
    "min_height": 0.4,  # as a share of the tallest digit in its line; signs are lower
    "max_doubt": 5.5,  # of what the next three add up to: digits that touch
    "width_weight": 7.0,  # are wide, as a share of the tallest digit's height,
    "crowding_weight": 9.0,  # cross three strokes in many rows of pixels,
    "unlikeliness_weight": 1.1,  # and are likely no digit: the logarithm of 1 - confidence
}
UNCLEAR = (
    "marks that are no single digit: digits that touch, a sign, a line or an unclear digit; "
    "wanted clear digits with space between them"
)


@dataclass(frozen=True)
class PlacedDigit:
    """A digit of a number."""

    digit: int | str
    confidence: float  # its probability, 0 to 1
    certain: bool | None  # true, as other marks are refused; None if the model has not learned to tell
    box: tuple[int, int, int, int]  # left, top, right, bottom, pixels of the upright picture


@dataclass(frozen=True)
class NumberLine:
    """A line of digits, read as one number."""

    number: str  # zeros at its start too
    digits: list[PlacedDigit]


def read_lines(reader: Reader, picture: Image.Image) -> list[NumberLine]:
    """Read the numbers on a picture from top to bottom.

    Args:
        reader: reads each digit.
        picture: as decode() returns it.

    Raises:
        PictureError: as prepare; or marks that are no single digit, like digits that touch, or an unclear digit.
    """
    rows, scale = prepare_number(picture), picture.info["scale"]
    answers = iter(reader.answers(np.stack([image for row in rows for _, image, _ in row])))
    lines = []
    for row in rows:
        tallest = max(cluster.height for cluster, _, _ in row)
        digits = [_placed(cluster, crowding, next(answers), tallest, scale) for cluster, _, crowding in row]
        lines.append(NumberLine("".join(str(each.digit) for each in digits), digits))
    return lines


def _placed(cluster: Cluster, crowding: float, answer: Answer, tallest: int, scale: float) -> PlacedDigit:
    doubt = (
        LIMITS["width_weight"] * cluster.width / tallest
        + LIMITS["crowding_weight"] * crowding**0.5
        + LIMITS["unlikeliness_weight"] * math.log(1.001 - answer.confidence)
    )
    is_likely = answer.certain is not False and answer.confidence >= LIMITS["min_confidence"]
    if not is_likely or doubt > LIMITS["max_doubt"] or cluster.height < LIMITS["min_height"] * tallest:
        raise PictureError(UNCLEAR, "no_single_digit")
    left, top, right, bottom = (round(scale * side) for side in cluster[1:])
    return PlacedDigit(answer.digit, answer.confidence, answer.certain, (left, top, right, bottom))
