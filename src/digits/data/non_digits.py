"""Marks that are no digit, drawn by program, so that a network learns to tell when it does not know.

D. Hendrycks et al., "Deep anomaly detection with outlier exposure", 2019. Strokes are random, pieces of the digits of
`hands.txt` which form no digit, or the letters of `letters.txt`. The pens are those of digits.data.hands. Printed
letters have OpenCV's plotter faces.
"""

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from torch import Tensor

from digits.data.hands import inked, read_ways, written

POINTS = 300  # along the strokes of a mark: scribbles are long
AT_ONCE = 16  # marks that have the same number of strokes
Positions = NDArray[np.floating[Any]]  # along strokes, [N, P, 2], x and y, in any unit
# Digits that are no digit any more when mirrored, and when turned by 1, 2 or 3 quarters.
MIRRORED, TURNED = [3, 4, 6, 7, 9], {1: [1, 2, 3, 4, 5, 6, 7, 8, 9], 2: [3, 4, 7], 3: [1, 2, 3, 4, 5, 6, 7, 8, 9]}


def draw_non_digits(number: int, seed: int) -> Tensor:
    """Draw marks, the same number of each kind: uint8 [number, 1, 28, 28] (ink 255, paper 0), centred as MNIST is."""
    rng = np.random.default_rng([seed, 1])  # other random numbers than those of draw_hands
    images, kind = np.empty((number, 28, 28), np.uint8), np.arange(number) % len(KINDS)
    for at, draw in enumerate(KINDS):
        rows = np.flatnonzero(kind == at)
        for some in np.array_split(rows, len(rows) // AT_ONCE + 1):
            drawn = draw(len(some), rng)
            images[some] = drawn if draw is _printed else inked(drawn.astype(np.float32), rng)
    return torch.from_numpy(images)[:, None]


def _strokes(number: int, rng: np.random.Generator) -> Positions:
    """A long scribble, or a few strokes anywhere; curved or with corners."""
    if rng.random() < 0.5:
        return _drawn(rng.random((number, rng.integers(6, 20), 2)), POINTS, rng.random() < 0.6)
    strokes = int(rng.integers(2, 6))
    corners = rng.random((strokes, number, rng.integers(2, 6), 2)) * rng.uniform(0.4, 1, (number, 1, 2))
    return np.concatenate([_drawn(each, POINTS // strokes, rng.random() < 0.6) for each in corners], axis=1)


def _glyphs(number: int, rng: np.random.Generator) -> Positions:
    """Signs of an invented script: straight and bent strokes between nine points, each from a point already used."""
    strokes, rows = rng.choice([2, 3, 3, 4, 4, 5]), np.arange(number)
    grid = np.stack(np.meshgrid([0, 0.5, 1], [0, 0.5, 1]), axis=2).reshape(9, 2)
    grid = grid * np.stack([rng.uniform(0.4, 1, (number, 1)), np.ones((number, 1))], axis=2)
    grid = grid + rng.normal(0, 0.05, grid.shape)
    visited, parts = rng.integers(0, 9, (1, number)), []
    for _ in range(strokes):
        start = visited[rng.integers(0, len(visited), number), rows]
        end = (start + rng.integers(1, 9, number)) % 9
        visited = np.concatenate([visited, end[None]])
        first, last = grid[rows, start], grid[rows, end]
        bend = (rng.random((number, 1)) < 0.5) * rng.uniform(-0.5, 0.5, (number, 1))
        middle = (first + last) / 2 + bend * (last - first)[:, ::-1] * (-1, 1)
        parts.append(_drawn(np.stack([first, middle, last], axis=1), POINTS // strokes, True))
    sign = np.concatenate(parts, axis=1)
    sign[..., 0] -= rng.normal(0.05, 0.12, (number, 1)) * sign[..., 1]  # slanted, and turned a little
    return _turned(sign, rng.normal(0, 0.1, number))


def _letters(number: int, rng: np.random.Generator) -> Positions:
    """A letter that looks like no digit."""
    ways = [way for each in read_ways("letters").values() for way in each]
    return written(ways[rng.integers(len(ways))], number, rng)


def _printed(number: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A letter that looks like no digit, printed: uint8 [number, 28, 28]."""
    letters, images = list(read_ways("letters")), np.zeros((number, 28, 28), np.uint8)
    for image in images:
        page, face = np.zeros((160, 160), np.uint8), int(rng.integers(8)) + cv2.FONT_ITALIC * int(rng.integers(2))
        size, thickness = rng.uniform(2.5, 3.5), int(rng.integers(1, 14))
        cv2.putText(page, letters[rng.integers(len(letters))], (40, 110), face, size, 255, thickness, cv2.LINE_AA)
        soft = cv2.GaussianBlur(page, (0, 0), rng.uniform(1, 3.5))
        ink = np.stack((soft > 40).nonzero()[::-1])
        angle, slant = rng.normal(0, 0.1), rng.normal(0, 0.1)
        shape = np.array([[np.cos(angle), -np.sin(angle) - slant], [np.sin(angle), np.cos(angle)]])
        shape *= (np.exp(rng.normal(0, 0.15)), 1)
        shape *= 20 / np.ptp(shape @ ink, axis=1).max()
        move = 13.5 - shape @ ink.mean(axis=1, keepdims=True)
        cv2.warpAffine(soft, np.hstack([shape, move]), (28, 28), dst=image)
    return images


def _pieces(number: int, rng: np.random.Generator) -> Positions:
    """Pieces of digits, turned and joined end to start."""
    parts, end = [], np.zeros((number, 1, 2))
    for _ in range(rng.integers(2, 5)):
        digit, start = _a_digit(number, rng), rng.integers(72)
        piece = _turned(digit[:, start : start + 72], rng.uniform(0, 2 * np.pi, number))
        parts.append(piece - piece[:, :1] + end)
        end = parts[-1][:, -1:]
    return np.concatenate(parts, axis=1)


def _several(number: int, rng: np.random.Generator) -> Positions:
    """Two to four digits side by side."""
    parts, right = [], np.zeros((number, 1))
    for _ in range(rng.choice([2, 2, 2, 3, 3, 4])):
        digit = _a_digit(number, rng) * rng.uniform(0.8, 1.2, (number, 1, 1))
        digit[..., 0] += right - digit[..., 0].min(axis=1, keepdims=True) + rng.uniform(0, 0.3, (number, 1))
        right = digit[..., 0].max(axis=1, keepdims=True)
        parts.append(digit)
    return np.concatenate(parts, axis=1)


def _moved(number: int, rng: np.random.Generator) -> Positions:
    """A digit mirrored, on its side or upside down, if it is no digit then."""
    quarters = int(rng.integers(4))
    digit = _a_digit(number, rng, TURNED[quarters] if quarters else MIRRORED)
    return _turned(digit, np.full(number, quarters * np.pi / 2)) if quarters else digit * (-1, 1)


def _crossed(number: int, rng: np.random.Generator) -> Positions:
    """A digit and two to four strokes across it."""
    digit = _a_digit(number, rng)
    low, high = digit.min(axis=1, keepdims=True), digit.max(axis=1, keepdims=True)
    strokes = rng.uniform(-0.15, 1.15, (rng.integers(2, 5), number, rng.integers(2, 4), 2))
    return np.concatenate([digit, *(_drawn(low + each * (high - low), 60, True) for each in strokes)], axis=1)


def _polygons(number: int, rng: np.random.Generator) -> Positions:
    """Triangles to stars, closed, some with a diagonal, some filled."""
    corners = rng.integers(3, 11)
    steps = np.arange(corners) + rng.uniform(-0.2, 0.2, (number, corners)) + rng.random((number, 1))
    # With an even number of corners, every other one may lie further inside.
    radius = 1 - rng.uniform(0, 0.7, (number, 1)) * (np.arange(corners) % 2) * (corners % 2 == 0)
    around = _around(2 * np.pi * steps / corners, radius) * rng.uniform(0.6, 1, (number, 1, 2))
    closed = [*range(corners), 0, *([rng.integers(2, corners)] if rng.random() < 0.4 else [])]
    outline = _drawn(around[:, closed], POINTS, curved=False)
    return outline * rng.random((number, POINTS, 1)) ** 0.5 if rng.random() < 0.3 else outline


def _waves(number: int, rng: np.random.Generator) -> Positions:
    """Zigzags, waves, rows of loops and spirals."""
    if rng.random() < 0.3:
        corners = rng.integers(4, 12)
        across = np.where(np.arange(corners) % 2, 1, -1) * rng.uniform(0.5, 1.5, (number, corners))
        line = np.stack([np.broadcast_to(np.arange(corners) * rng.uniform(0.3, 1.2), across.shape), across], axis=2)
        return _turned(_drawn(line, POINTS, rng.random() < 0.4), rng.uniform(0, 2 * np.pi, number))
    time, turns = np.linspace(0, 1, POINTS), rng.uniform(2, 7, (number, 1))
    goes_on = rng.random() < 0.6
    way, shrink = rng.uniform(1, 8, (number, 1)), rng.uniform(0.7, 1, (number, 1))
    phase, width = rng.uniform(0, 2 * np.pi, (number, 1)), rng.uniform(0, 1, (number, 1))
    line = _around(2 * np.pi * turns * time + phase, np.ones(POINTS))
    if goes_on:
        line[..., 0] = way * time + width * line[..., 0]
    else:  # a spiral: it turns round one place and gets smaller
        line *= (1 - shrink * time)[..., None]
    return _turned(line, rng.uniform(0, 2 * np.pi, number))


def _smudges(number: int, rng: np.random.Generator) -> Positions:
    """Blots and specks: dots that fill a round or jagged patch, or lie in a few heaps."""
    angle = rng.uniform(0, 2 * np.pi, (number, POINTS))
    radius = rng.random((number, POINTS)) ** rng.choice([0.3, 0.5, 1])
    for lobes in (1, 2, 3, 5):
        depth, phase = rng.uniform(0, 0.5, (number, 1)), rng.uniform(0, 6, (number, 1))
        radius = radius * (1 + depth * np.cos(lobes * angle + phase))
    patch = _around(angle, radius) * rng.uniform(0.4, 1, (number, 1, 2))
    if rng.random() < 0.5:
        return _turned(patch, rng.uniform(0, 2 * np.pi, number))
    heaps = rng.uniform(-1, 1, (number, rng.integers(2, 40), 2))
    return heaps[:, np.arange(POINTS) % heaps.shape[1]] + rng.uniform(0, 0.2) * patch


KINDS = [*5 * [_letters], *3 * [_printed], *3 * [_glyphs], *2 * [_strokes], _pieces, _several, _moved, _crossed]
KINDS += [*2 * [_polygons], _waves, *3 * [_smudges]]


def _a_digit(number: int, rng: np.random.Generator, digits: list[int] | None = None) -> Positions:
    """One way to write one digit, varied: [number, P, 2], its height 1."""
    ways = read_ways("hands")[str(rng.choice(digits or 10))]
    digit = written(ways[rng.integers(len(ways))], number, rng)
    return digit / np.ptp(digit[..., 1:], axis=1, keepdims=True)


def _drawn(corners: Positions, points: int, curved: bool) -> Positions:
    """Positions [N, points, 2] along a line through corners [N, K, 2]."""
    places, time = np.arange(corners.shape[1]), np.linspace(0, corners.shape[1] - 1, points)
    if curved:
        return CubicSpline(places, corners, axis=1, bc_type="natural")(time)
    return (1 - np.abs(time[:, None] - places)).clip(0) @ corners


def _around(angle: Positions, radius: Positions) -> Positions:
    return np.stack([np.cos(angle) * radius, np.sin(angle) * radius], axis=2)


def _turned(positions: Positions, angle: Positions) -> Positions:
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return positions @ turn.transpose(2, 0, 1)
