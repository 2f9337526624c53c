"""Find the ink of handwriting on a photograph: a small network says where a pen was, the picture says how strongly.

The network, page/ink.onnx, has learned from drawn photographs (python -m digits.ink). It looks at the whole picture,
then, where the signs are small, at what it has found. page/photo.js does the same in a browser.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

NETWORK = Path(__file__).parent / "page" / "ink.onnx"
LOOK = 160  # pixels; the longest side of the whole picture for the first look;
NARROW = 80  # the shorter one is at least as long, for rows of small digits, until
MOST = 384  # is the longest side of any look
LOOKS = 3  # at most after the first: the ink of a sign that it missed may end at a side
SIGN = 96  # pixels; the tallest sign in the second look
LARGE = 64  # pixels; a sign that was so tall in the first look needs no second one
GROWTH = 4  # at most; larger pixels show no more
MULTIPLE = 16  # of which the network's sides must be
IS_INK = 0.5  # of the network's probability
LEAST_SIGN = 6  # pixels with ink in the first look
DUST = 0.08  # of the largest mark; what is smaller does not count
ROOM = 0.25  # heights of a sign that the second look shows round the signs
PATCH = 10  # patches along the longest side, in each of which the paper has one colour
LEAST_CONTRAST = 0.015  # between ink and paper, of the distance from black to white on one axis
NOISE = 3  # standard deviations of the paper, below which the network has taken noise for ink
WIDE = 0.2, 0.3  # probabilities: from the first on a pixel belongs to a stroke, fully after the second more
SQUARE = np.ones((3, 3), np.uint8)
BILINEAR = Image.Resampling.BILINEAR
Floats = NDArray[np.float32]
Box = tuple[float, float, float, float]  # left, top, right, bottom; pixels


class Ink(NamedTuple):
    """The ink on a part of a picture."""

    strength: Floats  # [H, W], 0 to 1
    left: float  # where it begins, pixels of the picture
    top: float
    scale: float  # pixels of the picture that one of its pixels stands for


def find_ink(picture: Image.Image) -> Ink | None:
    """Find the ink on an RGB photograph; None if there is none."""
    size = picture.size
    first = min(max(LOOK / max(size), NARROW / min(size)), MOST / max(size), GROWTH)
    pixels, where = _looked_at(picture, (0, 0, *size), first)
    found = _boxes_of_signs(where)
    if found is None:
        return None
    boxes = found * (np.array(size) / where.shape[::-1])[[0, 1, 0, 1]]
    sides = boxes[:, 2:] - boxes[:, :2]
    tallest = max(sides[:, 1].max(), 0.6 * sides[:, 0].max())
    if first * tallest >= LARGE:
        return _ink(pixels, where, 0, 0, size[0] / where.shape[1])
    low, high = boxes[:, :2].min(axis=0) - ROOM * tallest - 4, boxes[:, 2:].max(axis=0) + ROOM * tallest + 4
    further = np.concatenate([np.maximum(low, 0), np.minimum(high, size)])
    for _ in range(LOOKS):
        left, top, right, bottom = box = further.tolist()
        scale = min(SIGN / tallest, MOST / max(right - left, bottom - top), GROWTH)
        pixels, where = _looked_at(picture, (left, top, right, bottom), scale)
        further = (box + tallest * _cut(where)).clip(0, size * 2)  # sizes of the picture, twice
        if (further == box).all():
            break
    return _ink(pixels, where, left, top, (right - left) / where.shape[1])


def _cut(where: Floats) -> NDArray[np.int_]:
    """Which of its sides cut ink: -1 for left and top, 1 for right and bottom, else 0."""
    edges = where[:, 0], where[0], where[:, -1], where[-1]
    return np.array([sign * (edge.max() > IS_INK) for sign, edge in zip((-1, -1, 1, 1), edges, strict=True)])


def _looked_at(picture: Image.Image, box: Box, scale: float) -> tuple[Floats, Floats]:
    """Show a part of a picture to the network: its pixels [H, W, 3], 0 to 1, and the probability of ink, [H, W]."""
    sides = box[2] - box[0], box[3] - box[1]
    size = [max(2, round(scale * side / MULTIPLE)) * MULTIPLE for side in sides]
    pixels = np.asarray(picture.resize(size, BILINEAR, box=box), np.float32) / np.float32(255)
    (logits,) = _network().run(["logits"], {"pictures": pixels.transpose(2, 0, 1)[None]})
    return pixels, 1 / (1 + np.exp(-logits[0, 0].clip(-50)))  # 32 bits hold no exp(100)


@cache
def _network() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(NETWORK, options, providers=["CPUExecutionProvider"])


def _boxes_of_signs(where: Floats) -> NDArray[np.float64] | None:
    """The boxes of all marks but dust, [K, 4]: left, top, right, bottom; None without any."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((where > IS_INK).view(np.uint8), connectivity=8)
    amounts = np.bincount(labels.ravel(), weights=where.ravel())
    amounts[0] = 0  # the paper
    kept = stats[amounts >= max(LEAST_SIGN, DUST * amounts.max())].astype(np.float64)
    if not len(kept):
        return None
    return np.concatenate([kept[:, :2], kept[:, :2] + kept[:, 2:4]], axis=1)


def _ink(pixels: Floats, where: Floats, left: float, top: float, scale: float) -> Ink | None:
    """The ink: its strength is the difference from the paper round it, in the ink's direction.

    Args:
        pixels: [H, W, 3], 0 to 1.
        where: the probability of ink, [H, W].
        left, top, scale: as in Ink.
    """
    near = np.asarray(cv2.dilate(where, SQUARE), np.float32)
    is_paper = (1 - np.asarray(cv2.dilate(near, SQUARE))).clip(0.001, 1) ** 2
    amount = _smoothed(is_paper)
    paper = np.stack([_smoothed(pixels[..., c] * is_paper) / amount for c in range(3)], axis=2)
    difference, is_ink = pixels - paper, where > IS_INK
    if not is_ink.any():
        return None
    direction = where[is_ink] @ difference[is_ink]
    levels = difference @ (direction / max(float(np.linalg.norm(direction)), 1e-9))
    full = float(np.quantile(levels[is_ink], 0.6))
    plain = levels[near < WIDE[0]]
    # One standard deviation of a normal distribution; printed lines, which cover less than half, do not count.
    noise = 1.48 * float(np.median(abs(plain - np.median(plain)))) if len(plain) else 0
    if full < max(LEAST_CONTRAST, NOISE * noise):
        return None
    return Ink((levels / full).clip(0, 1) * ((near - WIDE[0]) / WIDE[1]).clip(0, 1), left, top, scale)


def _smoothed(values: Floats) -> Floats:
    """Reduce to patches and enlarge again."""
    height, width = values.shape
    step = max(height, width) / PATCH
    patches = Image.fromarray(values).resize((max(2, round(width / step)), max(2, round(height / step))), BILINEAR)
    return np.asarray(patches.resize((width, height), BILINEAR))
