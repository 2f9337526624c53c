"""Pictures of digits for the tests, drawn by program on many kinds of paper and in many kinds of light.

They do not come from MNIST: each digit is a few pen strokes, with random changes. `python tests/drawn.py FOLDER`
writes the pictures, `python tests/drawn.py RUN --score` counts how many of them a model reads correctly.
"""

import argparse
import io
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.interpolate import make_interp_spline
from scipy.ndimage import center_of_mass, gaussian_filter

from digits_reader import PictureError, Reader, read_picture
from plain_errors import plain_errors

Floats = NDArray[np.float64]

# Ways to write each digit: strokes separated by /, points x,y in percent of a box, from its top left.
WAYS_TO_WRITE = {
    0: [
        "50,0 15,20 10,60 40,100 80,80 88,35 50,0",
        "60,2 25,25 20,75 50,100 75,70 75,25 52,3",
    ],
    1: [
        "50,0 50,33 50,66 50,100",
        "25,28 42,15 55,0 / 55,0 54,50 53,100",
        "62,0 55,40 42,100",
    ],
    2: [
        "12,25 40,0 78,22 55,62 12,98 / 12,98 50,97 92,96",
        "15,20 50,0 80,25 50,68 20,93 30,80 55,90 90,98",
    ],
    3: [
        "15,12 50,0 80,22 40,48 / 40,48 85,68 60,98 10,90",
        "12,3 45,2 80,2 / 80,2 60,20 42,40 / 42,40 82,55 70,92 35,100 10,88",
    ],
    4: [
        "30,2 22,30 12,58 / 12,58 50,57 90,55 / 70,5 68,50 65,100",
        "65,0 40,32 8,66 / 8,66 50,66 95,65 / 65,0 65,50 64,100",
    ],
    5: [
        "82,2 50,3 25,4 / 25,4 22,22 18,42 / 18,42 60,36 85,66 60,97 12,92",
        "28,5 25,25 20,45 / 20,45 60,40 80,70 50,98 12,88 / 28,5 55,5 85,2",
    ],
    6: [
        "68,0 32,28 16,68 42,100 78,80 60,54 22,70",
        "50,0 28,35 20,75 50,100 75,78 52,58 24,78",
    ],
    7: [
        "12,4 50,3 88,2 / 88,2 62,45 40,100",
        "12,6 50,4 86,2 / 86,2 60,50 42,100 / 32,52 55,50 78,48",
    ],
    8: [
        "78,14 45,0 22,20 50,45 80,75 48,100 18,78 48,48 76,25 74,12",
        "50,45 25,22 50,0 75,22 50,45 / 50,45 18,74 50,100 82,74 50,45",
    ],
    9: [
        "78,22 45,2 20,30 48,52 78,26 / 78,24 75,60 68,100",
        "75,25 50,2 22,26 45,50 76,25 / 76,24 74,68 55,97 22,90",
    ],
}


def strokes_of(digit: int, rng: np.random.Generator) -> list[Floats]:
    """Draw a digit by hand: strokes as points [M, 2], x and y, in a box of height 1 around (0, 0)."""
    way = WAYS_TO_WRITE[digit][rng.integers(len(WAYS_TO_WRITE[digit]))]
    strokes = [[tuple(int(each) / 100 for each in point.split(",")) for point in s.split()] for s in way.split("/")]
    angle, slant, narrow = rng.normal(0, 0.09), rng.normal(0.08, 0.12), rng.uniform(0.55, 0.85)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    change = turn @ np.array([[1, -slant], [0, 1]]) @ np.diag([narrow, 1])
    # By point, so that strokes which meet in a point still meet.
    bend = {point: rng.normal(0, 0.022, 2) for stroke in strokes for point in stroke}
    strokes_drawn = []
    for stroke in strokes:
        points = np.array([np.add(point, bend[point]) for point in stroke]) - 0.5
        along = np.linspace(0, 1, len(points))
        curve = make_interp_spline(along, points, k=min(3, len(points) - 1))(np.linspace(0, 1, 60))
        strokes_drawn.append(curve @ change.T)
    return strokes_drawn


def ink_of(
    digit: int, rng: np.random.Generator, frame: tuple[int, int], height: float, pen: float, at=(0.5, 0.5)
) -> Floats:
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


