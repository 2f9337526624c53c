"""A picture as people hand it in, to the image MNIST would have made of it."""

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy import ndimage
from skimage.filters import threshold_otsu

from digits.errors import DataError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
SMALLEST, MOST_PIXELS = 8, 50_000_000
WORKING = 512  # longest side all the steps below work at, pixels
COARSE = 64  # longest side the paper is looked for at
BROADEST = 0.25  # stroke, as a share of the picture's longest side; what is wider is light or shadow
FAINTEST = 10  # ink, levels of 255 above the paper
EMPTY = "no ink found on the picture: it looks like empty paper"
Floats = NDArray[np.float32]

# pictures beyond MOST_PIXELS are refused anyway, before Pillow decodes them
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
Image.core.set_blocks_max(4)  # of 16 MB, kept for the next picture: fresh memory costs a fifth of the time


class PictureError(DataError):
    """A picture cannot be read, or there is nothing on it."""


def read_picture(content: bytes) -> Floats:
    """The image of the one digit in a picture file, as MNIST would have it.

    Args:
        content: of a PNG, JPEG, WebP, BMP, GIF (its first frame) or TIFF file.

    Returns:
        Float32 [1, 28, 28]: ink 1, paper 0, the longest side 20 pixels, the centre of mass in the middle.

    Raises:
        PictureError: it is no such file, broken, smaller than 8x8, above 50 megapixels, or without ink.
    """
    return prepare(decode(content))


def is_small(content: bytes) -> bool:
    """Whether read_picture is done with a file in a few milliseconds, as with a drawing from a screen."""
    try:
        return len(content) <= 100_000 and max(Image.open(io.BytesIO(content), formats=FORMATS).size) <= WORKING
    except Exception:  # read_picture says what is wrong with it
        return True


def decode(content: bytes) -> Image.Image:
    """A picture file's first frame, upright, in RGB, at most WORKING pixels a side.

    Raises:
        PictureError: as read_picture, but for the ink.
    """
    try:
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise PictureError(f"the picture is too large, wanted at most {MOST_PIXELS:,} pixels") from error
    except Exception as error:
        raise PictureError("not a picture that can be read; wanted PNG, JPEG, WebP, BMP, GIF or TIFF") from error
    width, height = picture.size
    if width * height > MOST_PIXELS:
        raise PictureError(f"the picture has {width}x{height} pixels, wanted at most {MOST_PIXELS:,}")
    if min(width, height) < SMALLEST:
        raise PictureError(f"the picture has {width}x{height} pixels, wanted at least {SMALLEST}x{SMALLEST}")
    try:
        picture.draft("RGB", (2 * WORKING, 2 * WORKING))  # a large JPEG decodes to a smaller size many times faster
        ImageOps.exif_transpose(picture, in_place=True)
        return _rgb(picture)
    except Exception as error:  # a damaged file brings out whatever its decoder trips over
        raise PictureError(f"the {picture.format} file is damaged or of a kind that cannot be read") from error


def _rgb(picture: Image.Image) -> Image.Image:
    """Any mode to RGB; what is transparent becomes white or black, whichever the drawing stands out from."""
    if picture.mode.startswith(("I", "F")):  # 16 bits and more, and the file does not say how bright its white is
        grey = np.nan_to_num(np.asarray(_shrunk(picture.convert("F"))), posinf=0, neginf=0)
        spread = max(float(np.ptp(grey)), 1e-9)
        return Image.fromarray(np.rint(255 * ((grey - grey.min()) / spread)).astype(np.uint8)).convert("RGB")
    if not picture.has_transparency_data:
        return _shrunk(picture if picture.mode == "RGB" else picture.convert("RGB"))
    pixels = np.asarray(_shrunk(picture.convert("RGBA").convert("RGBa")))  # colours already multiplied by their alpha
    colours, alpha = pixels[..., :3], pixels[..., 3:]
    bright = colours.sum(dtype=np.int64) > 1.5 * alpha.sum(dtype=np.int64)
    return Image.fromarray(colours if bright else colours + (255 - alpha))


def _shrunk(picture: Image.Image) -> Image.Image:
    scale = min(1, WORKING / max(picture.size))
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BOX)


def prepare(picture: Image.Image) -> Floats:
    """Find the ink in a picture and set it as MNIST does.

    Args:
        picture: in RGB.

    Returns:
        Float32 [1, 28, 28], as read_picture.

    Raises:
        PictureError: nothing stands out from the paper.
    """
    levels = _above_paper(picture)
    if levels.max() < FAINTEST:
        raise PictureError(EMPTY)
    counts = np.array(Image.fromarray(levels).histogram())
    threshold = int(threshold_otsu(hist=counts))
    inked = _without_specks(levels > threshold)
    ink, paper = _level(np.bincount(levels[inked], minlength=256), 0.5), _level(counts[: threshold + 1], 0.5)
    noise = _level(counts[: threshold + 1], 0.84) - paper  # as far above the middle as a standard deviation
    if ink - paper < max(FAINTEST, 4 * noise):
        raise PictureError(EMPTY)
    near = _grown(_grown(inked))  # the soft edge of a stroke is ink too
    strength = ((levels - np.float32(paper)) / (ink - paper)).clip(0, 1) * near
    return _centred(_fitted(strength))[None]


