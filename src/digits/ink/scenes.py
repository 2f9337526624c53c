"""Photographs of handwriting, drawn by program, each with a map of its ink: what the ink network learns from.

Nothing here is meant to look real. It is meant to vary more than real photographs do: pens, papers, printed lines,
desks, shadows, folds, dust, blur, noise, JPEG.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from digits.ink.handwriting import Mask, Rng, layout, neighbours, write
from digits.ink.printed import printed
from digits.ink.surroundings import Floats, noise, surround

SIDE = 192  # pixels of a scene
SHEET = 2 * SIDE  # pixels; the sheet is drawn finer, then turned and reduced
Image = NDArray[Any]  # uint8 [H, W, 3]


def draw_scene(rng: Rng) -> tuple[Image, Mask]:
    """Draw a photograph, uint8 [SIDE, SIDE, 3], and its ink, uint8 [SIDE, SIDE]: 255 where a pen has touched."""
    is_far = rng.random() < 0.25
    corners, margin = _far(rng) if is_far else _near(rng)
    signs = layout(rng, SHEET, margin)
    ink, label = write(signs, rng, SHEET)
    if (pieces := neighbours(rng, SHEET, margin)) and not is_far:
        ink = np.maximum(ink, write(pieces, rng, SHEET)[0])  # ink of no sign on this picture
    behind, _ = write(layout(rng, SHEET, margin), rng, SHEET) if rng.random() < 0.06 else (np.zeros_like(ink), None)
    lines = printed(rng, SHEET, signs)
    layers = [ink, label, np.ascontiguousarray(behind[:, ::-1]), _shape(rng, is_far), *lines]
    sheet = np.array([[0, 0], [SHEET, 0], [SHEET, SHEET], [0, SHEET]], np.float32)
    matrix = cv2.getPerspectiveTransform(sheet, (corners * SHEET).astype(np.float32))
    turned = [cv2.warpPerspective(layer, matrix, (SHEET, SHEET)) for layer in layers]
    small = [cv2.resize(each, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for each in turned]
    (ink_, label_, bleed, shape), lines = small[:4], small[4:]
    is_flat = not is_far and rng.random() < 0.12
    amounts = [each.astype(np.float32) / 255 for each in (ink_, bleed, *lines)]
    picture = _sheet_colours(rng, amounts, is_flat)
    if not is_flat:
        picture = _placed(rng, picture, shape.astype(np.float32)[..., None] / 255, is_far)
        picture = _photographed(rng, picture)
    elif rng.random() < 0.5:
        picture = np.rint(picture)
    levels = np.rint(255 * picture.clip(0, 1)).astype(np.uint8)
    if rng.random() < 0.12:
        levels, label_ = _cut(rng, levels, label_)
    return (levels if is_flat else _compressed(rng, levels)), label_


def _near(rng: Rng) -> tuple[Floats, float]:
    """The corners of a sheet that fills the picture, in its sides, and how wide a rim of the sheet may be cut off."""
    angle = rng.normal(0, 0.04) if rng.random() < 0.85 else rng.normal(0, 0.3)
    out = abs(np.cos(angle)) + abs(np.sin(angle)) + 0.06
    return _corners(rng, angle, np.array([out, out]), np.array([0.5, 0.5]), 0.02), 0.5 - 0.49 / out


def _far(rng: Rng) -> tuple[Floats, float]:
    """The same for a sheet on something else, which the picture may cut."""
    size = rng.uniform(0.35, 1.1, 2) if rng.random() < 0.5 else np.full(2, rng.uniform(0.6, 1.15))
    angle = rng.normal(0, 0.13) + rng.choice([0, 0, 0, 0, np.pi / 2, np.pi])
    return _corners(rng, angle, size, rng.uniform(0.4, 0.6, 2), 0.03), 0.06


def _corners(rng: Rng, angle: float, size: Floats, centre: Floats, bend: float) -> Floats:
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2 * size + rng.normal(0, bend, (4, 2))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.asarray(square @ turn + centre, np.float32)


def _shape(rng: Rng, is_far: bool) -> Mask:
    """The outline of the sheet: whole, torn, a disc, with round corners or holes."""
    mask = np.full((SHEET, SHEET), 255, np.uint8)
    kind = rng.random()
    if is_far and kind < 0.12:
        mask[:] = 0
        cv2.ellipse(mask, (SHEET // 2, SHEET // 2), (SHEET // 2 - 2, SHEET // 2 - 2), 0, 0, 360, 255, -1)
    elif is_far and kind < 0.25:
        y, x = np.mgrid[:SHEET, :SHEET]
        rim = np.minimum(np.minimum(x, SHEET - x), np.minimum(y, SHEET - y))
        mask[rim < 10 + 12 * noise(rng, SHEET, SHEET, 20)] = 0
    elif kind > 0.93:
        x = int(rng.uniform(8, 30))
        for y in np.linspace(30, SHEET - 30, int(rng.integers(2, 20))).astype(int):
            cv2.circle(mask, (x, int(y)), int(rng.integers(3, 10)), 0, -1)
    return mask


def _sheet_colours(rng: Rng, amounts: list[Floats], is_flat: bool) -> Floats:
    """The sheet in even light: [SIDE, SIDE, 3], 0 to 1. Dark paper has light ink.

    `amounts` are those of the writing, of the back's writing and of each kind of printed matter.
    """
    ink, bleed, *lines = amounts
    grey = rng.uniform(0.55, 1) if rng.random() < 0.88 else rng.uniform(0.02, 0.35)
    paper = np.clip(grey + rng.normal(0, 0.03 if rng.random() < 0.8 else 0.12, 3), 0, 1)
    if is_flat:
        paper = np.full(3, float(grey > 0.4))
    sign = -1 if grey > 0.4 else 1
    contrast = np.exp(rng.uniform(np.log(0.1), 0)) if rng.random() < 0.5 else rng.uniform(0.6, 1)
    contrast = 1.0 if is_flat else contrast
    end = (np.zeros(3) if sign < 0 else np.ones(3)) + -sign * rng.uniform(0, 0.5, 3) * (rng.random() < 0.4)
    picture: Floats = np.broadcast_to(paper, (SIDE, SIDE, 3)).astype(np.float32)
    if not is_flat:
        picture = picture * (
            1 + rng.uniform(0, 0.22) ** 2 * noise(rng, SIDE, SIDE, np.exp(rng.uniform(1, 5)))[..., None]
        )
    picture = picture + (0.15 * rng.random() * bleed)[..., None] * (end - picture)
    strength = np.exp(rng.uniform(np.log(0.15), 0.6)).clip(0, 1)
    for mask in lines:
        darkest = rng.choice([0.0, 0.4, 0.7])
        colour = np.clip(darkest + rng.uniform(0, 0.3, 3), 0, 1) if sign < 0 else rng.uniform(0.4, 1, 3)
        strength = strength if rng.random() < 0.5 else np.exp(rng.uniform(np.log(0.15), 0.6)).clip(0, 1)
        picture = picture + (strength * mask)[..., None] * (colour - picture)
    if not is_flat:
        ink = ink * (1 - rng.uniform(0, 0.7) ** 2 * rng.random(ink.shape, np.float32))  # grain of pencil and paper
        fade = 1 - rng.uniform(0, 0.75) ** 2 * (0.5 + 0.5 * noise(rng, SIDE, SIDE, 6)).clip(0, 1)
        ink = ink * fade
    return np.asarray(picture + (contrast * ink)[..., None] * (end - picture), np.float32)


def _placed(rng: Rng, picture: Floats, shape: Floats, is_far: bool) -> Floats:
    """Lay the sheet on its surroundings, with its shadow; add dark or light edges, dust, folds and things."""
    if shape.min() < 1:
        ground = surround(rng, SIDE)
        if rng.random() < 0.25:  # the white rim of a sticker
            size = round(np.exp(rng.uniform(1, 4.4)))
            rim = np.asarray(cv2.dilate(shape, np.ones((size, size), np.uint8)), np.float32)[..., None]
            ground = ground + rim * (1 - ground)
        offset = rng.normal(0, 4, 2)
        soft = cv2.GaussianBlur(shape, (0, 0), rng.uniform(0.6, 6))
        shadow = cv2.warpAffine(soft, np.array([[1, 0, offset[0]], [0, 1, offset[1]]]), (SIDE, SIDE))[..., None]
        ground = ground * (1 - rng.uniform(0, 0.6) * shadow)
        picture = ground + shape * (picture - ground)
    if rng.random() < 0.1:  # the rim of a scanner, or of a neighbouring sheet
        y, x = np.mgrid[0 : 1 : SIDE * 1j, 0 : 1 : SIDE * 1j].astype(np.float32)
        for edge in [np.stack([x, 1 - x, y, 1 - y])[k] for k in np.flatnonzero(rng.random(4) < 0.5)]:
            limit = rng.uniform(0, 0.12) + rng.normal(0, 0.03) * (x + y - 1)
            amount = ((limit - edge) * SIDE / rng.uniform(1, 12)).clip(0, 1)[..., None]
            picture = picture + amount * rng.uniform(0.5, 1) * (rng.choice([0, 0, 0.3, 1]) - picture)
    if rng.random() < 0.25:  # dust
        dots = np.zeros((SIDE, SIDE), np.float32)
        for x, y in rng.integers(0, SIDE, (int(rng.integers(1, 40)), 2)).tolist():
            cv2.circle(dots, (x, y), int(rng.choice([0, 0, 0, 1, 1, 2])), float(rng.uniform(0.2, 1)), -1, cv2.LINE_AA)
        picture = picture + dots[..., None] * (rng.choice([0.0, 0.0, 1.0]) - picture)
    if rng.random() < 0.12:  # folds: the light changes at a line, the line itself is bright or dark
        place, tilt, (y, x) = rng.uniform(0, SIDE), rng.normal(0, 0.2), np.mgrid[:SIDE, :SIDE].astype(np.float32)
        away = (x - place + tilt * y) if rng.random() < 0.5 else (y - place + tilt * x)
        picture = (
            picture * (1 + rng.normal(0, 0.06) * np.sign(away) + rng.normal(0, 0.1) * np.exp(-(away**2) / 3))[..., None]
        )
    if rng.random() < 0.06:  # a finger, a pen or a clip at the edge
        angle, size = rng.uniform(0, 2 * np.pi), float(rng.uniform(0.08, 0.3) * SIDE)
        x, y = (SIDE * (0.5 + 0.55 * np.array([np.cos(angle), np.sin(angle)]))).tolist()
        box = ((x, y), (size, size * rng.uniform(1, 4)), float(np.degrees(angle) + 90 + rng.normal(0, 20)))
        colour = (np.array([0.8, 0.6, 0.5]) if rng.random() < 0.6 else rng.random(3)) * rng.uniform(0.4, 1.1)
        picture = np.ascontiguousarray(picture, np.float32)
        cv2.ellipse(picture, box, colour.tolist(), -1, cv2.LINE_AA)
    return np.asarray(picture, np.float32)


def _photographed(rng: Rng, picture: Floats) -> Floats:
    """Add light from a side, shadows, dark corners, blur, noise and a camera's colours."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 - rng.uniform(0, 0.7) ** 2 * (0.5 + 0.5 * (np.cos(angle) * x + np.sin(angle) * y) / 1.42)
    light *= 1 - rng.uniform(0, 0.8) ** 3 * ((x - rng.normal(0, 0.2)) ** 2 + (y - rng.normal(0, 0.2)) ** 2) / 2
    for _ in range(rng.choice(3, p=(0.7, 0.2, 0.1))):  # the edge of a shadow, straight or wavy
        angle = rng.uniform(0, 2 * np.pi)
        along = (
            np.cos(angle) * x
            + np.sin(angle) * y
            + rng.uniform(-0.7, 0.7)
            + 0.2 * rng.random() * noise(rng, SIDE, SIDE, 4)
        )
        light *= 1 - rng.uniform(0.1, 0.6) / (1 + np.exp(-(along / rng.uniform(0.005, 0.15)).clip(-30, 30)))
    picture = picture * light[..., None] * rng.triangular(0.4, 1, 1.15) * rng.normal(1, 0.04, 3)
    if rng.random() < 0.5:
        blur = rng.uniform(0.2, 1) if rng.random() < 0.8 else rng.uniform(1, 2.5)
        picture = cv2.GaussianBlur(picture, (0, 0), blur)
    if rng.random() < 0.15:  # sharpened, as phones do
        picture = picture + rng.uniform(0.3, 1.5) * (picture - cv2.GaussianBlur(picture, (0, 0), 2))
    strength = rng.uniform(0, 0.2) ** 2
    grain = rng.normal(0, strength, (SIDE, SIDE, 1 if rng.random() < 0.5 else 3)).astype(np.float32)
    if rng.random() < 0.4:
        grain = cv2.GaussianBlur(grain, (0, 0), 0.8).reshape(SIDE, SIDE, -1) * 1.8
    picture = picture + grain
    if rng.random() < 0.1:
        picture = picture.mean(axis=2, keepdims=True).repeat(3, axis=2)
    return np.asarray(1 - picture if rng.random() < 0.06 else picture, np.float32)


