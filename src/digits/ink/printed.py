"""What is printed on a sheet before anybody writes on it: rules, squares, margins, boxes, small text."""

from collections.abc import Callable

import cv2
import numpy as np

from digits.ink.handwriting import BITS, Mask, Rng, Sign

Ends = tuple[tuple[float, float], tuple[float, float]]  # of a line: x and y of two points, pixels


def printed(rng: Rng, side: int, signs: list[Sign]) -> list[Mask]:
    """Draw none to three kinds of printed matter, each in a colour of its own: where its ink is, [side, side]."""
    masks = []
    for kind in rng.permutation(len(KINDS))[: rng.choice(4, p=(0.2, 0.4, 0.3, 0.1))]:
        masks.append(np.zeros((side, side), np.uint8))
        KINDS[kind](masks[-1], rng, signs)
    return masks


def _line(mask: Mask, ends: Ends, width: int, dash: float = 0) -> None:
    """A straight line between two points; `dash` is the length of its dashes in pixels, 0 for none."""
    start, end = np.array(ends)
    count = int(np.hypot(*(end - start)) / (2 * dash)) if dash else 0
    shares = np.linspace(0, 1, 2 * count + 2) if count else np.array([0, 1])
    points = np.rint((start + shares[:, None] * (end - start)) * 2**BITS).astype(int).tolist()
    for a, b in zip(points[::2], points[1::2], strict=True):
        cv2.line(mask, a, b, 255, width, cv2.LINE_AA, BITS)


def _along(upright: bool, ends: Ends) -> Ends:
    """These points, with x and y swapped if the line is upright."""
    (x, y), (u, v) = ends
    return ((y, x), (v, u)) if upright else ends


def _rules(mask: Mask, rng: Rng, signs: list[Sign], both: bool = False) -> None:
    """Lines along the sheet, near to each other or far; or across it too."""
    side = len(mask)
    step = side * np.exp(rng.uniform(np.log(0.03 if both else 0.06), np.log(0.5)))
    width, dash = int(rng.choice([1, 2, 2, 3, 3, 4, 5])), float(rng.choice([0, 0, 0, 1, 3, 8]))
    across = both or rng.random() < 0.1
    shares = step * rng.uniform(0, 1, 2)
    for place in np.arange(shares[0], side, step):
        if both or not across:
            _line(mask, ((-9, place), (side + 9, place)), width, dash)
    for place in np.arange(shares[1], side, step):
        if across:
            _line(mask, ((place, -9), (place, side + 9)), width, dash)
    if not both and rng.random() < 0.2:  # finer lines between them, as for children who learn to write
        for place in np.arange(shares[0] + step * rng.uniform(0.2, 0.5), side, step):
            _line(mask, ((-9, place), (side + 9, place)), 1, float(rng.choice([0, 2, 5])))


def _squares(mask: Mask, rng: Rng, signs: list[Sign]) -> None:
    """Squared paper."""
    _rules(mask, rng, signs, both=True)


def _single(mask: Mask, rng: Rng, signs: list[Sign]) -> None:
    """One to three lines anywhere, through the whole sheet: a margin, the last rule, a fold."""
    side = len(mask)
    width, upright = int(rng.integers(1, 6)), rng.random() < 0.5
    place, gap, tilt = rng.uniform(0, side), rng.uniform(4, 16), rng.normal(0, 4)
    for number in range(int(rng.choice([1, 1, 1, 2, 3]))):
        ends = (-9.0, place + gap * number), (side + 9.0, place + gap * number + tilt)
        _line(mask, _along(upright, ends), width)


def _underlines(mask: Mask, rng: Rng, signs: list[Sign]) -> None:
    """A line under or over the signs, longer than they are."""
    if not signs:
        return
    left, right = min(s.x - s.height / 3 for s in signs), max(s.x + s.height / 3 for s in signs)
    height, width = max(s.height for s in signs), int(rng.integers(1, 6))
    out = rng.uniform(0.05, 0.8, 2) * height
    tilt = rng.normal(0, 0.02) * (right - left)
    for edge in ((0.5,), (-0.5,), (0.5, -0.5))[rng.choice(3, p=(0.65, 0.15, 0.2))]:
        y = max(s.y + edge * s.height for s in signs) + rng.uniform(-0.04, 0.2) * height * np.sign(edge)
        _line(mask, ((left - out[0], y), (right + out[1], y + tilt)), width, float(rng.choice([0, 0, 0, 1, 4])))


