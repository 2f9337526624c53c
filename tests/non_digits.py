"""Pictures that show no digit, for the tests: letters, scribbles, shapes, smudges and several digits.

No model is trained on these: data.non_digits draws its marks in other ways. `python tests/non_digits.py FOLDER` writes
the pictures, `python tests/non_digits.py RUN --score` counts how many of them a model refuses.
"""

import argparse
import string
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
from drawn import Floats, encoded, grain, light, mixed
from PIL import Image, ImageDraw, ImageFont
from scipy.interpolate import make_interp_spline
from scipy.ndimage import gaussian_filter

from digits_reader import PictureError, Reader, read_picture
from plain_errors import plain_errors

LETTERS = [letter for letter in string.ascii_letters if letter not in "olIOSZ"]  # these six look like digits
FACES = ("DejaVuSans", "DejaVuSans-Oblique", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSerif-Italic", "DejaVuSansMono")
FACES += ("STIXGeneral", "STIXGeneralItalic", "cmr10", "cmmi10", "cmss10", "cmtt10")  # all come with matplotlib
SIDE = 280  # pixels of a picture

# Letters as a pen writes them: strokes separated by /, points x,y in percent of a box, from its top left.
BY_PEN = {
    "A": "5,100 48,0 / 48,0 95,100 / 22,62 80,60",
    "B": "15,2 14,50 13,98 / 15,2 70,8 68,40 16,48 / 16,48 85,60 75,92 13,98",
    "C": "85,18 50,0 12,40 25,90 85,85",
    "D": "16,0 16,50 15,98 / 16,2 80,22 82,75 15,98",
    "E": "80,3 15,5 14,50 15,97 82,95 / 15,50 65,48",
    "F": "15,2 15,50 14,100 / 15,3 82,0 / 15,48 66,46",
    "G": "84,18 50,0 12,40 25,92 70,95 84,60 / 84,60 52,60",
    "H": "12,0 13,50 12,100 / 85,0 86,50 85,100 / 12,50 86,48",
    "J": "62,0 62,60 50,98 15,88",
    "K": "15,0 15,50 14,100 / 80,2 16,55 / 35,42 85,100",
    "L": "18,0 16,50 15,97 / 15,97 80,96",
    "M": "8,100 14,0 / 14,0 50,62 / 50,62 86,0 / 86,0 92,100",
    "N": "12,100 13,0 / 13,0 85,100 / 85,100 86,0",
    "P": "18,0 17,50 16,100 / 18,3 80,10 75,45 18,52",
    "Q": "50,0 14,40 40,96 84,60 52,1 / 55,66 90,100",
    "R": "18,0 17,50 16,100 / 18,3 80,10 72,45 18,50 / 36,50 85,100",
    "T": "5,4 95,2 / 50,3 50,50 49,100",
    "U": "12,0 12,62 48,100 86,62 87,0",
    "V": "8,0 48,100 / 48,100 90,0",
    "W": "2,0 25,100 / 25,100 50,30 / 50,30 74,100 / 74,100 98,0",
    "X": "8,2 90,98 / 90,0 10,100",
    "Y": "8,0 50,50 / 92,0 50,50 / 50,50 49,100",
    "a": "78,30 30,22 14,68 40,98 78,62 / 80,24 80,70 92,100",
    "b": "18,0 18,55 18,97 / 18,62 60,45 82,72 52,100 18,92",
    "c": "80,20 50,2 16,45 40,96 82,84",
    "d": "82,0 81,50 82,100 / 80,60 40,46 15,72 42,100 80,88",
    "e": "16,52 84,46 50,4 12,52 45,98 86,84",
    "f": "82,10 52,2 46,40 44,100 / 18,44 78,42",
    "g": "78,15 34,2 16,32 44,56 77,30 / 79,6 78,70 50,100 16,88",
    "h": "18,0 18,50 17,100 / 18,64 52,42 76,60 78,100",
    "i": "50,34 50,66 49,100 / 50,8 51,10",
    "j": "56,30 56,70 44,100 18,92 / 57,5 58,7",
    "k": "18,0 18,50 18,100 / 72,36 19,70 / 38,60 78,100",
    "m": "6,100 8,25 / 8,42 30,24 46,44 47,100 / 47,44 70,24 88,44 90,100",
    "n": "14,100 16,20 / 16,44 50,18 80,44 82,100",
    "p": "20,20 19,60 18,100 / 20,30 58,6 78,34 50,62 20,50",
    "q": "78,14 40,4 18,32 42,62 78,34 / 80,6 80,56 80,100",
    "r": "22,100 24,20 / 24,48 46,22 76,26",
    "s": "80,14 50,0 22,22 50,48 78,74 50,100 16,86",
    "t": "46,0 45,60 52,96 80,92 / 16,30 80,28",
    "u": "14,10 15,66 42,98 78,66 / 80,8 80,70 92,100",
    "v": "10,10 46,98 / 46,98 86,8",
    "w": "2,12 25,98 / 25,98 50,34 / 50,34 74,98 / 74,98 98,12",
    "x": "12,8 86,98 / 84,6 12,100",
    "y": "12,4 48,56 / 88,2 48,56 20,100",
    "z": "14,4 84,2 / 84,2 14,97 / 14,97 88,96",
}


def _inked(strokes: list[Floats], rng: np.random.Generator, pen: float | None = None) -> Floats:
    """Amount of ink, [SIDE, SIDE], 0 to 1, of a pen along strokes [M, 2] in a box of side 1."""
    picture = Image.new("L", (2 * SIDE, 2 * SIDE))
    draw = ImageDraw.Draw(picture)
    size, radius = 2 * SIDE * rng.uniform(0.45, 0.75), 2 * (pen or rng.uniform(3, 11))
    for stroke in strokes:
        pixels = (stroke - 0.5) * size + SIDE
        draw.line([tuple(point) for point in pixels], fill=255, width=round(2 * radius), joint="curve")
        for x, y in pixels[[0, -1]]:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX)) / 255


