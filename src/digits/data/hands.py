"""Digits drawn by program in ways that people write all over the world and that MNIST, written by Americans, lacks.

A digit is a few strokes of `hands.txt`, which vary at random; a pen of varying width goes along them. As in MNIST, the
longest side is 20 pixels and the centre of mass is in the middle of 28x28.
"""

from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from torch import Tensor

POINTS = 144  # along the strokes of a digit: about two in each pixel
AT_ONCE = 256  # digits; more do not fit a processor's cache
REACH = np.arange(-3, 4, dtype=np.float32)  # pixels around a point that its ink can touch
SIDE = 28 + 2 * 3  # pixels of an image with a frame of that reach
Floats = NDArray[np.float32]


class Way(NamedTuple):
    """A way to write a digit."""

    turn: float  # standard deviation of its rotation, radians
    extremes: Floats  # two sets of points, [2, K, 2], x and y, the height about 1
    curve: Floats  # [POINTS, K]; multiplied by points of the strokes, it gives positions along them


def draw_hands(number: int, digits: list[int], seed: int) -> tuple[Tensor, Tensor]:
    """Draw digits: the same number of each digit, and of each way to write it.

    Args:
        number: of images, N.
        digits: to draw.
        seed: of everything that is random.

    Returns:
        Images uint8 [N, 1, 28, 28] (ink 255, paper 0) and labels int64 [N], positions in `digits`.
    """
    rng = np.random.default_rng(seed)
    images, labels = np.empty((number, 28, 28), np.uint8), np.arange(number) % len(digits)
    for label, digit in enumerate(digits):
        ways = read_ways("hands")[str(digit)]
        for way, of_way in zip(ways, np.array_split(np.flatnonzero(labels == label), len(ways)), strict=True):
            for rows in np.array_split(of_way, len(of_way) // AT_ONCE + 1):
                images[rows] = inked(written(way, len(rows), rng), rng)
    return torch.from_numpy(images)[:, None], torch.from_numpy(labels)


@cache
def read_ways(name: str) -> dict[str, list[Way]]:
    """Read `name`.txt beside this file: the ways to write each digit or letter."""
    ways: dict[str, list[Way]] = {}
    for line in (files("digits.data") / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            sign, turn, strokes = line.split(maxsplit=2)
            ways.setdefault(sign, []).append(_way(float(turn), strokes))
    return ways


def _way(turn: float, text: str) -> Way:
    first, second = ([stroke.split() for stroke in each.split("/")] for each in text.split("|"))
    pairs = [list(zip(*strokes, strict=True)) for strokes in zip(first, second, strict=True)]
    names = sorted({pair for stroke in pairs for pair in stroke})
    extremes = np.array([[[int(part) / 100 for part in point.split(",")] for point in pair] for pair in names])
    middle, every = extremes.mean(axis=1), np.eye(len(names))
    indices = [[names.index(pair) for pair in stroke] for stroke in pairs]
    # Each point's place along its stroke: the length of straight lines to it.
    places = [np.insert(np.linalg.norm(np.diff(middle[i], axis=0), axis=1).cumsum(), 0, 0) for i in indices]
    ends = np.rint(np.cumsum([0, *(place[-1] for place in places)]) / sum(p[-1] for p in places) * POINTS).astype(int)
    curves = [
        CubicSpline(place, every[i], bc_type="natural")(np.linspace(0, place[-1], stop - start))
        for place, i, (start, stop) in zip(places, indices, pairwise(ends), strict=True)
    ]
    return Way(np.radians(turn), extremes.swapaxes(0, 1).astype(np.float32), np.concatenate(curves).astype(np.float32))


def written(way: Way, number: int, rng: np.random.Generator) -> Floats:
    """Vary a way to write: positions along the strokes of each digit, [number, POINTS, 2], x and y."""

    def normal(deviation: float) -> Floats:
        return rng.normal(0, deviation, (number, 1)).astype(np.float32)

    mix = rng.uniform(-0.1, 1.1, (number, 1, 1))
    corners = way.extremes[0] + mix * (way.extremes[1] - way.extremes[0])
    positions = way.curve @ (corners + rng.normal(0, 0.02, corners.shape)).astype(np.float32)
    # A bend and a trembling hand: waves of x along y, and of y along x.
    for size, least, most in ((0.03, 2, 5), (0.006, 8, 25)):
        speed = rng.uniform(least, most, (number, 1, 2)).astype(np.float32)
        phase = rng.uniform(0, 2 * np.pi, (number, 1, 2)).astype(np.float32)
        positions += normal(size)[..., None] * np.sin(speed * positions[..., ::-1] + phase)
    angle, slant, width = normal(way.turn), 0.05 + normal(0.12), np.exp(normal(0.16))
    x, y = width * positions[..., 0] - slant * positions[..., 1], positions[..., 1]
    return np.stack([np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y], axis=2)


def inked(positions: Floats, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw the strokes, each digit with another pen: images uint8 [N, 28, 28]."""
    number = len(positions)

    def uniform(least: float, most: float, *shape: int) -> Floats:
        return rng.uniform(least, most, (number, *(shape or (1,)))).astype(np.float32)

    radius = np.exp(uniform(np.log(0.5), np.log(1.6)))  # pixels
    low, high = positions.min(axis=1), positions.max(axis=1)
    scale = (20 - 2 * radius) / (high - low).max(axis=1, keepdims=True)
    positions, size = (positions - low[:, None]) * scale[..., None], (high - low) * scale
    along = np.linspace(0, 1, positions.shape[1], dtype=np.float32)
    step = np.gradient(positions, axis=1)
    nib = uniform(0, 0.35) * np.cos(2 * (np.arctan2(step[..., 1], step[..., 0]) - uniform(0, np.pi)))
    pressure = uniform(0, 0.25) * np.sin(uniform(2, 12) * along + uniform(0, 6))
    radii = (radius * (1 + nib + pressure)).clip(0.4, 2.5)
    # Ink that fades along the way, up to three gaps, a start without ink; most digits have none of these.
    ink = 1 - uniform(0, 0.9) ** 4 * (0.5 + 0.5 * np.sin(uniform(2, 12) * along + uniform(0, 6)))
    gap = np.abs(along - uniform(0, 1, 3, 1)) < np.where(uniform(0, 1, 3, 1) < 0.12, uniform(0.01, 0.1, 3, 1), -1)
    late = along < np.where(uniform(0, 1) < 0.12, uniform(0, 0.12), 0)
    ink *= 1 - uniform(0.5, 1) * (gap.any(axis=1) | late)
    weight = (radii * ink)[..., None]
    middle = (positions * weight).sum(axis=1) / weight.sum(axis=1)
    # The box starts at the edge of a pixel, -0.5, as after MNIST's crop.
    corner = np.rint(14.5 - middle - radius).clip(0, np.floor(28 - 2 * radius - size))
    start = corner + radius - 0.5
    images = _rendered(positions + start[:, None], radii, ink, uniform(0.7, 1.6)) * uniform(1, 1.5, 1, 1)
    images = images.clip(0, 1)
    images *= 1 - uniform(0, 0.7, 1, 1) ** 2 * rng.random(images.shape, np.float32)  # grain of pencil and paper
    return np.rint(255 * images).astype(np.uint8)


def _rendered(positions: Floats, radii: Floats, ink: Floats, softness: Floats) -> Floats:
    """Put a round dot at each position; where dots overlap, the darkest counts: [N, 28, 28], 0 to 1."""
    x, y = (np.rint(positions[..., axis, None]) + REACH for axis in (0, 1))  # [N, POINTS, 7]
    across, down = ((pixels - positions[..., axis, None]) ** 2 for axis, pixels in enumerate((x, y)))
    distance = np.sqrt(down[..., None] + across[..., None, :])  # [N, POINTS, 7, 7]
    dots = ((radii / softness + 0.5)[..., None, None] - distance / softness[..., None, None]).clip(0, 1)
    dots *= ink[..., None, None]
    # A frame of 3 pixels takes what a dot at the edge would put outside.
    rows = (np.arange(len(positions))[:, None, None] * SIDE + y.astype(int) + 3) * SIDE
    places = rows[..., None] + (x.astype(int) + 3)[..., None, :]
    touched = dots > 0
    flat = np.zeros(len(positions) * SIDE * SIDE, np.float32)
    np.maximum.at(flat, places[touched], dots[touched])
    return flat.reshape(-1, SIDE, SIDE)[:, 3:-3, 3:-3].copy()
