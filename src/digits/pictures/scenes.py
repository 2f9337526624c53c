"""A digit on many kinds of paper and in many kinds of light. It does not come from MNIST: it is a few pen strokes."""

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from digits.pictures.harder import HARDER
from digits.pictures.ink import Floats, Rng, cut_out, grain, ink_of, light, mixed, to_picture
from digits.pictures.sheets import SHEETS
from digits.pictures.straight import straight_digit


def _canvas(digit: int, rng: Rng) -> Floats:
    """Drawn on a screen: black on white, a thick round pen, anywhere on the canvas."""
    height = rng.uniform(120, 250)
    amount = ink_of(digit, rng, (280, 280), height, rng.uniform(0.06, 0.14), rng.uniform(0.44, 0.56, 2))
    return mixed(1.0, 0.0, amount)


def _hairline(digit: int, rng: Rng) -> Floats:
    """A large digit with a thin pen."""
    return mixed(1.0, 0.1, ink_of(digit, rng, (400, 300), rng.uniform(220, 300), 0.012))


def _pencil(digit: int, rng: Rng) -> Floats:
    """Grey pencil on grey paper, grainy."""
    frame = (320, 320)
    amount = ink_of(digit, rng, frame, rng.uniform(130, 220), rng.uniform(0.03, 0.05))
    paper = 0.72 + grain(frame, rng, 0.02) + grain(frame, rng, 0.01, 3)
    return mixed(paper, 0.42, amount * (0.75 + 0.25 * rng.random(frame))) * light(frame, rng, 0.15)


def _ballpoint(digit: int, rng: Rng) -> Floats:
    """Blue ballpoint on grey paper, uneven light, the digit small in a photograph."""
    frame = (768, 1024)
    amount = ink_of(digit, rng, frame, rng.uniform(150, 350), rng.uniform(0.03, 0.05), rng.uniform(0.35, 0.65, 2))
    paper = 0.75 + grain(frame, rng, 0.008, 4)
    return mixed(paper, (0.15, 0.2, 0.55), 0.9 * amount) * light(frame, rng, 0.55) + grain(frame, rng, 0.02)


def _chalk(digit: int, rng: Rng) -> Floats:
    """Chalk on a board that is not quite clean."""
    frame = (480, 480)
    amount = ink_of(digit, rng, frame, rng.uniform(200, 360), rng.uniform(0.05, 0.08))
    board = np.array([0.12, 0.22, 0.17]) + grain(frame, rng, 0.03, 12) + grain(frame, rng, 0.015)
    chalk = amount * np.clip(0.75 + grain(frame, rng, 0.3, 1)[..., 0], 0, 1)
    return mixed(board, 0.92, chalk) * light(frame, rng, 0.3)


def _marker(digit: int, rng: Rng) -> Floats:
    """A broad marker on a yellow note, the corners dark."""
    frame = (360, 360)
    amount = ink_of(digit, rng, frame, rng.uniform(180, 250), rng.uniform(0.12, 0.18))
    colour = [(0.1, 0.1, 0.1), (0.7, 0.1, 0.15), (0.1, 0.4, 0.2), (0.2, 0.15, 0.5)][rng.integers(4)]
    return mixed(np.array([0.97, 0.88, 0.42]), colour, amount) * light(frame, rng, 0.5) + grain(frame, rng, 0.015)


def _shadow(digit: int, rng: Rng) -> Floats:
    """The shadow of a hand across half the paper."""
    frame = (600, 600)
    amount = ink_of(digit, rng, frame, rng.uniform(250, 400), rng.uniform(0.04, 0.07))
    angle, y, x = rng.uniform(0, 2 * np.pi), *np.mgrid[-1:1:600j, -1:1:600j]
    across = np.cos(angle) * x + np.sin(angle) * y + rng.uniform(-0.3, 0.3)
    shade = 1 - rng.uniform(0.25, 0.4) / (1 + np.exp(-across / rng.uniform(0.03, 0.12)))
    return mixed(0.88, (0.12, 0.12, 0.16), amount) * shade[..., None] + grain(frame, rng, 0.015)