def _cut(rng: Rng, levels: Image, label: Mask) -> tuple[Image, Mask]:
    """Cut close to the ink, and stretch to the same size."""
    rows, columns = np.flatnonzero(label.any(axis=1)), np.flatnonzero(label.any(axis=0))
    if len(rows) < 24 or len(columns) < 12:
        return levels, label
    margin = rng.integers(0, 12, 4)
    place = (
        slice(max(0, rows[0] - margin[0]), rows[-1] + margin[1] + 1),
        slice(max(0, columns[0] - margin[2]), columns[-1] + margin[3] + 1),
    )
    cut = [cv2.resize(each[place], (SIDE, SIDE), interpolation=cv2.INTER_LINEAR) for each in (levels, label)]
    return np.asarray(cut[0], np.uint8), np.asarray(cut[1], np.uint8)


def _compressed(rng: Rng, levels: Image) -> Image:
    """Through JPEG, at this size or smaller, or as it is."""
    if rng.random() < 0.3:
        return levels
    side = SIDE if rng.random() < 0.7 else int(rng.uniform(0.15, 1) * SIDE)
    small = cv2.resize(levels, (side, side), interpolation=cv2.INTER_AREA)
    _, content = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, int(rng.uniform(25, 96))])
    again: Any = cv2.imdecode(content, cv2.IMREAD_COLOR)
    return np.asarray(cv2.resize(again, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), np.uint8)