def _through(points: Floats, count: int = 60) -> Floats:
    """A smooth line through points [K, 2], a straight one through two."""
    along = np.linspace(0, 1, len(points))
    return make_interp_spline(along, points, k=min(3, len(points) - 1))(np.linspace(0, 1, count))


def _letter(rng: np.random.Generator) -> Floats:
    """A printed letter, in one of FACES."""
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    font = ImageFont.truetype(fonts / f"{FACES[rng.integers(len(FACES))]}.ttf", int(rng.integers(110, 220)))
    picture = Image.new("L", (SIDE, SIDE))
    letter = LETTERS[rng.integers(len(LETTERS))]
    ImageDraw.Draw(picture).text((SIDE / 2, SIDE / 2), letter, fill=255, font=font, anchor="mm")
    turned = picture.rotate(rng.normal(0, 5), Image.Resampling.BICUBIC)
    return np.asarray(turned) / 255


def _written_letter(rng: np.random.Generator) -> Floats:
    """A letter written with a pen."""
    way = BY_PEN[list(BY_PEN)[rng.integers(len(BY_PEN))]]
    angle, slant, narrow = rng.normal(0, 0.09), rng.normal(0.08, 0.12), rng.uniform(0.6, 0.9)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    change = turn @ np.array([[1, -slant], [0, 1]]) @ np.diag([narrow, 1])
    strokes = [[[int(each) / 100 for each in point.split(",")] for point in s.split()] for s in way.split("/")]
    shaken = [np.array(points) + rng.normal(0, 0.022, (len(points), 2)) for points in strokes]
    return _inked([(_through(points) - 0.5) @ change.T + 0.5 for points in shaken], rng)


def _scribble(rng: np.random.Generator) -> Floats:
    """A pen that goes to and fro."""
    steps = np.cumsum(rng.normal(0, 1, (rng.integers(15, 50), 2)), axis=0)
    steps -= rng.uniform(0, 0.2) * steps[0]
    low, high = steps.min(axis=0), steps.max(axis=0)
    return _inked([_through((steps - low) / (high - low), 400)], rng)


def _shape(rng: np.random.Generator) -> Floats:
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
        return _inked(strokes, rng)
    picture = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(picture).polygon([tuple(p) for p in strokes[0] * 0.6 * SIDE + 0.2 * SIDE], fill=255)
    return np.asarray(picture) / 255