def mixed(paper: Floats | float, ink: Floats | tuple[float, ...] | float, amount: Floats) -> Floats:
    """Put ink of a colour on paper, [H, W, 3]."""
    amount = amount[..., None]
    return np.broadcast_to(paper, (*amount.shape[:2], 3)) * (1 - amount) + np.asarray(ink) * amount


def light(frame: tuple[int, int], rng: np.random.Generator, strength: float) -> Floats:
    """Light from one side, weaker in the corners, [H, W, 1]."""
    y, x = np.mgrid[-1 : 1 : frame[0] * 1j, -1 : 1 : frame[1] * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    slope = 1 - strength * (0.5 + 0.5 * (np.cos(angle) * x + np.sin(angle) * y) / 1.42)
    return (slope * (1 - 0.3 * strength * (x**2 + y**2)))[..., None]


def grain(frame: tuple[int, int], rng: np.random.Generator, strength: float, size: float = 0.0) -> Floats:
    """Noise of a camera (size 0) or texture of paper, [H, W, 1]."""
    noise = rng.normal(0, 1, frame)
    if size:
        noise = gaussian_filter(noise, size)
        noise /= noise.std()
    return strength * noise[..., None]


def _canvas(digit: int, rng: np.random.Generator) -> Floats:
    """Drawn on a screen: black on white, a thick round pen, anywhere on the canvas."""
    height = rng.uniform(120, 250)
    amount = ink_of(digit, rng, (280, 280), height, rng.uniform(0.06, 0.14), rng.uniform(0.44, 0.56, 2))
    return mixed(1.0, 0.0, amount)


def _hairline(digit: int, rng: np.random.Generator) -> Floats:
    """A large digit with a thin pen."""
    return mixed(1.0, 0.1, ink_of(digit, rng, (400, 300), rng.uniform(220, 300), 0.012))


def _pencil(digit: int, rng: np.random.Generator) -> Floats:
    """Grey pencil on grey paper, grainy."""
    frame = (320, 320)
    amount = ink_of(digit, rng, frame, rng.uniform(130, 220), rng.uniform(0.03, 0.05))
    paper = 0.72 + grain(frame, rng, 0.02) + grain(frame, rng, 0.01, 3)
    return mixed(paper, 0.42, amount * (0.75 + 0.25 * rng.random(frame))) * light(frame, rng, 0.15)


def _ballpoint(digit: int, rng: np.random.Generator) -> Floats:
    """Blue ballpoint on grey paper, uneven light, the digit small in a photograph."""
    frame = (768, 1024)
    amount = ink_of(digit, rng, frame, rng.uniform(150, 350), rng.uniform(0.03, 0.05), rng.uniform(0.35, 0.65, 2))
    paper = 0.75 + grain(frame, rng, 0.008, 4)
    return mixed(paper, (0.15, 0.2, 0.55), 0.9 * amount) * light(frame, rng, 0.55) + grain(frame, rng, 0.02)


def _chalk(digit: int, rng: np.random.Generator) -> Floats:
    """Chalk on a board that is not quite clean."""
    frame = (480, 480)
    amount = ink_of(digit, rng, frame, rng.uniform(200, 360), rng.uniform(0.05, 0.08))
    board = np.array([0.12, 0.22, 0.17]) + grain(frame, rng, 0.03, 12) + grain(frame, rng, 0.015)
    chalk = amount * np.clip(0.75 + grain(frame, rng, 0.3, 1)[..., 0], 0, 1)
    return mixed(board, 0.92, chalk) * light(frame, rng, 0.3)


def _marker(digit: int, rng: np.random.Generator) -> Floats:
    """A broad marker on a yellow note, the corners dark."""
    frame = (360, 360)
    amount = ink_of(digit, rng, frame, rng.uniform(180, 250), rng.uniform(0.12, 0.18))
    colour = [(0.1, 0.1, 0.1), (0.7, 0.1, 0.15), (0.1, 0.4, 0.2), (0.2, 0.15, 0.5)][rng.integers(4)]
    return mixed(np.array([0.97, 0.88, 0.42]), colour, amount) * light(frame, rng, 0.5) + grain(frame, rng, 0.015)


def _shadow(digit: int, rng: np.random.Generator) -> Floats:
    """The shadow of a hand across half the paper."""
    frame = (600, 600)
    amount = ink_of(digit, rng, frame, rng.uniform(250, 400), rng.uniform(0.04, 0.07))
    angle, y, x = rng.uniform(0, 2 * np.pi), *np.mgrid[-1:1:600j, -1:1:600j]
    across = np.cos(angle) * x + np.sin(angle) * y + rng.uniform(-0.3, 0.3)
    shade = 1 - rng.uniform(0.25, 0.4) / (1 + np.exp(-across / rng.uniform(0.03, 0.12)))
    return mixed(0.88, (0.12, 0.12, 0.16), amount) * shade[..., None] + grain(frame, rng, 0.015)


def _specks(digit: int, rng: np.random.Generator) -> Floats:
    """Dirt and stray marks round the digit."""
    frame = (400, 400)
    amount = ink_of(digit, rng, frame, rng.uniform(180, 260), rng.uniform(0.05, 0.09))
    picture = Image.new("L", (400, 400))
    draw = ImageDraw.Draw(picture)
    for _ in range(25):
        x, y, r = *rng.uniform(5, 395, 2), rng.uniform(0.8, 3.5)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=255)
    x, y = rng.choice([20, 380]), rng.uniform(20, 380)
    draw.line((x, y, x + rng.normal(0, 8), y + rng.normal(0, 20)), fill=220, width=3)
    return mixed(0.93, 0.1, np.maximum(amount, np.asarray(picture) / 255)) + grain(frame, rng, 0.01)


