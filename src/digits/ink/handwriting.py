"""Signs written by hand on a sheet: where the ink is, and where each sign."""

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from digits.data.hands import read_ways, written

Rng = np.random.Generator
Mask = NDArray[Any]  # uint8 [side, side], 0 to 255
BITS = 3  # cv2 draws at eighths of a pixel
LEAST_LABEL = 3  # pixels of the sheet: a thinner stroke would be lost where a network halves its pictures


class Sign(NamedTuple):
    """Where a sign stands on the sheet, pixels."""

    x: float
    y: float
    height: float


def layout(rng: Rng, side: int, margin: float) -> list[Sign]:
    """Choose where signs stand: usually one, else some rows, sometimes none; `margin` is a share of the side."""
    kind, room = rng.random(), 1 - 2 * margin
    if kind < 0.04:
        return []
    if kind < 0.7:
        height = room * np.exp(rng.uniform(np.log(0.13), np.log(0.95)))
        centre = 0.5 + rng.uniform(-0.5, 0.5, 2) * np.maximum(0, room - height * np.array([0.7, 1]))
        return [Sign(side * centre[0], side * centre[1], side * height)]
    columns, rows = int(rng.integers(1, 11)), int(rng.integers(1, 6))
    step = np.array([room / columns, room / rows]) * rng.uniform(0.6, 1, 2)
    height = min(step[0] * rng.uniform(0.9, 1.5), 0.85 * step[1])
    first = 0.5 + rng.uniform(-0.5, 0.5, 2) * (room - step * (columns, rows)) - step * (columns - 1, rows - 1) / 2
    slope = rng.normal(0, 0.03)
    signs = []
    for place in np.ndindex(rows, columns):
        row, column = place
        size, is_there = rng.uniform(0.75, 1), rng.random() < 0.93
        if is_there:
            x, y = side * (first + step * (column, row) + (0, slope * column) + rng.normal(0, 0.04, 2) * step)
            signs.append(Sign(x, y, side * height * size))
    return signs


def neighbours(rng: Rng, side: int, margin: float) -> list[Sign]:
    """Signs of which the picture shows only a piece, at its border; usually none."""
    if rng.random() > 0.08:
        return []
    along, height = rng.uniform(margin, 1 - margin), rng.uniform(0.1, 0.5)
    edge = margin - 0.22 * height if rng.random() < 0.5 else 1 - margin + 0.22 * height
    x, y = (along, edge) if rng.random() < 0.5 else (edge, along)
    return [Sign(side * x, side * y, side * height)]


def write(signs: list[Sign], rng: Rng, side: int) -> tuple[Mask, Mask]:
    """Write a digit, now and then a letter, at each place with one pen: the ink, and all that it touches."""
    ink, label = np.zeros((2, side, side), np.uint8)
    name = "letters" if rng.random() < 0.05 else "hands"
    ways = [way for each in read_ways(name).values() for way in each]
    width = np.exp(rng.uniform(np.log(0.014), np.log(0.16)))  # of the pen, in heights of a sign
    if rng.random() < 0.5:
        width = min(width, 0.06)  # most people take a thin pen
    uneven, turn = rng.uniform(0, 0.4), rng.normal(0, 0.05)
    for sign in signs:
        positions = written(ways[rng.integers(len(ways))], 1, rng)[0]
        low, high = positions.min(axis=0), positions.max(axis=0)
        points = (positions - (low + high) / 2) / max(high[1] - low[1], 0.8 * (high[0] - low[0]))
        points = points @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        _stroke(ink, label, points * sign.height + (sign.x, sign.y), width * sign.height, uneven, rng)
    return ink, label


def _stroke(ink: Mask, label: Mask, points: NDArray[np.floating], width: float, uneven: float, rng: Rng) -> None:
    """Draw along points [K, 2]; where two are far from each other the pen was lifted."""
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    is_down = steps < max(6 * np.median(steps), 2)
    wave = np.sin(np.linspace(0, rng.uniform(2, 14), len(points)) + rng.uniform(0, 6))
    widths = np.rint(np.maximum(width * (1 + uneven * wave), 1)).astype(int).tolist()
    places = np.rint(points * 2**BITS).astype(int).tolist()
    for start, end, thickness, down in zip(places, places[1:], widths, is_down, strict=False):
        if down:
            cv2.line(ink, start, end, 255, thickness, cv2.LINE_AA, BITS)
            cv2.line(label, start, end, 255, max(thickness, LEAST_LABEL), cv2.LINE_AA, BITS)
