"""Turn a picture of one digit into the 28x28 image that MNIST would have made of it."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digits_reader.decode import PictureError, decode
from digits_reader.lines import otsu, without_lines
from digits_reader.marks import Cluster, crowding, has_several, marks_of, rows_of
from digits_reader.paper import flat_paper, paper_surface
from digits_reader.photo import Ink, find_ink

COARSE_SIDE = 64  # pixels; the paper is estimated on a copy of at most this longest side
MAX_STROKE = 0.25  # of the longest side; anything wider is light or shadow, not a stroke
SPACE = 24  # pixels of paper that are left round the ink
MAX_MARKS = 200  # of ink, on a picture
PHOTO_SIDE = 64  # pixels; a smaller picture is no photograph
STRONG = 0.35  # of full ink; what is weaker on a photograph is no mark
MIN_CONTRAST = 10  # levels of 255 between ink and paper
NO_INK = ("no ink found on the picture: it looks like empty paper", "no_ink")
SEVERAL = "several digits on the picture, wanted one; digits read --number and POST /api/number read numbers"
CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
Floats = NDArray[np.float32]

cv2.setNumThreads(1)  # the server has threads of its own, and most pictures are small


class SeveralDigitsError(PictureError):
    """A picture shows more than one digit."""


def no_ink(picture: Image.Image) -> PictureError:
    """What to say of a picture without ink; of a file with several pages, only the first was looked at."""
    pages = picture.info.get("pages", 1)
    return PictureError(f"no ink found on the first of {pages} pages" if pages > 1 else NO_INK[0], NO_INK[1])


def read_picture(content: bytes) -> Floats:
    """Prepare the digit in a picture file for a model.

    Args:
        content: a PNG, JPEG, WebP, BMP, GIF (its first frame) or TIFF file; with pillow-heif HEIC too.

    Returns:
        Float32 [1, 28, 28]: ink 1, paper 0, the longest side 20 pixels, the centre of mass in the middle.

    Raises:
        PictureError: another kind of file, a damaged one, below 8x8 or above 50 megapixels; no ink, or more than
            MAX_MARKS marks; several digits (SeveralDigitsError).
    """
    return prepare(decode(content))


def prepare(picture: Image.Image) -> Floats:
    """Find the ink in an RGB picture, then scale and centre it as MNIST does.

    Returns:
        Float32 [1, 28, 28], as read_picture.

    Raises:
        PictureError: no ink.
        SeveralDigitsError: more than one digit.
    """
    ink, _, marks = _inked(picture)
    if len(marks) > 1 and has_several(rows_of(marks)):
        raise SeveralDigitsError(SEVERAL, "several_digits")
    return _centred(_scaled(ink.strength))[None]


def prepare_number(picture: Image.Image) -> list[list[tuple[Cluster, Floats, float]]]:
    """Find the digits in an RGB picture, row by row, and prepare each of them as `prepare` does.

    Returns:
        Rows from top to bottom, in each from left to right a digit's place in the picture; its image, float32
        [1, 28, 28]; and its crowding.

    Raises:
        PictureError: no ink.
    """
    ink, labels, marks = _inked(picture)

    def prepared(digit: Cluster) -> tuple[Cluster, Floats, float]:
        margin = 2 + max(digit.width, digit.height) // 10  # resizing looks a twentieth of a side beyond the box
        rows, columns = (
            slice(max(0, start - margin), end + margin)
            for start, end in ((digit.top, digit.bottom), (digit.left, digit.right))
        )
        place = rows, columns
        own = np.isin(labels[place], digit.labels)
        alone = ink.strength[place] * _near(own) * (own | (labels[place] == 0))
        return digit.placed(ink.left, ink.top, ink.scale), _centred(_scaled(alone))[None], crowding(own)

    return [[prepared(digit) for digit in row] for row in rows_of(marks)]


def _inked(picture: Image.Image) -> tuple[Ink, NDArray[np.int32], list[Cluster]]:
    """Find the ink, the labels of its marks, [H, W], and the marks. The network is for photographs.

    On a drawing or an icon, the paper has one colour, or there is too little for the network to see.
    """
    step = -(-max(picture.size) // COARSE_SIDE)
    coarse = np.asarray(picture.reduce(step), np.float32) / np.float32(255)
    flat = flat_paper(coarse)
    if flat is None and min(picture.size) >= PHOTO_SIDE:
        ink = find_ink(picture)
        if ink is None:
            raise no_ink(picture)
        labels, marks = marks_of(ink.strength > STRONG)
    else:
        ink, labels, marks = _by_rules(picture, coarse, step, flat)
    if not marks:
        raise no_ink(picture)
    if len(marks) > MAX_MARKS:  # dust or printed text: to find digits in it would take minutes
        text = f"{len(marks)} marks on the picture, which are no single digit; wanted at most {MAX_MARKS}"
        raise PictureError(text, "no_single_digit")
    return Ink(ink.strength * _near(labels > 0), *ink[1:]), labels, marks


def _by_rules(
    picture: Image.Image, coarse: Floats, step: int, flat: Floats | None
) -> tuple[Ink, NDArray[np.int32], list[Cluster]]:
    levels, (left, top) = _ink_levels(picture, coarse, step, flat)
    levels = without_lines(levels)
    if levels.max() < MIN_CONTRAST:
        raise no_ink(picture)
    counts = _histogram(levels)
    threshold, separation = otsu(counts)
    labels, marks = marks_of(levels > threshold)
    ink = _quantile_level(_histogram(levels, labels > 0), 0.5)
    paper = _quantile_level(counts[: threshold + 1], 0.5)
    noise = _quantile_level(counts[: threshold + 1], 0.84) - paper  # one standard deviation of a normal distribution
    # The soft edges of a large digit look like noise, but empty paper has no two classes: it reaches 0.75.
    if ink - paper < max(MIN_CONTRAST, (4 if separation < 0.76 else 3) * noise):
        raise no_ink(picture)
    strengths = ((np.arange(256, dtype=np.float32) - paper) / (ink - paper)).clip(0, 1)  # of each level
    return Ink(np.asarray(cv2.LUT(levels, strengths)), left, top, 1.0), labels, marks


def _ink_levels(
    picture: Image.Image, coarse: Floats, step: int, flat: Floats | None
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Measure each pixel's distance from the paper's colour in the ink's direction: uint8 [H, W], 255 black on white.

    The paper may have any colour and slowly changing light: a surface of second degree is fitted to it, with little
    weight for ink. What the surface misses, like the edge of a shadow, is wider than a stroke: an opening finds it.
    `coarse` is the picture reduced by `step`, 0 to 1; `flat` is the paper's colour if it has only one.
    """
    paper = paper_surface(coarse) if flat is None else flat
    difference = coarse - paper
    distance = np.einsum("yxc,yxc->yx", difference, difference) ** 0.5
    direction = difference[distance >= 0.7 * distance.max()].mean(axis=0)
    direction /= max(3**0.5 * np.linalg.norm(direction), 1e-9)
    if flat is not None:
        levels = picture.convert("L", (*direction.tolist(), -255 * float(flat @ direction)))
        return _cropped(levels)
    rest = _opened(difference @ direction, max(2, round(MAX_STROKE * max(distance.shape))))
    smooth_rest = cv2.GaussianBlur(rest, (9, 9), 1, borderType=cv2.BORDER_REPLICATE)
    background = Image.fromarray((paper @ direction + smooth_rest).astype(np.float32))
    box = (0, 0, picture.width / step, picture.height / step)
    fine = np.asarray(background.resize(picture.size, Image.Resampling.BILINEAR, box=box))
    levels = cv2.transform(np.asarray(picture, np.float32), direction[None].astype(np.float32)) - 255 * fine
    return _cropped(Image.fromarray(np.rint(levels).clip(0, 255).astype(np.uint8)))