def _squared(digit: int, rng: np.random.Generator) -> Floats:
    """School paper with pale squares."""
    frame = (500, 500)
    lines = np.zeros(frame)
    step, start = int(rng.integers(38, 60)), int(rng.integers(0, 38))
    lines[start::step] = lines[:, start::step] = 1
    paper = mixed(0.94, (0.7, 0.78, 0.9), np.clip(gaussian_filter(lines, 0.7) * 1.6, 0, 1))
    amount = ink_of(digit, rng, frame, rng.uniform(180, 330), rng.uniform(0.045, 0.07))
    return mixed(paper, (0.1, 0.12, 0.35), amount) * light(frame, rng, 0.25) + grain(frame, rng, 0.012)


def _tiny(digit: int, rng: np.random.Generator) -> Floats:
    """An icon of 12 to 32 pixels."""
    side = int(rng.integers(12, 33))
    return mixed(1.0, 0.0, ink_of(digit, rng, (side, side), 0.8 * side, 0.1))


def _tight(digit: int, rng: np.random.Generator) -> Floats:
    """Cut out close to the ink, light on dark or dark on light."""
    height = 100.0
    amount = ink_of(digit, rng, (160, 160), height, rng.uniform(0.06, 0.22))
    rows, columns = np.flatnonzero(amount.any(1)), np.flatnonzero(amount.any(0))
    amount = np.pad(amount[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], rng.integers(0, 8))
    return mixed(1.0, 0.1, amount) if rng.random() < 0.5 else mixed(0.05, 0.95, amount)


def _blurred(digit: int, rng: np.random.Generator) -> Floats:
    """Out of focus, in weak light."""
    frame = (480, 640)
    amount = ink_of(digit, rng, frame, rng.uniform(200, 320), rng.uniform(0.04, 0.07))
    sharp = mixed(0.5, 0.15, amount) * light(frame, rng, 0.4)
    return gaussian_filter(sharp, (rng.uniform(2, 6),) * 2 + (0,)) + grain(frame, rng, 0.025)


def _painted(digit: int, rng: np.random.Generator) -> Floats:
    """A brush in one colour on another of similar brightness."""
    frame = (420, 420)
    paper, ink = [
        ((0.55, 0.65, 0.85), (0.85, 0.35, 0.25)),
        ((0.95, 0.75, 0.75), (0.25, 0.55, 0.3)),
        ((0.2, 0.25, 0.5), (0.95, 0.8, 0.2)),
        ((0.85, 0.3, 0.3), (0.98, 0.95, 0.9)),
    ][rng.integers(4)]
    amount = ink_of(digit, rng, frame, rng.uniform(220, 320), rng.uniform(0.09, 0.15))
    return mixed(np.array(paper) + grain(frame, rng, 0.015, 5), ink, amount * 0.95)