def _boxes(mask: Mask, rng: Rng, signs: list[Sign]) -> None:
    """A box, an oval or a comb round each sign, which may touch it; or one round all."""
    width, room, kind = int(rng.integers(1, 7)), rng.uniform(-0.02, 0.35, 4), rng.random()
    boxes = [
        (s.x - s.height * (0.35 + room[0]), s.y - s.height * (0.5 + room[1]),
         s.x + s.height * (0.35 + room[2]), s.y + s.height * (0.5 + room[3]))
        for s in signs
    ]  # fmt: skip
    if len(boxes) > 1 and rng.random() < 0.4:
        lows, highs = np.min(boxes, axis=0), np.max(boxes, axis=0)
        boxes = [(lows[0], lows[1], highs[2], highs[3])]
    for left, top, right, bottom in boxes:
        first, last = (
            tuple(np.rint(np.array(p) * 2**BITS).astype(int).tolist()) for p in ((left, top), (right, bottom))
        )
        if kind < 0.8:
            cv2.rectangle(mask, first, last, 255, width, cv2.LINE_AA, BITS)
        elif kind < 0.9:  # a comb: open at the top
            for a, b in (
                ((left, top), (left, bottom)),
                ((left, bottom), (right, bottom)),
                ((right, bottom), (right, top)),
            ):
                _line(mask, (a, b), width)
        else:
            centre, axes = ((left + right) / 2, (top + bottom) / 2), ((right - left) / 1.6, (bottom - top) / 1.6)
            cv2.ellipse(mask, (centre, (2 * axes[0], 2 * axes[1]), 0), 255, width, cv2.LINE_AA)


def _text(mask: Mask, rng: Rng, signs: list[Sign]) -> None:
    """Small printed text, away from the signs."""
    letters = list("abcdefghijklmnopqrstuvwxyzABCDEFGHIKLMNOP0123456789.,:-()")
    for _ in range(int(rng.integers(1, 6))):
        size, x, y = rng.uniform(0.2, 0.5), rng.uniform(-0.1, 0.9) * len(mask), rng.uniform(0.02, 1) * len(mask)
        if any(abs(s.y - y) < 0.55 * s.height + 16 for s in signs):
            continue
        text = "".join(rng.choice(letters, int(rng.integers(3, 40))))
        cv2.putText(mask, text, (int(x), int(y)), cv2.FONT_HERSHEY_SIMPLEX, size, 255, 1, cv2.LINE_AA)


def _band(mask: Mask, rng: Rng, signs: list[Sign]) -> None:
    """A band of slanted lines along the sheet or across it, as ornaments and bindings have."""
    side, width, slope = len(mask), rng.uniform(6, 50), rng.choice([0, rng.uniform(-2, 2)])
    step, upright, thickness = width * rng.uniform(0.15, 1) + 3, rng.random() < 0.7, int(rng.integers(1, 4))
    place = rng.uniform(0, side - width)
    if signs and rng.random() < 0.4:  # beside a sign, or through it
        sign = signs[rng.integers(len(signs))]
        place = (sign.x if upright else sign.y) + rng.normal(0, 0.6) * sign.height - width / 2
    for start in np.arange(-60, side + 60, step):
        _line(mask, _along(upright, ((start, place), (start + slope * step, place + width))), thickness)
    for edge in (0, width):  # without them, the lines would look like a row of ones
        _line(mask, _along(upright, ((-9.0, place + edge), (side + 9.0, place + edge))), thickness)


KINDS: list[Callable[[Mask, Rng, list[Sign]], None]] = [
    *(_rules, _rules, _rules, _squares, _squares, _squares, _single, _single, _underlines, _boxes, _text, _band, _band),
]
