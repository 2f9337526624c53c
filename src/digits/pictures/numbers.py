"""Numbers of 1 to 10 digits in 1 to 3 lines, on seven kinds of paper, by several pens."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, maximum_filter

from digits.data.hands import draw_hands
from digits.pictures.ink import Floats, Rng, cut_out, grain, light, mixed, strokes_of, to_picture

PEN_COLOURS = [(0.1, 0.1, 0.12), (0.15, 0.2, 0.55), (0.1, 0.4, 0.2), (0.6, 0.1, 0.15), (0.3, 0.3, 0.32)]
KINDS = ("apart", "touching", "whole")  # no two digits touch; two do; no two touch, and no pen skips
PAPERS = ["screen", "dark", "grey", "photo", "ruled", "squared", "yellow"]


def number_of(number: int, kind: str = "apart") -> tuple[Image.Image, list[str]]:
    """Draw some digits, and return them line by line: one of KINDS. Each `number` is another."""
    rng = np.random.default_rng([8, number, KINDS.index(kind)])
    touching = kind == "touching"
    count = int(rng.integers(2 if touching else 1, 11))
    digits = rng.integers(0, 10, count).tolist()
    lines = [each.tolist() for each in np.array_split(digits, min(count, rng.choice([1, 1, 1, 2, 3])))]
    height = rng.uniform(30, 110)
    at = int(rng.integers(len(lines))) if touching else -1
    if touching and len(lines[at]) < 2:
        lines, at = [digits], 0
    inks = [
        _line(line, rng, height, int(rng.integers(1, len(line))) if n == at else None, kind)
        for n, line in enumerate(lines)
    ]
    pixels = _on_paper(_below_each_other(inks, rng, height), rng, height)
    return to_picture(pixels), ["".join(map(str, line)) for line in lines]


def _below_each_other(inks: list[Floats], rng: Rng, height: float) -> Floats:
    """Put lines into one frame, at any gap and margin."""
    gaps = (height * rng.uniform(0.35, 1.0, len(inks))).astype(int)
    margins = (height * rng.uniform(0.1, 1.5, 4)).astype(int) + 1
    width = max(len(ink[0]) for ink in inks)
    amount = np.zeros((sum(map(len, inks)) + gaps[1:].sum() + margins[:2].sum(), width + margins[2:].sum()))
    top = margins[0]
    for ink, gap in zip(inks, [*gaps[1:], 0], strict=True):
        left = margins[2] + int(rng.integers(0, (width - len(ink[0])) // 3 + 1))
        amount[top : top + len(ink), left : left + len(ink[0])] = ink
        top += len(ink) + gap
    return amount


def _line(digits: list[int], rng: Rng, height: float, touching: int | None, kind: str) -> Floats:
    """The ink of a line of digits, at any gap that keeps them apart; the digit `touching` touches the one before it."""
    pen, tilt = rng.uniform(0.04, 0.14), rng.normal(0, 0.03)
    close, wide = sorted(rng.uniform(0.02, 0.45, 2))
    ink = np.zeros((int(3.2 * height), int(1.7 * height * (len(digits) + 1))))
    apart = 2 * max(3, round(0.05 * height)) + 1
    right = int(0.3 * height)
    for place, digit in enumerate(digits):
        own = _digit(digit, rng, height * rng.uniform(0.88, 1.1), pen, kind)
        top = int(1.6 * height - len(own) / 2 + height * rng.normal(0, 0.04) + tilt * right)
        left = right + int(height * rng.uniform(close, wide)) if place else right
        if place and place == touching:
            while not _meets(ink > 0.5, own, top, left) and left > 0:
                left -= 1
            left -= int(0.03 * height)
        else:
            around = maximum_filter(ink > 0.3, apart)
            while _meets(around, own, top, left):
                left += 1
        region = ink[top : top + len(own), left : left + len(own[0])]
        np.maximum(region, own, out=region)
        right = left + len(own[0])
    return cut_out(ink)


def _meets(marks: NDArray[np.bool_], own: Floats, top: int, left: int) -> bool:
    """Whether a digit's ink at this place meets marks that are there."""
    return bool((marks[top : top + len(own), left : left + len(own[0])] & (own > 0.3)).any())


def _digit(digit: int, rng: Rng, height: float, pen: float, kind: str) -> Floats:
    """The ink of one digit, [H, W], 0 to 1, cut out: drawn stroke by stroke, or one of data.hands made larger."""
    if kind != "whole" and rng.random() < 0.5:
        image = draw_hands(1, [digit], int(rng.integers(2**31)))[0][0, 0].numpy()
        side = round(height * 28 / 20)
        ink = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)) / 255
    else:
        side, fine = int(2.4 * height), 3
        picture = Image.new("L", (side * fine, side * fine))
        draw, radius = ImageDraw.Draw(picture), pen * height * fine / 2
        for stroke in strokes_of(digit, rng):
            pixels = [tuple(point) for point in (stroke * height + side / 2) * fine]
            draw.line(pixels, 255, max(3, round(2 * radius)), "curve")
            for x, y in (pixels[0], pixels[-1]):
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
        ink = np.asarray(picture.resize((side, side), Image.Resampling.BOX)) / 255
    ink = (ink / np.quantile(ink[ink > 0.3], 0.6)).clip(0, 1)  # one pen writes the whole number
    return cut_out(ink, above=0.3, margin=2)


def _on_paper(amount: Floats, rng: Rng, height: float) -> Floats:
    """Put ink on one of PAPERS, half of them in uneven light."""
    frame, kind = amount.shape, PAPERS[rng.integers(len(PAPERS))]
    if kind == "screen":
        return mixed(1.0, 0.0, amount)
    if kind == "dark":
        return mixed(0.1 + grain(frame, rng, 0.01), 0.9, amount)
    ink = PEN_COLOURS[rng.integers(len(PEN_COLOURS))]
    paper = {"grey": 0.75, "yellow": np.array([0.97, 0.88, 0.42])}.get(kind, 0.92)
    if kind in ("ruled", "squared"):
        printed = np.zeros(frame)
        step, start = int(height * rng.uniform(0.5, 1.6)), int(height * rng.uniform(0, 0.5))
        printed[start::step] = 1
        if kind == "squared":
            printed[:, start::step] = 1
        paper = mixed(paper, (0.7, 0.78, 0.9), np.clip(gaussian_filter(printed, 0.7) * 1.6, 0, 1))
    pixels = mixed(paper, ink, 0.95 * amount)
    if kind == "photo" or rng.random() < 0.5:
        pixels = pixels * light(frame, rng, rng.uniform(0.1, 0.5))
    return pixels + grain(frame, rng, rng.uniform(0.005, 0.02))
