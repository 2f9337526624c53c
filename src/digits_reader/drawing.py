"""Find the ink of a drawing from a screen, or of an icon: its paper has exactly one colour."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digits_reader.photo import Ink

MARGIN = 24  # pixels of paper that are left round the ink: resizing looks beyond it
MIN_CONTRAST = 10  # levels of 255 between ink and paper
TINY = 12  # pixels; a picture that is less high or wide shows nothing but ink and paper
LINE_SIDE = 64  # pixels; on a smaller drawing strokes are as thin as printed lines
WIDE = 0.2  # of the longest side; what is so high and so wide is no stroke
# A printed line's least length, in longest sides, and how many times as long as wide it is then at least. A stroke that
# looks like one costs some time, as the network has to look at it too.
LINES = (0.6, 17), (0.4, 20), (0.2, 20), (0.12, 20)


def drawn_ink(picture: Image.Image) -> Ink | None:
    """Find the ink on an RGB picture; None if the paper has more colours than one, or does not reach an edge."""
    pixels = np.asarray(picture)
    paper = np.median(pixels[[0, -1]].reshape(-1, 3), axis=0).astype(np.uint8)
    other = cv2.bitwise_not(cv2.inRange(pixels, paper, paper))
    edges = other[0], other[-1], other[:, 0], other[:, -1]
    is_covered = 2 * cv2.countNonZero(other) >= other.size or any(
        3 * np.count_nonzero(each) > each.size for each in edges
    )
    if is_covered and min(picture.size) > TINY:
        return None
    left, top, width, height = cv2.boundingRect(other)
    rows = slice(max(0, top - MARGIN), top + height + MARGIN)
    columns = slice(max(0, left - MARGIN), left + width + MARGIN)
    pixels, other = pixels[rows, columns], other[rows, columns]
    direction = np.array(cv2.mean(pixels, other)[:3]) - paper
    direction /= max(3**0.5 * float(np.linalg.norm(direction)), 1e-9)
    levels = np.asarray(cv2.transform(pixels, np.append(direction, -direction @ paper)[None]), np.uint8)
    counts = np.asarray(cv2.calcHist([levels], [0], None, [256], [0, 256]), np.float32).ravel()
    counts[0] = 0  # paper
    counts[: _level(counts, 0.95) // 2 + 1] = 0  # soft edges
    full = max(_level(counts, 0.5), MIN_CONTRAST)
    strengths = (np.arange(256, dtype=np.float32) / np.float32(full)).clip(0, 1)
    return Ink(np.asarray(cv2.LUT(levels, strengths), np.float32), columns.start, rows.start, 1.0)


def may_show_more(strength: NDArray[np.float32], longest: int) -> bool:
    """Whether a drawing may show more than strokes: a sheet, or printed lines along its rows or columns.

    Args:
        strength: of the ink, [H, W].
        longest: side of the picture, pixels.
    """
    if longest < LINE_SIDE:
        return False
    height, width = strength.shape
    half = cv2.resize(strength, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
    mask = (half > 0.2).view(np.uint8)  # a line of one pixel stays
    side = int(WIDE * longest / 2) | 1
    if cv2.countNonZero(_opened(mask, (1, side)) & _opened(mask, (side, 1))) >= side**2:
        return True
    return any(_has_lines(each, longest // 2) for each in (mask, np.asarray(cv2.transpose(mask), np.uint8)))


def _has_lines(mask: NDArray[np.uint8], longest: int) -> bool:
    """Whether there are pixels enough in long runs along the rows that are in short runs along the columns only."""
    for share, aspect in LINES:
        length, width = int(share * longest) | 1, int(share * longest / aspect) + 1 | 1  # odd: cv2 would shift others
        thin = mask - _opened(mask, (width, 1))
        if cv2.countNonZero(thin) < LINES[-1][0] * longest / 2:
            return False
        if cv2.countNonZero(_opened(mask, (1, length)) & thin) >= length / 2:
            return True
    return False


def _opened(mask: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """What of a mask lies in rectangles of this height and width."""
    ones = np.ones(shape, np.uint8)
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, ones, borderType=cv2.BORDER_CONSTANT, borderValue=0))


def _level(counts: NDArray[np.float32], share: float) -> int:
    """Find the level that this share of the pixels does not exceed; counts has one entry a level."""
    return int(np.searchsorted(counts.cumsum(), share * counts.sum()))
