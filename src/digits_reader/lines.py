"""Remove printed straight lines round and behind a digit: ruled and squared paper, boxes, under- and overlines."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.uint8]  # [H, W], ink 255
MIN_SIDE = 64  # pixels; on a smaller picture strokes are as thin as lines
MAX_WIDTH, MIN_LENGTH = 0.04, 0.2  # of a line, as shares of the picture's side
MAX_ASPECT = 0.06  # width of a line divided by its length; a stroke is thicker
MAX_SLOPE = 0.06  # pixels across a line for each pixel along it
MIN_LEVEL = 10  # levels of 255 between a line and what lies on both sides of it
DARKER = 2  # a stroke that crosses a pale line has more than this many times the level of the line


@dataclass
class PrintedLine:
    """A line nearly along the rows (axis 0) or the columns (axis 1), from start to end, pixels."""

    axis: int
    start: int
    end: int
    slope: float
    offset: float
    width: int

    def at(self, along: Any) -> Any:
        """The row, or with axis 1 the column, of the line's middle."""
        return self.offset + self.slope * along


def otsu(counts: NDArray[np.int64]) -> tuple[int, float]:
    """Find the level that separates a histogram best into two classes, and their share of the variance (Otsu, 1979)."""
    levels = np.arange(len(counts))
    below, moment = counts.cumsum(dtype=float), (counts * levels).cumsum(dtype=float)
    weight = below * (below[-1] - below)
    between = (moment[-1] * below - moment * below[-1]) ** 2 / np.where(weight > 0, weight, np.inf)
    variance = below[-1] * (counts * levels**2).sum(dtype=float) - moment[-1] ** 2
    return int(between.argmax()), float(between.max() / max(variance, 1e-9))


def without_lines(levels: Levels) -> Levels:
    """Remove printed lines; strokes that cross them stay."""
    if max(levels.shape) < MIN_SIDE:
        return levels
    lines = [line for axis in (0, 1) for line in _find(levels, axis)]
    lines.sort(key=lambda line: line.start - line.end)
    while lines:
        box = _main_box(_erased(levels, lines))
        if np.ptp(box, axis=1).max() >= 0.2 * (lines[-1].end - lines[-1].start):
            closed = _closed(lines, levels.shape)
            return _erased(levels, [line for line in lines if _is_printed(line, closed, box, levels.shape)])
        lines.pop()  # without this line nothing is left, so it is the digit: a 1
    return levels


