"""Cluster the marks of ink on a picture: marks make a digit, digits make a row."""

from itertools import combinations
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

FEW = 3  # marks, which may all be pieces; of more, some are whole digits


class Cluster(NamedTuple):
    """Marks that make one digit."""

    labels: tuple[int, ...]  # of the marks
    left: int  # the box, pixels; right and bottom are one beyond it
    top: int
    right: int
    bottom: int

    def placed(self, left: float, top: float, scale: float) -> "Cluster":
        """The cluster on a picture of which its own is a part: that begins at left and top, its pixels `scale` wide."""
        starts = left, top, left, top
        return Cluster(self.labels, *(round(scale * at + start) for at, start in zip(self[1:], starts, strict=True)))

    @property
    def height(self) -> int:
        """Of the box, pixels."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Of the box, pixels."""
        return self.right - self.left


def marks_of(is_ink: NDArray[np.bool_]) -> tuple[NDArray[np.int32], list[Cluster]]:
    """Label the connected marks that can belong to a digit, and return these marks; paper and dust get 0."""
    mask = is_ink.view(np.uint8)
    count, found = cv2.connectedComponents(mask, connectivity=8, ltype=cv2.CV_32S)
    if count == 2:  # paper and one mark, as usual: this takes a quarter of the time of what follows
        x, y, w, h = cv2.boundingRect(mask)
        return np.asarray(found, np.int32), [Cluster((1,), x, y, x + w, y + h)]
    count, found, boxes, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_32S)
    labels = np.asarray(found, np.int32)
    sizes = boxes[:, cv2.CC_STAT_AREA]
    sizes[0] = 0  # the paper
    kept = sizes >= max(1, 0.08 * sizes.max())
    if not kept[1:].all():
        labels = (np.arange(count, dtype=np.int32) * kept).take(labels)
    marks = enumerate(boxes[:, : cv2.CC_STAT_AREA].tolist())
    return labels, [Cluster((label,), x, y, x + w, y + h) for label, (x, y, w, h) in marks if kept[label]]


def rows_of(marks: list[Cluster]) -> list[list[Cluster]]:
    """Cluster the marks of a picture to digits: rows from top to bottom, each from left to right.

    Pieces of one digit lie close together: a five and its bar, a stroke with a gap. A row follows its digits
    from left to right, so it may rise or fall.
    """
    clusters = sorted(marks, key=lambda cluster: -cluster.height)
    tallest = max(cluster.height for cluster in clusters)
    few = len(marks) <= FEW
    digits: list[Cluster] = []
    while clusters:
        cluster = clusters.pop(0)
        piece = next((other for other in clusters if _belong(cluster, other, tallest, few)), None)
        if piece is None:
            digits.append(cluster)
        else:
            clusters.remove(piece)
            clusters.insert(0, _joined(cluster, piece))
    rows: list[list[Cluster]] = []
    for digit in sorted(digits, key=lambda digit: digit.left + digit.right):
        fitting = [row for row in rows if _overlap(row[-1].top, row[-1].bottom, digit.top, digit.bottom) >= 0.5]
        if fitting:
            min(fitting, key=lambda row: abs(row[-1].top + row[-1].bottom - digit.top - digit.bottom)).append(digit)
        else:
            rows.append([digit])
    return sorted(rows, key=lambda row: sum(digit.top + digit.bottom for digit in row) / len(row))


def _joined(a: Cluster, b: Cluster) -> Cluster:
    corner = min(a.left, b.left), min(a.top, b.top)
    return Cluster(a.labels + b.labels, *corner, max(a.right, b.right), max(a.bottom, b.bottom))


def _belong(a: Cluster, b: Cluster, tallest: int, few: bool) -> bool:
    """Whether two clusters of marks are pieces of one digit; of few marks, the tallest may be a piece too."""
    gap, aside = max(a.top, b.top) - min(a.bottom, b.bottom), max(a.left, b.left) - min(a.right, b.right)
    lower, both = min(a.height, b.height), _joined(a, b)
    if _overlap(a.left, a.right, b.left, b.right) < 0.5:  # a slanted one or a four, where the pen has skipped
        is_close = max(gap, aside) <= 0.1 * both.height
        is_digit = both.width <= 1.1 * both.height and both.height <= 1.25 * tallest
        return is_close and is_digit and lower < 0.7 * both.height
    if gap < 0:  # beside each other, like the two strokes of a four; or two digits that lean
        return lower < 0.75 * tallest
    return both.height <= (1.25 if few else 1.15) * tallest or (few and gap < 0.1 * both.height)


def _overlap(start: int, stop: int, other_start: int, other_stop: int) -> float:
    """The share of the shorter of two intervals that lies in the other, 0 to 1."""
    return max(0, min(stop, other_stop) - max(start, other_start)) / min(stop - start, other_stop - other_start)


def has_several(rows: list[list[Cluster]]) -> bool:
    """Whether these are certainly several digits: not one in pieces, nor one beside dirt or the rest of a frame."""
    digits = [cluster for row in rows for cluster in row if cluster.width >= 0.06 * cluster.height]
    tallest = max((cluster.height for cluster in digits), default=0)
    digits = [cluster for cluster in digits if cluster.height >= 0.5 * tallest]
    return any(_are_apart(a, b, tallest) for a, b in combinations(digits, 2))


def _are_apart(a: Cluster, b: Cluster, tallest: int) -> bool:
    """Whether two clusters are farther apart, or wider together, than the pieces of one digit can be."""
    across, down = max(a.left, b.left) - min(a.right, b.right), max(a.top, b.top) - min(a.bottom, b.bottom)
    return max(across, down) >= 0.25 * tallest or (across > 0 and _joined(a, b).width > 1.2 * tallest)


def crowding(own: NDArray[np.bool_]) -> float:
    """The share of rows of pixels, 0 to 1, that cross more than two strokes: large for 80, small for any digit."""
    strokes = (own & ~np.pad(own, ((0, 0), (1, 0)))[:, :-1]).sum(axis=1)
    return float((strokes > 2).sum() / own.any(axis=1).sum())