def _opened(amount: Floats, window: int) -> Floats:
    """Remove what is narrower than `window` pixels in some direction, as if the border's values went on outside."""
    square, before = np.ones((window, window), np.uint8), window // 2
    low = cv2.erode(amount, square, anchor=(before, before), borderType=cv2.BORDER_REPLICATE)
    after = window - 1 - before
    return np.asarray(cv2.dilate(low, square, anchor=(after, after), borderType=cv2.BORDER_REPLICATE), np.float32)


def _cropped(levels: Image.Image) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Crop to all that differs from paper, with a margin; return also the left and top of the crop."""
    left, top, right, bottom = levels.getbbox() or (0, 0, *levels.size)
    left, top = max(0, left - SPACE), max(0, top - SPACE)
    box = (left, top, min(levels.width, right + SPACE), min(levels.height, bottom + SPACE))
    return np.asarray(levels.crop(box)), (left, top)


def _near(marks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """1 up to two steps from a marked pixel: the soft edge of a stroke is kept."""
    return np.asarray(cv2.dilate(marks.view(np.uint8), CROSS, iterations=2), np.uint8)


def _scaled(strength: Floats) -> Floats:
    """Crop to the ink, scale its longest side to 20 pixels and its strongest parts to 1."""
    left, top, width, height = cv2.boundingRect((strength > 0.2).view(np.uint8))
    box = (left, top, left + width, top + height)
    size = [max(1, int(20 * side / max(width, height) + 0.5)) for side in (width, height)]
    small = np.asarray(Image.fromarray(strength).resize(size, Image.Resampling.BILINEAR, box=box))
    inked = np.sort(small[small > 0.1 * small.max()])
    quantile = np.interp(0.8 * (len(inked) - 1), np.arange(len(inked)), inked)  # as np.quantile, in a tenth of its time
    return (small / np.float32(quantile)).clip(0, 1)  # a thin pen is grey at this size


def _centred(small: Floats) -> Floats:
    """Paste into 28x28 with the centre of mass at pixel (14, 14), as far as nothing is cut off."""
    image = np.zeros((28, 28), np.float32)
    sums = (small.sum(axis=axis, dtype=np.float64) for axis in (1, 0))  # of each row, of each column
    mass = [each @ np.arange(len(each)) / each.sum() for each in sums]
    # A symmetric digit's centre lies exactly between two pixels: 1e-6 decides, not the rounding error of the sum.
    top, left = (int(np.clip(14.5 - m + 1e-6, 0, 28 - side)) for m, side in zip(mass, small.shape, strict=True))
    image[top : top + small.shape[0], left : left + small.shape[1]] = small
    return image


def _histogram(levels: NDArray[np.uint8], mask: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """Count the pixels of each level, [256]."""
    counts = cv2.calcHist([levels], [0], None if mask is None else mask.view(np.uint8), [256], [0, 256])
    return counts.ravel().astype(np.int64)


def _quantile_level(counts: NDArray[np.int64], share: float) -> int:
    """Find the level that this share of the pixels does not exceed; counts has one entry a level."""
    return int(np.searchsorted(counts.cumsum(), share * counts.sum()))