def _find(levels: Levels, axis: int) -> list[PrintedLine]:
    """Find long, straight, thin marks nearly along the axis: rows of a picture sheared by the best slope."""
    rows = levels if axis == 0 else np.asarray(cv2.transpose(levels), np.uint8)
    height, width = rows.shape
    thin = rows - _opened(rows, max(3, round(MAX_WIDTH * max(rows.shape)) + 2))
    if np.count_nonzero(thin > MIN_LEVEL) < MIN_LENGTH * width:
        return []
    grain = np.median(thin[::4, ::4])
    y, x = np.divmod(np.flatnonzero(thin > max(MIN_LEVEL, 3 * grain)), width)  # np.nonzero takes four times as long
    if len(y) < MIN_LENGTH * width:
        return []
    margin = int(MAX_SLOPE * width) + 3
    slopes = MAX_SLOPE * np.linspace(-1, 1, 2 * round(MAX_SLOPE * width / 1.5) + 1)
    # All slopes in one operation: usually there are few points, and each call of numpy takes its time.
    sheared = (margin + 0.5 + y - slopes[:, None] * x).astype(np.intp)
    size = height + 2 * margin
    places = (sheared + size * np.arange(len(slopes))[:, None]).ravel()
    profiles = np.bincount(places, minlength=size * len(slopes)).reshape(-1, size)
    best = int((profiles**2).sum(axis=1).argmax())
    counts, found = profiles[best], []
    while counts.max() >= MIN_LENGTH * width:
        first = last = int(counts.argmax())
        most = counts[first]
        while counts[first - 1] > 0.25 * most:
            first -= 1
        while counts[last + 1] > 0.25 * most:
            last += 1
        counts[first - 1 : last + 2] = 0
        inside = abs(sheared[best] - (first + last) / 2) <= (last - first) / 2 + 1
        along, amount = x[inside], thin[y[inside], x[inside]]
        start, end, columns = int(along.min()), int(along.max()) + 1, len(np.unique(along))
        sharp_width = amount.sum() / amount.max() / columns
        if sharp_width <= MAX_ASPECT * (end - start) and most >= 0.65 * (end - start):
            found.append(
                PrintedLine(axis, start, end, slopes[best], (first + last) / 2 - margin, -(-len(along) // columns))
            )
    return found


def _opened(rows: Levels, size: int) -> Levels:
    """Remove what is less than `size` pixels high, where paper surrounds the picture."""
    column = np.ones((size, 1), np.uint8)
    low = cv2.erode(rows, column, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(cv2.dilate(low, column, anchor=(0, size - 1)), np.uint8)


def _erased(levels: Levels, lines: list[PrintedLine]) -> Levels:
    """Lower each line to what lies on both sides of it: paper, or a stroke that crosses it.

    What is much darker than the line itself is a stroke too, however thin: it stays.
    """
    levels = levels.copy()
    for line in lines:
        rows = levels if line.axis == 0 else levels.T
        size, reach, along = line.width + 3, line.width // 2 + 2, np.arange(line.start, line.end)
        across = np.floor(line.at(along) + 0.5).astype(np.intp) + np.arange(-reach, reach + 1)[:, None]
        across = across.clip(0, len(rows) - 1)
        first = max(0, across.min() - size)
        low, before = _opened(rows[first : across.max() + size + 1], size)[across - first, along], rows[across, along]
        rows[across, along] = np.where(before > DARKER * np.median(before[reach]), before, low)
    return levels


def _main_box(levels: Levels) -> NDArray[np.intp]:
    """Find the first and last row and column of the large marks: [2, 2]."""
    threshold = max(otsu(np.bincount(levels.ravel(), minlength=256))[0], MIN_LEVEL)
    _, _, boxes, _ = cv2.connectedComponentsWithStats((levels > threshold).view(np.uint8), connectivity=8)
    if len(boxes) == 1:  # paper only
        return np.zeros((2, 2), np.intp)
    first, size = boxes[1:, 1::-1], boxes[1:, 3:1:-1]  # row and column of the first pixel, height and width
    large = size.max(axis=1) >= 0.3 * size.max()
    return np.stack([first[large].min(axis=0), (first + size)[large].max(axis=0)], axis=1)


def _closed(lines: list[PrintedLine], shape: tuple[int, ...]) -> list[PrintedLine]:
    """Keep the lines whose ends lie at the picture's border or on another kept line: frames, ruled, squared paper."""

    def is_held(line: PrintedLine, end: int) -> bool:
        reach, across = line.width + 2, line.at(end)
        return not reach < end < shape[1 - line.axis] - reach or any(
            abs(other.at(across) - end) <= reach and other.start - reach <= across <= other.end + reach
            for other in lines
            if other.axis != line.axis and 0.5 <= other.width / line.width <= 2
        )

    kept = [line for line in lines if is_held(line, line.start) and is_held(line, line.end)]
    return kept if len(kept) == len(lines) else _closed(kept, shape)


def _is_printed(line: PrintedLine, closed: list[PrintedLine], box: NDArray[np.intp], shape: tuple[int, ...]) -> bool:
    """Tell a printed line from a straight stroke: it belongs to a frame or grid, or it sticks out of the digit."""
    length = line.end - line.start
    (low, high), (first, last) = box[line.axis], box[1 - line.axis]
    sticks_out = min(first - line.start, line.end - last) >= max(0.04 * length, line.width)
    if line in closed:
        is_repeated = sum(other.axis == line.axis for other in closed) > 2
        return sticks_out or is_repeated or length < 0.9 * shape[1 - line.axis]
    place = (line.at((line.start + line.end) / 2) - low) / max(1, high - low)
    is_beside = not 0.1 <= place <= 0.9
    return line.axis == 0 and is_beside and sticks_out and length >= 0.7 * np.ptp(box, axis=1).max()