def _far(digit: int, rng: np.random.Generator) -> Floats:
    """A sheet photographed from some distance: the digit is a tenth of the picture."""
    frame = (1200, 1600)
    amount = ink_of(digit, rng, frame, rng.uniform(120, 180), rng.uniform(0.06, 0.09), rng.uniform(0.2, 0.8, 2))
    return mixed(0.8, (0.1, 0.1, 0.15), amount) * light(frame, rng, 0.35) + grain(frame, rng, 0.02)


def _desk(digit: int, rng: np.random.Generator) -> Floats:
    """A sheet that does not fill the photograph: the desk shows on one or two sides."""
    frame = (600, 800)
    amount = ink_of(digit, rng, frame, rng.uniform(220, 340), rng.uniform(0.04, 0.07))
    y, x = np.mgrid[0:1:600j, 0:1:800j]
    tilt = rng.normal(0, 0.04, 2)
    sheet = (x + tilt[0] * y > rng.uniform(0.03, 0.13)) & ((y + tilt[1] * x < 0.9) | (rng.random() < 0.5))
    wood = np.array([0.35, 0.24, 0.15]) + grain(frame, rng, 0.03, 4)
    flat = np.where(sheet[..., None], mixed(0.85, (0.1, 0.1, 0.2), amount), wood)
    return gaussian_filter(flat, (1, 1, 0)) * light(frame, rng, 0.3) + grain(frame, rng, 0.015)


def _line(frame: tuple[int, int], start: Floats, end: Floats, width: float) -> Floats:
    """Amount of ink, [H, W], of a straight line between two points x, y, pixels."""
    y, x = np.mgrid[: frame[0], : frame[1]] + 0.5
    length = np.hypot(*(end - start))
    along, across = (end - start) / length, (end - start)[::-1] * (-1, 1) / length
    t, d = ((x - start[0]) * v[0] + (y - start[1]) * v[1] for v in (along, across))
    return np.clip(width / 2 + 0.5 - np.abs(d), 0, min(width, 1)) * np.clip(np.minimum(t, length - t) + 0.5, 0, 1)


def _lined(digit: int, rng: np.random.Generator, lines: Callable[..., list[tuple[float, ...]]]) -> Floats:
    """A digit and straight lines: from x, y to x, y, in its heights, from its centre.

    The lines are 1 to 4 % of the digit's height wide, black to pale, and tilted a little.
    """
    frame = tuple(rng.integers(240, 520, 2))
    height = min(frame) * rng.uniform(0.45, 0.7)
    centre = (rng.uniform(-0.5, 0.5, 2) * (0.8 * (min(frame) - 1.3 * height)) + np.array(frame) / 2)[::-1]
    amount = ink_of(digit, rng, frame, height, rng.uniform(0.05, 0.12), centre / frame[::-1])
    rows, columns = np.flatnonzero(amount.any(1)), np.flatnonzero(amount.any(0))
    box = (np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) - np.tile(centre, 2)) / height
    angle, width = rng.normal(0, 0.012), rng.uniform(0.01, 0.04) * height
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    printed = np.zeros(frame)
    for line in lines(rng, box, np.array(frame[::-1]) / height):
        start, end = np.reshape(line, (2, 2)) @ turn.T * height + centre
        printed = np.maximum(printed, _line(frame, start, end, width))
    colour = [rng.uniform(0, 0.2, 3), np.full(3, rng.uniform(0.2, 0.75)), (0.4, 0.5, 0.8)][rng.integers(3)]
    paper = mixed(0.95, colour, printed)
    return mixed(paper, (0.1, 0.1, 0.3), amount) * light(frame, rng, 0.2) + grain(frame, rng, 0.01)


def _boxed(digit: int, rng: np.random.Generator) -> Floats:
    """In a printed box, as on a form, that the digit may touch."""

    def lines(rng, box, size):
        left, top, right, bottom = box + rng.uniform(-0.02, 0.3, 4) * (-1, -1, 1, 1)
        corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
        return [(*a, *b) for a, b in pairwise(corners)]

    return _lined(digit, rng, lines)


