"""Ink of a pen on paper of a colour, in light from a side: what all pictures drawn by program are made of."""

import io
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.interpolate import make_interp_spline
from scipy.ndimage import gaussian_filter

Floats = NDArray[np.float64]
Rng = np.random.Generator
Point = tuple[float, float]


@cache
def ways_to_write(name: str) -> dict[str, list[list[list[Point]]]]:
    """Read `name`.txt beside this file: the ways to write each sign, each a list of strokes."""
    ways: dict[str, list[list[list[Point]]]] = {}
    for line in (files("digits.pictures") / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            sign, strokes = line.split(maxsplit=1)
            ways.setdefault(sign, []).append([[_point(each) for each in s.split()] for s in strokes.split("/")])
    return ways


def _point(text: str) -> Point:
    x, y = text.split(",")
    return int(x) / 100, int(y) / 100


def curve(points: Any, count: int = 60) -> Floats:
    """A smooth line through points [K, 2], a straight one through two: [count, 2]."""
    along = np.linspace(0, 1, len(points))
    return make_interp_spline(along, points, k=min(3, len(points) - 1))(np.linspace(0, 1, count))


def slanted(rng: Rng, least: float, most: float) -> Floats:
    """A matrix that turns and slants a sign and makes it narrower: `least` to `most` of its width."""
    angle, slant, narrow = rng.normal(0, 0.09), rng.normal(0.08, 0.12), rng.uniform(least, most)
    return turn(angle) @ np.array([[1, -slant], [0, 1]]) @ np.diag([narrow, 1])


def turn(angle: float) -> Floats:
    """A matrix that turns points by an angle, radians."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def strokes_of(digit: int, rng: Rng) -> list[Floats]:
    """Draw a digit by hand: strokes as points [M, 2], x and y, in a box of height 1 around (0, 0)."""
    ways = ways_to_write("digits")[str(digit)]
    strokes = ways[rng.integers(len(ways))]
    change = slanted(rng, 0.55, 0.85)
    # By point, so that strokes which meet in a point still meet.
    bend = {point: rng.normal(0, 0.022, 2) for stroke in strokes for point in stroke}
    return [curve([np.add(point, bend[point]) - 0.5 for point in stroke]) @ change.T for stroke in strokes]


def ink_of(digit: int, rng: Rng, frame: tuple[int, int], height: float, pen: float, at: Any = (0.5, 0.5)) -> Floats:
    """Draw a digit and return the amount of ink in each pixel, [H, W], 0 to 1.

    Args:
        digit: to draw.
        rng: for the random changes.
        frame: height and width of the picture, pixels.
        height: of the digit, pixels.
        pen: width of the stroke, as a share of the digit's height.
        at: its centre, as shares of the picture's width and height.
    """
    fine = 4 if max(frame) < 500 else 2
    picture = Image.new("L", (frame[1] * fine, frame[0] * fine))
    draw = ImageDraw.Draw(picture)
    radius = max(pen * height, 1.0) * fine / 2
    for stroke in strokes_of(digit, rng):
        pixels = (stroke * height + np.array(at) * frame[::-1]) * fine
        dense = np.concatenate([np.linspace(a, b, 8) for a, b in pairwise(pixels)])
        for x, y in dense:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return np.asarray(picture.resize(frame[::-1], Image.Resampling.BOX)) / 255


def mixed(paper: Any, ink: Any, amount: Floats) -> Floats:
    """Put ink of a colour on paper, [H, W, 3]."""
    amount = amount[..., None]
    return np.broadcast_to(paper, (*amount.shape[:2], 3)) * (1 - amount) + np.asarray(ink) * amount


def light(frame: tuple[int, int], rng: Rng, strength: float) -> Floats:
    """Light from one side, weaker in the corners, [H, W, 1]."""
    y, x = np.mgrid[-1 : 1 : frame[0] * 1j, -1 : 1 : frame[1] * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    slope = 1 - strength * (0.5 + 0.5 * (np.cos(angle) * x + np.sin(angle) * y) / 1.42)
    return (slope * (1 - 0.3 * strength * (x**2 + y**2)))[..., None]


def grain(frame: tuple[int, int], rng: Rng, strength: float, size: float = 0.0) -> Floats:
    """Noise of a camera (size 0) or texture of paper, [H, W, 1]."""
    noise = rng.normal(0, 1, frame)
    if size:
        noise = gaussian_filter(noise, size)
        noise /= noise.std()
    return strength * noise[..., None]


def cut_out(amount: Floats, above: float = 0.0, margin: int = 0) -> Floats:
    """Cut an amount of ink, [H, W], out of its frame: where it is `above` something, and a margin."""
    rows, columns = np.flatnonzero((amount > above).any(1)), np.flatnonzero((amount > above).any(0))
    top, left = max(0, rows[0] - margin), max(0, columns[0] - margin)
    return amount[top : rows[-1] + 1 + margin, left : columns[-1] + 1 + margin]


def to_picture(pixels: Floats) -> Image.Image:
    """Pixels [H, W, 3], 0 to 1, as a picture."""
    return Image.fromarray((255 * np.clip(pixels, 0, 1)).round().astype(np.uint8))


def encoded(picture: Image.Image, kind: str = "PNG") -> bytes:
    """Encode a picture as a file of this kind."""
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()
