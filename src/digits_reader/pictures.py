"""Turn a picture of one digit into the 28x28 image that MNIST would have made of it."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digits_reader.decode import PictureError, decode
from digits_reader.drawing import drawn_ink, may_show_more
from digits_reader.marks import Cluster, crowding, has_several, marks_of, rows_of
from digits_reader.photo import Ink, find_ink

MAX_MARKS = 200  # of ink, on a picture
STRONG = 0.35  # of full ink; what is weaker is no mark
NO_INK = ("no ink found on the picture: it looks like empty paper", "no_ink")
SEVERAL = "several digits on the picture, wanted one; digits read --number and POST /api/number read numbers"
CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
Floats = NDArray[np.float32]

cv2.setNumThreads(1)  # the server has threads of its own, and most pictures are small


class SeveralDigitsError(PictureError):
    """A picture shows more than one digit."""


def no_ink(picture: Image.Image) -> PictureError:
    """What to say of a picture without ink; of a file with several pages, only the first was looked at."""
    pages = picture.info.get("pages", 1)
    return PictureError(f"no ink found on the first of {pages} pages" if pages > 1 else NO_INK[0], NO_INK[1])


def read_picture(content: bytes) -> Floats:
    """Prepare the digit in a picture file for a model.

    Args:
        content: a PNG, JPEG, WebP, BMP, GIF (its first frame) or TIFF file; with pillow-heif HEIC too.

    Returns:
        Float32 [1, 28, 28]: ink 1, paper 0, the longest side 20 pixels, the centre of mass in the middle.

    Raises:
        PictureError: another kind of file, a damaged one, below 8x8 or above 50 megapixels; no ink, or more than
            MAX_MARKS marks; several digits (SeveralDigitsError).
    """
    return prepare(decode(content))


def prepare(picture: Image.Image) -> Floats:
    """Find the ink in an RGB picture, then scale and centre it as MNIST does.

    Returns:
        Float32 [1, 28, 28], as read_picture.

    Raises:
        PictureError: no ink.
        SeveralDigitsError: more than one digit.
    """
    ink, _, marks = _inked(picture)
    if len(marks) > 1 and has_several(rows_of(marks)):
        raise SeveralDigitsError(SEVERAL, "several_digits")
    return _centred(_scaled(ink.strength))[None]


def prepare_number(picture: Image.Image) -> list[list[tuple[Cluster, Floats, float]]]:
    """Find the digits in an RGB picture, row by row, and prepare each of them as `prepare` does.

    Returns:
        Rows from top to bottom, in each from left to right a digit's place in the picture; its image, float32
        [1, 28, 28]; and its crowding.

    Raises:
        PictureError: no ink.
    """
    ink, labels, marks = _inked(picture)

    def prepared(digit: Cluster) -> tuple[Cluster, Floats, float]:
        margin = 2 + max(digit.width, digit.height) // 10  # resizing looks a twentieth of a side beyond the box
        rows, columns = (
            slice(max(0, start - margin), end + margin)
            for start, end in ((digit.top, digit.bottom), (digit.left, digit.right))
        )
        place = rows, columns
        own = np.isin(labels[place], digit.labels)
        alone = ink.strength[place] * _near(own) * (own | (labels[place] == 0))
        return digit.placed(ink.left, ink.top, ink.scale), _centred(_scaled(alone))[None], crowding(own)

    return [[prepared(digit) for digit in row] for row in rows_of(marks)]


def _inked(picture: Image.Image) -> tuple[Ink, NDArray[np.int32], list[Cluster]]:
    """Find the ink, the labels of its marks, [H, W], and the marks."""
    ink = drawn_ink(picture)
    if ink is None or may_show_more(ink.strength, max(picture.size)):
        ink = find_ink(picture)
    labels, marks = marks_of(ink.strength > STRONG) if ink else (None, None)
    if ink is None or labels is None or not marks:
        raise no_ink(picture)
    if len(marks) > MAX_MARKS:  # dust or printed text: to find digits in it would take minutes
        text = f"{len(marks)} marks on the picture, which are no single digit; wanted at most {MAX_MARKS}"
        raise PictureError(text, "no_single_digit")
    return Ink(ink.strength * _near(labels > 0), *ink[1:]), labels, marks


def _near(marks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """1 up to two steps from a marked pixel: the soft edge of a stroke is kept."""
    return np.asarray(cv2.dilate(marks.view(np.uint8), CROSS, iterations=2), np.uint8)


def _scaled(strength: Floats) -> Floats:
    """Crop to the ink, scale its longest side to 20 pixels and its strongest parts to 1."""
    left, top, width, height = cv2.boundingRect((strength > 0.2).view(np.uint8))
    box = (left, top, left + width, top + height)
    size = [max(1, int(20 * side / max(width, height) + 0.5)) for side in (width, height)]
    small = np.asarray(Image.fromarray(strength).resize(size, Image.Resampling.BILINEAR, box=box))
    inked = np.sort(small[small > 0.1 * small.max()])
    quantile = np.interp(0.8 * (len(inked) - 1), np.arange(len(inked)), inked)  # as np.quantile, in a tenth of its time
    return (small / np.float32(quantile)).clip(0, 1)  # a thin pen is grey at this size


def _centred(small: Floats) -> Floats:
    """Paste into 28x28 with the centre of mass at pixel (14, 14), as far as nothing is cut off."""
    image = np.zeros((28, 28), np.float32)
    sums = (small.sum(axis=axis, dtype=np.float64) for axis in (1, 0))  # of each row, of each column
    mass = [each @ np.arange(len(each)) / each.sum() for each in sums]
    # A symmetric digit's centre lies exactly between two pixels: 1e-6 decides, not the rounding error of the sum.
    top, left = (int(np.clip(14.5 - m + 1e-6, 0, 28 - side)) for m, side in zip(mass, small.shape, strict=True))
    image[top : top + small.shape[0], left : left + small.shape[1]] = small
    return image