def _underlined(digit: int, rng: np.random.Generator) -> Floats:
    """With a line under it, over it or both, that the digit may touch."""

    def lines(rng, box, size):
        out = rng.uniform(0.1, 0.6, 2)
        heights = [box[1] - rng.uniform(-0.02, 0.2), box[3] + rng.uniform(-0.02, 0.2)]
        chosen = [heights, heights[:1], heights[1:], heights[1:]][rng.integers(4)]
        return [(box[0] - out[0], y, box[2] + out[1], y) for y in chosen]

    return _lined(digit, rng, lines)


def _ruled(digit: int, rng: np.random.Generator) -> Floats:
    """On ruled paper, the lines closer or further than the digit is high."""

    def lines(rng, box, size):
        step, start = rng.uniform(0.4, 1.3), rng.uniform(0, 1.3)
        return [(-3, y, 3, y) for y in np.arange(start - 4, 4, step)]

    return _lined(digit, rng, lines)


def _grid(digit: int, rng: np.random.Generator) -> Floats:
    """On squared paper, with lines from pale to black."""

    def lines(rng, box, size):
        step, (x, y) = rng.uniform(0.25, 0.6), rng.uniform(0, 0.6, 2)
        rows = [(-4, y, 4, y) for y in np.arange(y - 4, 4, step)]
        return rows + [(x, -4, x, 4) for x in np.arange(x - 4, 4, step)]

    return _lined(digit, rng, lines)


