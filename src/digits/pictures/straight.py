"""Digits whose strokes are long and straight, on blank paper: what looks like a printed line belongs to the digit."""

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from digits.pictures.ink import Floats, Rng, grain, light, mixed, turn

# Strokes as points x, y from the top left, in heights of the digit.
STROKES: dict[int, list[list[tuple[float, float]]]] = {
    0: [[(0.35, 0), (0.1, 0.15), (0, 0.5), (0.1, 0.85), (0.35, 1), (0.6, 0.85), (0.7, 0.5), (0.6, 0.15), (0.35, 0)]],
    1: [[(0.05, 0.25), (0.35, 0), (0.35, 1)], [(0, 1), (0.7, 1)]],
    2: [[(0.05, 0.25), (0.15, 0.05), (0.4, 0), (0.6, 0.15), (0.55, 0.4), (0, 1), (0.85, 1)]],
    3: [[(0, 0), (0.7, 0), (0.3, 0.4), (0.7, 0.6), (0.6, 0.95), (0.3, 1), (0, 0.9)]],
    4: [[(0.5, 0), (0, 0.65), (0.85, 0.65)], [(0.62, 0.3), (0.62, 1)]],
    5: [[(0.75, 0), (0.1, 0), (0.08, 0.42), (0.4, 0.38), (0.65, 0.55), (0.6, 0.85), (0.35, 1), (0, 0.92)]],
    6: [
        [(0.55, 0), (0.15, 0.4), (0, 0.7), (0.12, 0.95), (0.35, 1), (0.58, 0.9), (0.62, 0.7), (0.5, 0.55), (0.03, 0.7)]
    ],
    7: [[(0, 0), (0.75, 0), (0.3, 1)], [(0.2, 0.5), (0.75, 0.5)]],
    8: [
        [
            (0.35, 0),
            (0.08, 0.3),
            (0.55, 0.62),
            (0.6, 0.88),
            (0.35, 1),
            (0.08, 0.88),
            (0.1, 0.62),
            (0.58, 0.3),
            (0.35, 0),
        ]
    ],
    9: [[(0.65, 0.25), (0.5, 0.03), (0.2, 0.03), (0.03, 0.25), (0.2, 0.47), (0.5, 0.42), (0.65, 0.2), (0.65, 1)]],
}


def straight_digit(digit: int, rng: Rng) -> Floats:
    """Thick or thin, filling the picture or not, with noise and specks, [H, W, 3]"""
    frame = int(rng.integers(200, 520)), int(rng.integers(200, 520))
    strokes = STROKES[digit]
    height = min(frame) * rng.uniform(0.35, 0.95) * 0.95
    pen = max(1.0, height * np.exp(rng.uniform(np.log(0.01), np.log(0.1))))
    tilt, stretch = turn(rng.normal(0, 0.03)), rng.uniform(0.8, 1.15)
    every = np.concatenate(strokes)
    middle = (every.max(axis=0) + every.min(axis=0)) / 2
    room = np.maximum(np.array(frame[::-1]) - height - 2 * pen, 0)
    centre = np.array(frame[::-1]) / 2 + rng.uniform(-0.5, 0.5, 2) * room
    picture = Image.new("L", (2 * frame[1], 2 * frame[0]))
    draw = ImageDraw.Draw(picture)
    for stroke in strokes:
        points = ((np.array(stroke) - middle) * (stretch, 1)) @ tilt.T * height + centre
        draw.line([tuple(2 * point) for point in points], fill=255, width=round(2 * pen), joint="curve")
    amount = np.asarray(picture.resize(frame[::-1], Image.Resampling.BOX)) / 255
    for x, y in rng.integers(0, min(frame), (int(rng.integers(0, 12)), 2)):
        amount[y : y + 2, x : x + 2] = rng.uniform(0.3, 1)
    amount = gaussian_filter(amount, rng.uniform(0, 0.8))
    return mixed(rng.uniform(0.7, 1), (0.1, 0.1, 0.25), amount) * light(frame, rng, 0.2) + grain(
        frame, rng, rng.uniform(0, 0.02)
    )