def _above_paper(picture: Image.Image) -> NDArray[np.uint8]:
    """How far each pixel's colour is from the paper's, towards the ink's: uint8 [H, W], black on white 255.

    The paper may be of any colour and in light that changes slowly: a surface of the second degree, fitted so that
    ink does not count. What it misses, like the edge of a shadow, is wider than a stroke: an opening finds it.
    """
    step = -(-max(picture.size) // COARSE)
    coarse = np.asarray(picture.reduce(step)) / np.float32(255)
    paper = _paper(coarse)
    apart = np.linalg.norm(coarse - paper, axis=2)
    ink = (coarse - paper)[apart >= 0.7 * apart.max()].mean(axis=0)
    ink /= max(3**0.5 * np.linalg.norm(ink), 1e-9)
    window = max(2, round(BROADEST * max(coarse.shape)))
    left = ndimage.grey_opening((coarse - paper) @ ink, (window, window), mode="nearest")
    ground = Image.fromarray((paper @ ink + ndimage.gaussian_filter(left, 1, mode="nearest")).astype(np.float32))
    box = (0, 0, picture.width / step, picture.height / step)
    fine = np.asarray(ground.resize(picture.size, Image.Resampling.BILINEAR, box=box))
    return np.rint(np.asarray(picture, np.float32) @ ink.astype(np.float32) - 255 * fine).clip(0, 255).astype(np.uint8)


def _paper(colours: NDArray[np.floating]) -> Floats:
    """A smooth surface through most of the colours, [H, W, 3]: iteratively reweighted least squares.

    Its terms are powers of y times powers of x, so sums over all pixels are products of small matrices.
    """
    height, width = colours.shape[:2]
    y, x = (np.linspace(-1, 1, side) ** np.arange(5)[:, None] for side in (height, width))
    down, across = np.array([[0, 0, 1, 0, 1, 2], [0, 1, 0, 2, 1, 0]])  # the powers in each term
    values = np.array(colours.transpose(2, 0, 1), np.float64, order="C")
    margin = max(1, round(0.08 * min(height, width)))
    border = np.ones((height, width), bool)
    border[margin:-margin, margin:-margin] = False
    surface = np.median(values[:, border], axis=1)[:, None, None]
    for scale in np.geomspace(0.3, 0.04, 8):  # from wide to narrow: a dark corner is still paper, ink is not
        apart = ((values - surface) ** 2).mean(axis=0)
        weights = 1 / (1 + apart / scale**2) ** 2
        products = (y @ weights @ x.T)[down + down[:, None], across + across[:, None]]
        wanted = (y[:3] @ (weights * values) @ x[:3].T)[:, down, across]
        terms = np.zeros((3, 3, 3))
        terms[:, down, across] = np.linalg.solve(products + 1e-6 * np.eye(6), wanted.T).T
        surface = y[:3].T @ terms @ x[:3]
    return surface.transpose(1, 2, 0).astype(np.float32)


def _without_specks(inked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Leave the marks that can be parts of the digit: no dust, and no desk that shows beside the sheet."""
    labels, count = ndimage.label(inked, np.ones((3, 3)))
    sizes = np.bincount(labels[inked], minlength=count + 1)
    for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        along = np.bincount(side, minlength=count + 1) > len(side) / 3
        if (sizes * ~along).max() > labels.size / 2000:
            sizes[along] = 0
    return (sizes >= max(1, 0.08 * sizes.max())).take(labels)


def _grown(marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Marks and the pixels that share a side with one; scipy's binary_dilation takes ten times as long."""
    grown = marks.copy()
    grown[1:] |= marks[:-1]
    grown[:-1] |= marks[1:]
    grown[:, 1:] |= marks[:, :-1]
    grown[:, :-1] |= marks[:, 1:]
    return grown


def _fitted(strength: Floats) -> Floats:
    """Cut out the ink and scale it to 20 pixels on its longest side, its strongest parts to 1."""
    seen = strength > 0.2
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    width, height = box[2] - box[0], box[3] - box[1]
    size = [max(1, int(20 * side / max(width, height) + 0.5)) for side in (width, height)]
    small = np.asarray(Image.fromarray(strength).resize(size, Image.Resampling.BILINEAR, box=box))
    return (small / np.quantile(small[small > 0.1 * small.max()], 0.8)).clip(0, 1)  # a fine pen is grey at this size


def _centred(small: Floats) -> Floats:
    """Put into 28x28 with the centre of mass at pixel (14, 14), but nothing cut off."""
    image = np.zeros((28, 28), np.float32)
    mass = ndimage.center_of_mass(small)
    # a symmetric digit's centre lies between two pixels: to the right one, whatever the last bit of the sum says
    top, left = (int(np.clip(14.5 - m + 1e-6, 0, 28 - side)) for m, side in zip(mass, small.shape, strict=True))
    image[top : top + small.shape[0], left : left + small.shape[1]] = small
    return image


def _level(counts: NDArray[np.int64], share: float) -> int:
    """The level that a share of all pixels does not exceed, from how often each level occurs."""
    return int(np.searchsorted(counts.cumsum(), share * counts.sum()))
