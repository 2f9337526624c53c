"""A sheet that does not fill its picture: on a desk, with dark edges, or cut out with nothing round it."""

from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from digits.pictures.ink import Floats, Rng, grain, ink_of, light, mixed, turn

FRAME = (600, 800)


def _sheet(digit: int, rng: Rng) -> Floats:
    """A digit in the middle third of a bright sheet that fills the frame, [H, W, 3]."""
    pen = rng.uniform(0.03, 0.09)
    amount = ink_of(digit, rng, FRAME, rng.uniform(130, 220), pen, rng.uniform(0.42, 0.58, 2))
    colour = [(0.1, 0.1, 0.12), (0.1, 0.15, 0.5), (0.35, 0.35, 0.37)][rng.integers(3)]
    return mixed(rng.uniform(0.75, 0.95), colour, amount)


def _outline(rng: Rng, kind: str) -> Floats:
    """Where the sheet is, [H, W]: a rectangle turned by up to 15 degrees, maybe cut by the border; a disc; torn."""
    height, width = FRAME
    picture = Image.new("L", (width, height))
    draw = ImageDraw.Draw(picture)
    size = np.array([rng.uniform(0.62, 0.95) * width, rng.uniform(0.62, 0.95) * height]) / 2
    if kind == "disc":
        radius = rng.uniform(0.36, 0.48) * height
        draw.ellipse((width / 2 - radius, height / 2 - radius, width / 2 + radius, height / 2 + radius), fill=255)
    else:
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * size @ turn(np.radians(rng.uniform(-15, 15)))
        if kind == "torn":  # each edge in many small steps to and fro
            steps = np.linspace(0, 1, 40)[:-1, None]
            corners = np.concatenate(
                [a + steps * (b - a) for a, b in zip(corners, np.roll(corners, -1, 0), strict=True)]
            )
            corners = corners + rng.normal(0, 5, corners.shape)
        draw.polygon([tuple(p) for p in corners + np.array([width, height]) / 2 + rng.normal(0, 12, 2)], fill=255)
    return gaussian_filter(np.asarray(picture) / 255, 0.7)


def _desk(rng: Rng) -> Floats:
    """Wood, cloth or a keyboard, [H, W, 3]."""
    kind, (y, x) = rng.integers(3), np.mgrid[: FRAME[0], : FRAME[1]]
    if kind == 0:
        rings = np.sin(
            x / rng.uniform(4, 30) + 3 * np.sin(y / rng.uniform(60, 200)) + grain(FRAME, rng, 0.6, 6)[..., 0]
        )
        return np.array([0.45, 0.3, 0.18]) * rng.uniform(0.5, 1.4) * (1 + 0.12 * rings[..., None])
    if kind == 1:
        weave = np.sin(x / rng.uniform(1, 4)) * np.sin(y / rng.uniform(1, 4))
        return rng.uniform(0.1, 0.6, 3) + 0.06 * weave[..., None] + grain(FRAME, rng, 0.03, 2)
    step = int(rng.integers(45, 80))
    gap = (x % step < step // 7) | (y % step < step // 7)
    sign = (abs(x % step - step / 2) < 3) & (abs(y % step - step / 2) < step / 5)
    return np.where(gap, 0.02, np.where(sign, 0.85, rng.uniform(0.1, 0.25)))[..., None].repeat(3, axis=2)


def _on_desk(digit: int, rng: Rng) -> Floats:
    """A photograph of a sheet on a desk, with its shadow."""
    shape = _outline(rng, "rectangle")
    shadow = gaussian_filter(np.roll(shape, rng.integers(-12, 12, 2), (0, 1)), 8)
    ground = _desk(rng) * (1 - 0.5 * shadow[..., None])
    picture = ground + shape[..., None] * (_sheet(digit, rng) - ground)
    return gaussian_filter(picture, (0.8, 0.8, 0)) * light(FRAME, rng, 0.35) + grain(FRAME, rng, 0.015)


def _scanned(digit: int, rng: Rng) -> Floats:
    """A scan whose edges on two to four sides are dark, up to a tenth of the picture."""
    picture, (y, x) = _sheet(digit, rng), np.mgrid[0 : 1 : FRAME[0] * 1j, 0 : 1 : FRAME[1] * 1j]
    sides = rng.permutation(4)[: rng.integers(2, 5)]
    for edge in np.stack([x, 1 - x, y, 1 - y])[sides]:
        limit = rng.uniform(0.01, 0.1) + rng.normal(0, 0.01) * (x + y)
        picture = np.where((edge < limit)[..., None], rng.uniform(0, 0.3), picture)
    return gaussian_filter(picture, (1, 1, 0)) + grain(FRAME, rng, 0.01)


def _cut_out(digit: int, rng: Rng, kind: str) -> Floats:
    """The sheet alone, the rest transparent, [H, W, 4]."""
    return np.dstack([_sheet(digit, rng), _outline(rng, kind)])


def _window(digit: int, rng: Rng) -> Floats:
    """A screenshot of a window: round corners and a transparent shadow, [H, W, 4]."""
    picture = Image.new("L", FRAME[::-1])
    ImageDraw.Draw(picture).rounded_rectangle((60, 50, FRAME[1] - 60, FRAME[0] - 70), 14, fill=255)
    shape = np.asarray(picture) / 255
    alpha = np.maximum(shape, 0.45 * gaussian_filter(np.roll(shape, 12, 0), 18))
    return np.dstack([_sheet(digit, rng) * (shape > 0.5)[..., None], alpha])


def _sticker(digit: int, rng: Rng) -> Floats:
    """A cut-out sheet of any light colour with a white rim, [H, W, 4]."""
    shape = _outline(rng, "disc" if rng.random() < 0.5 else "rectangle")
    inner = gaussian_filter((gaussian_filter(shape, 10) > 0.9) * 1.0, 0.7)[..., None]
    sheet = _sheet(digit, rng) * rng.uniform(0.6, 1, 3)
    return np.dstack([1 + inner * (sheet - 1), shape])


SHEETS: dict[str, Callable[[int, Rng], Floats]] = {
    "table": _on_desk,
    "scanned": _scanned,
    "page": partial(_cut_out, kind="rectangle"),
    "disc": partial(_cut_out, kind="disc"),
    "torn": partial(_cut_out, kind="torn"),
    "window": _window,
    "sticker": _sticker,
}
