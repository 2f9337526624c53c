"""A digit among printed lines, cut out close to the ink, or drawn by a pen that skips: harder than the scenes."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from digits.pictures.ink import Floats, Rng, cut_out, grain, ink_of, light, mixed, turn

Lines = list[tuple[float, ...]]  # each from x, y to x, y, in heights of the digit, from its centre


def _lined(digit: int, rng: Rng, lines: Callable[[Rng, Floats], Lines]) -> Floats:
    """A digit, and straight lines round its box (left, top, right, bottom).

    The lines are 1 to 4 % of the digit's height wide, black to pale, and tilted a little.
    """
    frame = int(rng.integers(240, 520)), int(rng.integers(240, 520))
    height = min(frame) * rng.uniform(0.45, 0.7)
    centre = (rng.uniform(-0.5, 0.5, 2) * (0.8 * (min(frame) - 1.3 * height)) + np.array(frame) / 2)[::-1]
    amount = ink_of(digit, rng, frame, height, rng.uniform(0.05, 0.12), centre / frame[::-1])
    rows, columns = np.flatnonzero(amount.any(1)), np.flatnonzero(amount.any(0))
    box = (np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) - np.tile(centre, 2)) / height
    tilt, width = turn(rng.normal(0, 0.012)), rng.uniform(0.01, 0.04) * height
    printed = np.zeros(frame)
    for line in lines(rng, box):
        start, end = np.reshape(line, (2, 2)) @ tilt.T * height + centre
        printed = np.maximum(printed, _straight(frame, start, end, width))
    colour = [rng.uniform(0, 0.2, 3), np.full(3, rng.uniform(0.2, 0.75)), (0.4, 0.5, 0.8)][rng.integers(3)]
    paper = mixed(0.95, colour, printed)
    return mixed(paper, (0.1, 0.1, 0.3), amount) * light(frame, rng, 0.2) + grain(frame, rng, 0.01)


def _straight(frame: tuple[int, int], start: Floats, end: Floats, width: float) -> Floats:
    """Amount of ink, [H, W], of a straight line between two points x, y, pixels."""
    y, x = np.mgrid[: frame[0], : frame[1]] + 0.5
    length = np.hypot(*(end - start))
    along, across = (end - start) / length, (end - start)[::-1] * (-1, 1) / length
    t, d = ((x - start[0]) * v[0] + (y - start[1]) * v[1] for v in (along, across))
    return np.clip(width / 2 + 0.5 - np.abs(d), 0, min(width, 1)) * np.clip(np.minimum(t, length - t) + 0.5, 0, 1)


def _box(rng: Rng, box: Floats) -> Lines:
    """A printed box, as on a form, that the digit may touch."""
    left, top, right, bottom = box + rng.uniform(-0.02, 0.3, 4) * (-1, -1, 1, 1)
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    return [(*a, *b) for a, b in pairwise(corners)]


def _underlines(rng: Rng, box: Floats) -> Lines:
    """A line under it, over it or both, that the digit may touch."""
    out = rng.uniform(0.1, 0.6, 2)
    heights = [box[1] - rng.uniform(-0.02, 0.2), box[3] + rng.uniform(-0.02, 0.2)]
    chosen = [heights, heights[:1], heights[1:], heights[1:]][rng.integers(4)]
    return [(box[0] - out[0], y, box[2] + out[1], y) for y in chosen]


def _rules(rng: Rng, box: Floats) -> Lines:
    """Ruled paper, the lines closer or further than the digit is high."""
    step, start = rng.uniform(0.4, 1.3), rng.uniform(0, 1.3)
    return [(-3, y, 3, y) for y in np.arange(start - 4, 4, step)]


def _squares(rng: Rng, box: Floats) -> Lines:
    """Squared paper, with lines from pale to black."""
    step, (x, y) = rng.uniform(0.25, 0.6), rng.uniform(0, 0.6, 2)
    rows: Lines = [(-4, y, 4, y) for y in np.arange(y - 4, 4, step)]
    return rows + [(x, -4, x, 4) for x in np.arange(x - 4, 4, step)]


def _cut(digit: int, rng: Rng) -> Floats:
    """Cropped to the ink with 0 to 5 pixels of margin, from small to large, the edges from hard to soft."""
    height = np.exp(rng.uniform(np.log(20), np.log(400)))
    side = int(1.6 * height) + 40
    amount = ink_of(digit, rng, (side, side), height, rng.uniform(0.05, 0.2))
    amount = gaussian_filter(amount, rng.choice([0, rng.uniform(0.3, 0.04 * height)]))
    amount = (amount > 0.5) * 1.0 if rng.random() < 0.3 else amount / amount.max()
    amount, space = cut_out(amount, above=0.1), int(rng.integers(0, 6))
    amount = np.pad(amount, np.maximum(space, [[4 - len(amount) // 2] * 2, [4 - len(amount[0]) // 2] * 2]))
    paper, ink = (0.9, (0.1, 0.15, 0.4)) if rng.random() < 0.7 else (0.1, 0.9)
    return mixed(paper, ink, amount) + grain(amount.shape, rng, rng.choice([0, 0.01, 0.03]))


def _broken(digit: int, rng: Rng) -> Floats:
    """32x32 pixels, a thin faint pen that skips."""
    ink = ink_of(digit, rng, (128, 128), rng.uniform(48, 110), rng.uniform(0.02, 0.05))
    skips = gaussian_filter(rng.normal(0, 1, (128, 128)), 5)
    ink = ink * np.clip(1 - rng.uniform(0, 0.8) * np.clip(skips / skips.std(), 0, 1.5), 0, 1)
    amount = np.asarray(Image.fromarray((255 * ink).astype(np.uint8)).resize((32, 32), Image.Resampling.BOX)) / 255
    return mixed(1.0, rng.uniform(0, 0.5), amount)


HARDER: dict[str, Callable[[int, Rng], Floats]] = {
    "boxed": partial(_lined, lines=_box),
    "underlined": partial(_lined, lines=_underlines),
    "ruled": partial(_lined, lines=_rules),
    "grid": partial(_lined, lines=_squares),
    "cut": _cut,
    "broken": _broken,
}
