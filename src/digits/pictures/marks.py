"""Marks that are no digit: letters, scribbles, shapes, smudges and several digits.

No model is trained on these: data.non_digits draws its marks in other ways.
"""

import string
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

from digits.pictures.ink import Floats, Rng, curve, grain, light, mixed, slanted, to_picture, ways_to_write

LETTERS = [letter for letter in string.ascii_letters if letter not in "olIOSZ"]  # these six look like digits
FACES = ["DejaVuSans", "DejaVuSans-Oblique", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSerif-Italic", "DejaVuSansMono"]
FACES += ["STIXGeneral", "STIXGeneralItalic", "cmr10", "cmmi10", "cmss10", "cmtt10"]  # all come with matplotlib
SIDE = 280  # pixels of a picture
CENTRE = (SIDE / 2, SIDE / 2)


def picture_of(kind: str, number: int) -> Image.Image:
    """Draw a mark of one of KINDS; each `number` gives another picture."""
    rng = np.random.default_rng([list(KINDS).index(kind), number])
    pixels = mixed(0.95, rng.uniform(0, 0.3, 3), KINDS[kind][0](rng)) * light((SIDE, SIDE), rng, 0.15)
    return to_picture(pixels + grain((SIDE, SIDE), rng, 0.01))


def _pen(strokes: list[Floats], rng: Rng) -> Floats:
    """Amount of ink, [SIDE, SIDE], 0 to 1, of a pen along strokes [M, 2] in a box of side 1."""
    picture = Image.new("L", (2 * SIDE, 2 * SIDE))
    draw = ImageDraw.Draw(picture)
    size, radius = 2 * SIDE * rng.uniform(0.45, 0.75), 2 * rng.uniform(3, 11)
    for stroke in strokes:
        pixels = (stroke - 0.5) * size + SIDE
        draw.line([tuple(point) for point in pixels], fill=255, width=round(2 * radius), joint="curve")
        for x, y in pixels[[0, -1]]:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX)) / 255


def _print(text: str, face: str, size: int) -> Image.Image:
    """A text in one of FACES, white on black."""
    picture = Image.new("L", (SIDE, SIDE))
    font = ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", f"{face}.ttf"), size)
    ImageDraw.Draw(picture).text(CENTRE, text, fill=255, font=font, anchor="mm")
    return picture


def _letter(rng: Rng) -> Floats:
    """A printed letter."""
    face, size = FACES[rng.integers(len(FACES))], int(rng.integers(110, 220))
    picture = _print(LETTERS[rng.integers(len(LETTERS))], face, size)
    return np.asarray(picture.rotate(rng.normal(0, 5), Image.Resampling.BICUBIC)) / 255


def _digits(rng: Rng) -> Floats:
    """A number of two to four digits in a printed face, as in any book."""
    number = str(rng.integers(10, 10 ** rng.integers(2, 5)))
    return np.asarray(_print(number, FACES[rng.integers(len(FACES))], int(280 / (len(number) + 1)))) / 255


def _written_letter(rng: Rng) -> Floats:
    """A letter written with a pen."""
    ways = list(ways_to_write("letters").values())
    (way,) = ways[rng.integers(len(ways))]
    change = slanted(rng, 0.6, 0.9)
    shaken = [np.array(points) + rng.normal(0, 0.022, (len(points), 2)) for points in way]
    return _pen([(curve(points) - 0.5) @ change.T + 0.5 for points in shaken], rng)


def _scribble(rng: Rng) -> Floats:
    """A pen that goes to and fro."""
    steps = np.cumsum(rng.normal(0, 1, (rng.integers(15, 50), 2)), axis=0)
    steps -= rng.uniform(0, 0.2) * steps[0]
    low, high = steps.min(axis=0), steps.max(axis=0)
    return _pen([curve((steps - low) / (high - low), 400)], rng)


def _shape(rng: Rng) -> Floats:
    """A drawn or filled square, triangle, star, heart, arrow, cross, house or smile."""
    circle = np.stack([np.cos(t := np.linspace(0, 2 * np.pi, 60)), np.sin(t)], axis=1) / 2 + 0.5
    around = np.arange(11) * np.pi / 5 - np.pi / 2
    star = (np.stack([np.cos(around), np.sin(around)], axis=1).T * np.where(np.arange(11) % 2, 0.4, 1)).T / 2 + 0.5
    heart = np.stack([16 * np.sin(t) ** 3, -13 * np.cos(t) + 5 * np.cos(2 * t) + 2 * np.cos(3 * t)], axis=1) / 34 + 0.5
    shapes: list[list[list[tuple[float, float]] | Floats]] = [
        [[(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]],
        [[(0, 1), (0.5, 0), (1, 1), (0, 1)]],
        [star],
        [heart],
        [[(0, 0.5), (1, 0.5)], [(0.6, 0.2), (1, 0.5), (0.6, 0.8)]],
        [[(0, 0.5), (1, 0.5)], [(0.5, 0), (0.5, 1)]],
        [[(0, 1), (0, 0.4), (0.5, 0), (1, 0.4), (1, 1), (0, 1)], [(0, 0.4), (1, 0.4)]],
        [circle, circle[5:26] * 0.6 + 0.2, circle * 0.08 + (0.28, 0.3), circle * 0.08 + (0.62, 0.3)],
    ]
    strokes = [np.array(points) * rng.uniform(0.7, 1, 2) for points in shapes[rng.integers(len(shapes))]]
    if len(strokes) > 1 or rng.random() < 0.6:
        return _pen(strokes, rng)
    picture = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(picture).polygon([tuple(p) for p in strokes[0] * 0.6 * SIDE + 0.2 * SIDE], fill=255)
    return np.asarray(picture) / 255


def _smudge(rng: Rng) -> Floats:
    """A blot, a smear or faint cloudy dirt."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    clouds = gaussian_filter(rng.normal(0, 1, (SIDE, SIDE)), rng.uniform(8, 30))
    spot = np.exp(-((x / rng.uniform(0.2, 0.6)) ** 2) - (y / rng.uniform(0.2, 0.6)) ** 2)
    amount = spot * (1 + rng.uniform(0.3, 1.5) * clouds / clouds.std())
    edge = rng.uniform(0.02, 0.3)
    return np.clip((amount - rng.uniform(0.3, 0.6)) / edge, 0, 1) * rng.uniform(0.4, 1)


def _specks(rng: Rng) -> Floats:
    """Noise: specks all over a sheet that is nearly blank."""
    noise = gaussian_filter(rng.normal(0, 1, (SIDE, SIDE)), rng.uniform(1, 5))
    return np.clip(noise / noise.std() - rng.uniform(1.5, 2.8), 0, 1) * rng.uniform(0.3, 1)


KINDS: dict[str, tuple[Callable[[Rng], Floats], int]] = {  # with how many of each
    "printed": (_letter, 300),
    "written": (_written_letter, 200),
    "scribbles": (_scribble, 100),
    "shapes": (_shape, 150),
    "smudges": (_smudge, 100),
    "specks": (_specks, 50),
    "several": (_digits, 100),
}
