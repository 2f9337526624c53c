"""What lies round a sheet on a photograph: a desk, its things, a clear or black surround."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from digits.ink.handwriting import Rng

Floats = NDArray[Any]  # float32, or float64 on the way


def noise(rng: Rng, height: int, width: int, rows: float, columns: float | None = None) -> Floats:
    """Smooth noise, [height, width], about -1 to 1, with this many waves down and across."""
    shape = max(2, round(rows)), max(2, round(rows if columns is None else columns))
    small = rng.normal(0, 0.6, shape).astype(np.float32)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def surround(rng: Rng, side: int) -> Floats:
    """What is seen where there is no sheet, [side, side, 3], 0 to 1."""
    return KINDS[rng.integers(len(KINDS))](rng, side).clip(0, 1)


def _colour(rng: Rng) -> Floats:
    """Any colour, most of them not bright."""
    grey = rng.uniform(0.03, 0.95) ** 1.5
    return np.clip(grey + rng.normal(0, 0.12, 3) * rng.integers(0, 2), 0, 1).astype(np.float32)


def _plain(rng: Rng, side: int) -> Floats:
    """One colour, as black is behind a cut-out page."""
    colour = rng.choice([0.0, 0.0, 1.0]) if rng.random() < 0.4 else _colour(rng)
    return np.broadcast_to(np.float32(colour), (side, side, 3)).copy()


def _cloth(rng: Rng, side: int) -> Floats:
    """Coarse to fine texture, or checks."""
    texture = noise(rng, side, side, np.exp(rng.uniform(1, np.log(side))))
    if rng.random() < 0.4:
        step = rng.uniform(3, 60)
        y, x = np.mgrid[:side, :side] / step
        texture = texture + np.sign(np.sin(6.3 * x)) * np.sign(np.sin(6.3 * y))
    return _colour(rng) + rng.uniform(0.02, 0.15) * texture[..., None].astype(np.float32)


def _wood(rng: Rng, side: int) -> Floats:
    """Fibres along one direction, and the joints of boards."""
    fibres = noise(rng, side, side, rng.uniform(20, side / 2), rng.uniform(2, 6)) + noise(rng, side, side, 8, 2)
    for place in rng.integers(0, side, rng.integers(0, 4)):
        fibres[place : place + rng.integers(1, 3)] -= 2
    fibres = fibres.T if rng.random() < 0.5 else fibres
    colour = np.array([0.5, 0.36, 0.24], np.float32) * rng.uniform(0.3, 1.7) + rng.normal(0, 0.03, 3)
    return np.asarray(colour * (1 + rng.uniform(0.05, 0.3) * fibres[..., None]), np.float32)


def _keys(rng: Rng, side: int) -> Floats:
    """A keyboard: rows of caps with a letter on each."""
    keys = np.full((side, side), int(rng.integers(0, 128)), np.uint8)
    cap, sign = rng.integers(0, 256, 2).tolist()
    step, shift = int(rng.integers(14, 44)), int(rng.integers(0, 14))
    for row, top in enumerate(range(-shift, side, step)):
        for left in range(-shift - row * step // 3, side, step):
            cv2.rectangle(keys, (left + 1, top + 1), (left + step - 3, top + step - 3), cap, -1)
            letter = chr(int(rng.integers(65, 91)))
            cv2.putText(keys, letter, (left + step // 4, top + step // 2), 0, step / 60, sign, 1, cv2.LINE_AA)
    return np.repeat(keys[..., None].astype(np.float32) / 255, 3, axis=2)


def _things(rng: Rng, side: int) -> Floats:
    """Books, pens, cables, other sheets: polygons, discs and thick lines on a plain ground."""
    picture = _cloth(rng, side)
    for _ in range(int(rng.integers(1, 9))):
        colour: Any = _colour(rng).tolist()
        x, y = rng.uniform(0, side, 2).astype(int).tolist()
        size = int(rng.uniform(0.05, 0.6) * side)
        kind, (dx, dy) = rng.integers(3), rng.normal(0, size, 2).astype(int).tolist()
        if kind == 0:
            corners = np.rint(cv2.boxPoints(((x, y), (size, abs(dx) + 9), rng.uniform(0, 90)))).astype(np.int32)
            cv2.fillConvexPoly(picture, corners, colour, cv2.LINE_AA)
        elif kind == 1:
            cv2.circle(picture, (x, y), size // 2, colour, int(rng.choice([-1, 2, 6])), cv2.LINE_AA)
        else:
            cv2.line(picture, (x, y), (x + 2 * dx, y + 2 * dy), colour, int(rng.integers(2, 16)), cv2.LINE_AA)
    return picture


KINDS: list[Callable[[Rng, int], Floats]] = [_plain, _plain, _cloth, _wood, _wood, _keys, _things, _things]