def _smudge(rng: np.random.Generator) -> Floats:
    """A blot, a smear or faint cloudy dirt."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    clouds = gaussian_filter(rng.normal(0, 1, (SIDE, SIDE)), rng.uniform(8, 30))
    spot = np.exp(-((x / rng.uniform(0.2, 0.6)) ** 2) - (y / rng.uniform(0.2, 0.6)) ** 2)
    amount = spot * (1 + rng.uniform(0.3, 1.5) * clouds / clouds.std())
    edge = rng.uniform(0.02, 0.3)
    return np.clip((amount - rng.uniform(0.3, 0.6)) / edge, 0, 1) * rng.uniform(0.4, 1)


def _specks(rng: np.random.Generator) -> Floats:
    """Noise: specks all over a sheet that is nearly blank."""
    noise = gaussian_filter(rng.normal(0, 1, (SIDE, SIDE)), rng.uniform(1, 5))
    return np.clip(noise / noise.std() - rng.uniform(1.5, 2.8), 0, 1) * rng.uniform(0.3, 1)


def _digits(rng: np.random.Generator) -> Floats:
    """A number of two to four digits in a printed face, as in any book."""
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    number = str(rng.integers(10, 10 ** rng.integers(2, 5)))
    font = ImageFont.truetype(fonts / f"{FACES[rng.integers(len(FACES))]}.ttf", int(280 / (len(number) + 1)))
    picture = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(picture).text((SIDE / 2, SIDE / 2), number, fill=255, font=font, anchor="mm")
    return np.asarray(picture) / 255


KINDS: dict[str, tuple[Callable[[np.random.Generator], Floats], int]] = {  # with how many of each
    "letters in print": (_letter, 300),
    "letters by pen": (_written_letter, 200),
    "scribbles": (_scribble, 100),
    "shapes": (_shape, 150),
    "smudges": (_smudge, 100),
    "specks": (_specks, 50),
    "several digits": (_digits, 100),
}


def pictures_of(kind: str, most: int = 1000) -> list[bytes]:
    """Draw the pictures of a kind, the same ones each time, as PNG files; the first `most`."""
    draw, number = KINDS[kind]
    pictures = []
    for at in range(min(number, most)):
        rng = np.random.default_rng([list(KINDS).index(kind), at])
        pixels = mixed(0.95, rng.uniform(0, 0.3, 3), draw(rng)) * light((SIDE, SIDE), rng, 0.15)
        pixels = np.clip(pixels + grain((SIDE, SIDE), rng, 0.01), 0, 1)
        pictures.append(encoded(Image.fromarray((255 * pixels).round().astype(np.uint8))))
    return pictures


def refused(reader: Reader, pictures: list[bytes]) -> list[bool]:
    """For each picture, whether the reader finds no ink on it or no digit that it knows."""
    images, answers = [], []
    for content in pictures:
        try:
            images.append(read_picture(content))
            answers.append(False)
        except PictureError:
            answers.append(True)
    certain = iter([answer.certain for answer in reader.answers(np.stack(images))] if images else [])
    return [no_ink or not next(certain) for no_ink in answers]


def main() -> None:
    """Parse the command line, then write the pictures or count those that are refused."""
    parser = argparse.ArgumentParser(description="Write the pictures to a folder, or count how many a model refuses.")
    parser.add_argument("path", type=Path, help="a folder to write to; with --score a run's folder or its model.onnx")
    parser.add_argument("--score", action="store_true", help="print the share of pictures that are refused")
    arguments = parser.parse_args()
    if arguments.score:
        by_kind = {kind: refused(Reader(arguments.path), pictures_of(kind)) for kind in KINDS}
        by_kind["all"] = [each for answers in by_kind.values() for each in answers]
        for kind, answers in by_kind.items():
            print(f"{kind:17} {sum(answers):5} of {len(answers):5}  {100 * sum(answers) / len(answers):6.2f} %")
    else:
        arguments.path.mkdir(parents=True, exist_ok=True)
        for kind in KINDS:
            for number, content in enumerate(pictures_of(kind)):
                (arguments.path / f"{kind.replace(' ', '_')}_{number}.png").write_bytes(content)


if __name__ == "__main__":
    with plain_errors():
        main()