def _cut(digit: int, rng: np.random.Generator, margin: int | None = None) -> Floats:
    """Cropped to the ink with 0 to 5 pixels of margin, from small to large, the edges from hard to soft."""
    height = np.exp(rng.uniform(np.log(20), np.log(400)))
    side = int(1.6 * height) + 40
    amount = ink_of(digit, rng, (side, side), height, rng.uniform(0.05, 0.2))
    amount = gaussian_filter(amount, rng.choice([0, rng.uniform(0.3, 0.04 * height)]))
    amount = (amount > 0.5) * 1.0 if rng.random() < 0.3 else amount / amount.max()
    rows, columns = np.flatnonzero((amount > 0.1).any(1)), np.flatnonzero((amount > 0.1).any(0))
    amount = amount[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    space = int(rng.integers(0, 6)) if margin is None else margin
    amount = np.pad(amount, np.maximum(space, [[4 - len(amount) // 2] * 2, [4 - len(amount[0]) // 2] * 2]))
    paper, ink = (0.9, (0.1, 0.15, 0.4)) if rng.random() < 0.7 else (0.1, 0.9)
    return mixed(paper, ink, amount) + grain(amount.shape, rng, rng.choice([0, 0.01, 0.03]))


def _broken(digit: int, rng: np.random.Generator) -> Floats:
    """32x32 pixels, a thin faint pen that skips."""
    ink = ink_of(digit, rng, (128, 128), rng.uniform(48, 110), rng.uniform(0.02, 0.05))
    skips = gaussian_filter(rng.normal(0, 1, (128, 128)), 5)
    ink = ink * np.clip(1 - rng.uniform(0, 0.8) * np.clip(skips / skips.std(), 0, 1.5), 0, 1)
    amount = np.asarray(Image.fromarray((255 * ink).astype(np.uint8)).resize((32, 32), Image.Resampling.BOX)) / 255
    return mixed(1.0, rng.uniform(0, 0.5), amount)


SCENES: dict[str, Callable[[int, np.random.Generator], Floats]] = {
    scene.__name__.removeprefix("_"): scene
    for scene in (
        *(_canvas, _hairline, _pencil, _ballpoint, _chalk, _marker, _shadow),
        *(_specks, _squared, _tiny, _tight, _blurred, _painted, _far, _desk),
    )
}


# Kinds that are counted apart: "all" is the share over SCENES.
KINDS = {scene.__name__.removeprefix("_"): scene for scene in (_boxed, _underlined, _ruled, _grid, _cut, _broken)}
ALL = SCENES | KINDS


def picture_of(scene: str, digit: int, number: int) -> Image.Image:
    """Draw a digit in one of ALL scenes; each `number` gives another picture."""
    rng = np.random.default_rng([list(ALL).index(scene), digit, number])
    pixels = np.clip(ALL[scene](digit, rng), 0, 1)
    return Image.fromarray((255 * pixels).round().astype(np.uint8))


def dots() -> Image.Image:
    """A sheet of 1,024 dots."""
    pixels = np.full((512, 512, 3), 255, np.uint8)
    pixels[::16, ::16] = 0
    return Image.fromarray(pixels)


def encoded(picture: Image.Image, kind: str = "PNG") -> bytes:
    """Encode a picture as a file of this kind."""
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


def drawn_set(each: int, first: int = 0) -> Iterator[tuple[str, int, bytes]]:
    """Yield scene, digit and file of `each` pictures of every digit in every scene; JPEG for photographs, else PNG."""
    for scene in ALL:
        kind = "PNG" if scene in ("canvas", "hairline", "tiny", "tight", "cut") else "JPEG"
        for digit in range(10):
            for number in range(first, first + each):
                yield scene, digit, encoded(picture_of(scene, digit, number), kind)


def inverted(content: bytes) -> NDArray[np.float32]:
    """Prepare a picture as simple exercises do: invert and resize. Float32 [1, 28, 28]."""
    grey = Image.open(io.BytesIO(content)).convert("L").resize((28, 28))
    return 1 - np.asarray(grey, np.float32)[None] / 255


def cropped(content: bytes) -> NDArray[np.float32]:
    """Prepare it as better exercises do: invert, drop levels below 50, crop, scale, centre. Float32 [1, 28, 28]."""
    grey = 255 - np.asarray(Image.open(io.BytesIO(content)).convert("L"))
    grey = np.where(grey > 50, grey, 0)
    rows, columns = np.flatnonzero(grey.any(axis=1)), np.flatnonzero(grey.any(axis=0))
    cut = Image.fromarray(grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    scale = 20 / max(cut.size)
    small = np.asarray(cut.resize([max(1, round(side * scale)) for side in cut.size]))
    y, x = (round(middle) for middle in center_of_mass(small))
    image = np.zeros((1, 48, 48), np.float32)
    image[0, 24 - y : 24 - y + len(small), 24 - x : 24 - x + len(small[0])] = small / 255
    return image[:, 10:38, 10:38]


UNSEEN = 1000  # pictures from this number on were not looked at while read_picture was written


def score(reader: Reader, each: int) -> dict[str, dict[str, float]]:
    """Compute the share of pictures that a model reads correctly, by preparation and by scene.

    A picture that read_picture refuses, as it sees several digits or no ink, is not read correctly.
    """
    pictures = list(drawn_set(each, first=UNSEEN))
    shares: dict[str, dict[str, float]] = {}
    for prepare in (read_picture, cropped, inverted):
        correct: list[bool] = []
        for _, digit, content in pictures:
            try:
                correct.append(reader.answers(prepare(content)[None])[0].digit == digit)
            except PictureError:
                correct.append(False)
        is_correct, scenes = np.array(correct), np.array([scene for scene, _, _ in pictures])
        shares[prepare.__name__] = {scene: float(is_correct[scenes == scene].mean()) for scene in ALL}
        shares[prepare.__name__]["all"] = float(is_correct[np.isin(scenes, list(SCENES))].mean())
    return shares


def main() -> None:
    """Parse the command line, then write the pictures or count the correct answers."""
    parser = argparse.ArgumentParser(description="Write the pictures to a folder, or count how many a model reads.")
    parser.add_argument("path", type=Path, help="a folder to write to; with --score a run's folder or its model.onnx")
    parser.add_argument("--score", action="store_true", help="print the share of correct answers")
    parser.add_argument("--each", type=int, default=10, help="pictures of a digit in a scene (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.score:
        shares = score(Reader(arguments.path), arguments.each)
        print(f"{'correct, %':12}", *(f"{prepare:>13}" for prepare in shares))
        for scene in ("all", *ALL):
            print(f"{scene:12}", *(f"{100 * by_scene[scene]:13.1f}" for by_scene in shares.values()))
    else:
        arguments.path.mkdir(parents=True, exist_ok=True)
        for number, (scene, digit, content) in enumerate(drawn_set(arguments.each)):
            kind = "jpg" if content.startswith(b"\xff\xd8") else "png"
            (arguments.path / f"{scene}_{digit}_{number % arguments.each}.{kind}").write_bytes(content)


if __name__ == "__main__":
    with plain_errors():
        main()