def _specks(digit: int, rng: Rng) -> Floats:
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


def _squared(digit: int, rng: Rng) -> Floats:
    """School paper with pale squares."""
    frame = (500, 500)
    lines = np.zeros(frame)
    step, start = int(rng.integers(38, 60)), int(rng.integers(0, 38))
    lines[start::step] = lines[:, start::step] = 1
    paper = mixed(0.94, (0.7, 0.78, 0.9), np.clip(gaussian_filter(lines, 0.7) * 1.6, 0, 1))
    amount = ink_of(digit, rng, frame, rng.uniform(180, 330), rng.uniform(0.045, 0.07))
    return mixed(paper, (0.1, 0.12, 0.35), amount) * light(frame, rng, 0.25) + grain(frame, rng, 0.012)


def _tiny(digit: int, rng: Rng) -> Floats:
    """An icon of 12 to 32 pixels."""
    side = int(rng.integers(12, 33))
    return mixed(1.0, 0.0, ink_of(digit, rng, (side, side), 0.8 * side, 0.1))


def _tight(digit: int, rng: Rng) -> Floats:
    """Cut out close to the ink, light on dark or dark on light."""
    height = 100.0
    amount = ink_of(digit, rng, (160, 160), height, rng.uniform(0.06, 0.22))
    amount = np.pad(cut_out(amount), rng.integers(0, 8))
    return mixed(1.0, 0.1, amount) if rng.random() < 0.5 else mixed(0.05, 0.95, amount)


def _blurred(digit: int, rng: Rng) -> Floats:
    """Out of focus, in weak light."""
    frame = (480, 640)
    amount = ink_of(digit, rng, frame, rng.uniform(200, 320), rng.uniform(0.04, 0.07))
    sharp = mixed(0.5, 0.15, amount) * light(frame, rng, 0.4)
    return gaussian_filter(sharp, (rng.uniform(2, 6),) * 2 + (0,)) + grain(frame, rng, 0.025)


def _painted(digit: int, rng: Rng) -> Floats:
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


def _far(digit: int, rng: Rng) -> Floats:
    """A sheet photographed from some distance: the digit is a tenth of the picture."""
    frame = (1200, 1600)
    amount = ink_of(digit, rng, frame, rng.uniform(120, 180), rng.uniform(0.06, 0.09), rng.uniform(0.2, 0.8, 2))
    return mixed(0.8, (0.1, 0.1, 0.15), amount) * light(frame, rng, 0.35) + grain(frame, rng, 0.02)


def _desk(digit: int, rng: Rng) -> Floats:
    """A sheet that does not fill the photograph: the desk shows on one or two sides."""
    frame = (600, 800)
    amount = ink_of(digit, rng, frame, rng.uniform(220, 340), rng.uniform(0.04, 0.07))
    y, x = np.mgrid[0:1:600j, 0:1:800j]
    tilt = rng.normal(0, 0.04, 2)
    sheet = (x + tilt[0] * y > rng.uniform(0.03, 0.13)) & ((y + tilt[1] * x < 0.9) | (rng.random() < 0.5))
    wood = np.array([0.35, 0.24, 0.15]) + grain(frame, rng, 0.03, 4)
    flat = np.where(sheet[..., None], mixed(0.85, (0.1, 0.1, 0.2), amount), wood)
    return gaussian_filter(flat, (1, 1, 0)) * light(frame, rng, 0.3) + grain(frame, rng, 0.015)


SCENES = {
    scene.__name__.removeprefix("_"): scene
    for scene in (
        *(_canvas, _hairline, _pencil, _ballpoint, _chalk, _marker, _shadow),
        *(_specks, _squared, _tiny, _tight, _blurred, _painted, _far, _desk),
    )
}
ROUND = SHEETS | {"straight": straight_digit}
ALL = SCENES | HARDER | ROUND


def picture_of(scene: str, digit: int, number: int) -> Image.Image:
    """Draw a digit in one of ALL scenes; each `number` gives another picture."""
    rng = np.random.default_rng([list(ALL).index(scene), digit, number])
    return to_picture(ALL[scene](digit, rng))
