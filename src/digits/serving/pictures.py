"""Turn a picture of one digit into the 28x28 image that MNIST would have made of it."""

import io
import warnings
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy import ndimage

from digits.errors import DataError
from digits.serving.lines import otsu, without_lines
from digits.serving.marks import Group, crowding, has_several, marks_of, rows_of
from digits.serving.paper import flat_paper, paper_surface

FORMATS = ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"]
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1")  # the bytes 8 to 12 of a file that starts with ftyp
MIN_SIDE, MAX_PIXELS = 8, 50_000_000
WORKING_SIDE = 512  # pixels; larger pictures are reduced to this longest side first
COARSE_SIDE = 64  # pixels; the paper is estimated on a copy of at most this longest side
MAX_STROKE = 0.25  # of the longest side; anything wider is light or shadow, not a stroke
SPACE = 24  # pixels of paper that are left round the ink
MIN_CONTRAST = 10  # levels of 255 between ink and paper
NO_INK = "no ink found on the picture: it looks like empty paper"
SEVERAL = "several digits on the picture, wanted one; predict.py --number and POST /api/number read numbers"
Floats = NDArray[np.float32]

with suppress(ImportError):  # the extra `heic` is not installed; decode() says so when such a file comes
    from pillow_heif import register_heif_opener

    register_heif_opener()
    FORMATS.append("HEIF")

# decode() refuses pictures above MAX_PIXELS itself, so Pillow's warning about them would be a second message.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
Image.core.set_blocks_max(4)  # Pillow keeps 4 blocks of 16 MB for reuse: new memory costs a fifth of the time


class PictureError(DataError):
    """A picture cannot be decoded or shows no ink."""


class SeveralDigitsError(PictureError):
    """A picture shows more than one digit."""


def read_picture(content: bytes) -> Floats:
    """Prepare the digit in a picture file for a model.

    Args:
        content: a PNG, JPEG, WebP, BMP, GIF (its first frame) or TIFF file; with pillow-heif HEIC too.

    Returns:
        Float32 [1, 28, 28]: ink 1, paper 0, the longest side 20 pixels, the centre of mass in the middle.

    Raises:
        PictureError: another kind of file, a damaged one, below 8x8 or above 50 megapixels, or no ink.
    """
    return prepare(decode(content))


def is_small(content: bytes) -> bool:
    """Whether read_picture takes only a few milliseconds for this file, as for a drawing from a screen."""
    try:
        return len(content) <= 100_000 and max(Image.open(io.BytesIO(content), formats=FORMATS).size) <= WORKING_SIDE
    except Exception:  # read_picture refuses it quickly and gives the reason
        return True


def decode(content: bytes) -> Image.Image:
    """Decode a picture file: the first frame, upright, in RGB, at most WORKING_SIDE pixels a side.

    Raises:
        PictureError: as read_picture, except for missing ink.
    """
    try:
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise PictureError(f"the picture is too large, wanted at most {MAX_PIXELS:,} pixels") from error
    except Exception as error:
        if content[4:8] == b"ftyp" and content[8:12] in HEIC_BRANDS and "HEIF" not in FORMATS:
            raise PictureError(
                "a HEIC file, which needs pillow-heif; pip install pillow-heif, or send a JPEG"
            ) from error
        raise PictureError("not a picture that can be read; wanted PNG, JPEG, WebP, BMP, GIF or TIFF") from error
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise PictureError(f"the picture has {width}x{height} pixels, wanted at most {MAX_PIXELS:,}")
    if min(width, height) < MIN_SIDE:
        raise PictureError(f"the picture has {width}x{height} pixels, wanted at least {MIN_SIDE}x{MIN_SIDE}")
    try:
        picture.draft("RGB", (WORKING_SIDE, WORKING_SIDE))  # a smaller JPEG decodes much faster
        ImageOps.exif_transpose(picture, in_place=True)
        return _to_rgb(picture)
    except Exception as error:  # decoders raise many kinds of error on a damaged file
        raise PictureError(f"the {picture.format} file is damaged or of a kind that cannot be read") from error


def _to_rgb(picture: Image.Image) -> Image.Image:
    """Convert any mode to RGB; transparent parts become white or black, whichever differs more from the drawing."""
    if picture.mode.startswith(("I", "F")):  # 16 bits or more: the file does not say which value is white
        grey = np.nan_to_num(np.asarray(_reduced(picture.convert("F"))), posinf=0, neginf=0)
        spread = max(float(np.ptp(grey)), 1e-9)
        return Image.fromarray(np.rint(255 * ((grey - grey.min()) / spread)).astype(np.uint8)).convert("RGB")
    if not picture.has_transparency_data:
        return _reduced(picture if picture.mode == "RGB" else picture.convert("RGB"))
    pixels = np.asarray(_reduced(picture.convert("RGBA").convert("RGBa")))  # RGBa: colours multiplied by alpha
    colours, alpha = pixels[..., :3], pixels[..., 3:]
    is_bright = colours.sum(dtype=np.int64) > 1.5 * alpha.sum(dtype=np.int64)
    return Image.fromarray(colours if is_bright else colours + (255 - alpha))


def _reduced(picture: Image.Image) -> Image.Image:
    scale = min(1, WORKING_SIDE / max(picture.size))
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BOX)


def prepare(picture: Image.Image) -> Floats:
    """Find the ink in an RGB picture, then scale and centre it as MNIST does.

    Returns:
        Float32 [1, 28, 28], as read_picture.

    Raises:
        PictureError: no ink.
        SeveralDigitsError: more than one digit.
    """
    strength, labels, _ = _inked(picture)
    if has_several(rows_of(labels)):
        raise SeveralDigitsError(SEVERAL)
    return _centred(_scaled(strength))[None]


def prepare_number(picture: Image.Image) -> list[list[tuple[Group, Floats, float]]]:
    """Find the digits in an RGB picture, row by row, and prepare each of them as `prepare` does.

    Returns:
        Rows from top to bottom, in each from left to right a digit's place in the picture; its image, float32
        [1, 28, 28]; and its crowding.

    Raises:
        PictureError: no ink.
    """
    strength, labels, (left, top) = _inked(picture)

    def prepared(digit: Group) -> tuple[Group, Floats, float]:
        margin = 2 + max(digit.width, digit.height) // 10  # resizing looks a twentieth of a side beyond the box
        rows, columns = (
            slice(max(0, start - margin), end + margin)
            for start, end in ((digit.top, digit.bottom), (digit.left, digit.right))
        )
        place = rows, columns
        own = np.isin(labels[place], digit.labels)
        alone = strength[place] * _dilated(_dilated(own)) * (own | (labels[place] == 0))
        return digit.moved(left, top), _centred(_scaled(alone))[None], crowding(own)

    return [[prepared(digit) for digit in row] for row in rows_of(labels)]


def _inked(picture: Image.Image) -> tuple[Floats, NDArray[np.int32], tuple[int, int]]:
    """Find the ink: its strength from 0 to 1, [H, W], the labels of its marks, and where in the picture both begin."""
    levels, corner = _ink_levels(picture)
    levels = without_lines(levels)
    if levels.max() < MIN_CONTRAST:
        raise PictureError(NO_INK)
    counts = np.array(Image.fromarray(levels).histogram())
    threshold, separation = otsu(counts)
    labels = marks_of(levels > threshold)
    is_ink = labels > 0
    ink = _quantile_level(np.bincount(levels[is_ink], minlength=256), 0.5)
    paper = _quantile_level(counts[: threshold + 1], 0.5)
    noise = _quantile_level(counts[: threshold + 1], 0.84) - paper  # one standard deviation of a normal distribution
    # The soft edges of a large digit look like noise, but empty paper has no two classes: it reaches 0.75.
    if ink - paper < max(MIN_CONTRAST, (4 if separation < 0.76 else 3) * noise):
        raise PictureError(NO_INK)
    near_ink = _dilated(_dilated(is_ink))  # keeps the soft edge of a stroke
    return ((levels - np.float32(paper)) / (ink - paper)).clip(0, 1) * near_ink, labels, corner


def _ink_levels(picture: Image.Image) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Measure each pixel's distance from the paper's colour in the ink's direction: uint8 [H, W], 255 black on white.

    The paper may have any colour and slowly changing light: a surface of second degree is fitted to it, with little
    weight for ink. What the surface misses, like the edge of a shadow, is wider than a stroke: an opening finds it.
    """
    step = -(-max(picture.size) // COARSE_SIDE)
    coarse = np.asarray(picture.reduce(step), np.float32) / np.float32(255)
    flat = flat_paper(coarse)
    paper = paper_surface(coarse) if flat is None else flat
    difference = coarse - paper
    distance = np.einsum("yxc,yxc->yx", difference, difference) ** 0.5
    direction = difference[distance >= 0.7 * distance.max()].mean(axis=0)
    direction /= max(3**0.5 * np.linalg.norm(direction), 1e-9)
    if flat is not None:
        levels = picture.convert("L", (*direction.tolist(), -255 * float(flat @ direction)))
        return _cropped(levels)
    window = max(2, round(MAX_STROKE * max(distance.shape)))
    rest = ndimage.grey_opening(difference @ direction, (window, window), mode="nearest")
    smooth_rest = ndimage.gaussian_filter(rest, 1, mode="nearest")
    background = Image.fromarray((paper @ direction + smooth_rest).astype(np.float32))
    box = (0, 0, picture.width / step, picture.height / step)
    fine = np.asarray(background.resize(picture.size, Image.Resampling.BILINEAR, box=box))
    levels = np.asarray(picture, np.float32) @ direction.astype(np.float32) - 255 * fine
    return _cropped(Image.fromarray(np.rint(levels).clip(0, 255).astype(np.uint8)))


def _cropped(levels: Image.Image) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Crop to all that differs from paper, with a margin; return also the left and top of the crop."""
    left, top, right, bottom = levels.getbbox() or (0, 0, *levels.size)
    left, top = max(0, left - SPACE), max(0, top - SPACE)
    box = (left, top, min(levels.width, right + SPACE), min(levels.height, bottom + SPACE))
    return np.asarray(levels.crop(box)), (left, top)


def _dilated(marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Add the four neighbours of each marked pixel; scipy's binary_dilation takes ten times as long."""
    dilated = marks.copy()
    dilated[1:] |= marks[:-1]
    dilated[:-1] |= marks[1:]
    dilated[:, 1:] |= marks[:, :-1]
    dilated[:, :-1] |= marks[:, 1:]
    return dilated


def _scaled(strength: Floats) -> Floats:
    """Crop to the ink, scale its longest side to 20 pixels and its strongest parts to 1."""
    visible = strength > 0.2
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    width, height = box[2] - box[0], box[3] - box[1]
    size = [max(1, int(20 * side / max(width, height) + 0.5)) for side in (width, height)]
    small = np.asarray(Image.fromarray(strength).resize(size, Image.Resampling.BILINEAR, box=box))
    return (small / np.quantile(small[small > 0.1 * small.max()], 0.8)).clip(0, 1)  # a thin pen is grey at this size


def _centred(small: Floats) -> Floats:
    """Paste into 28x28 with the centre of mass at pixel (14, 14), as far as nothing is cut off."""
    image = np.zeros((28, 28), np.float32)
    mass = ndimage.center_of_mass(small)
    # A symmetric digit's centre lies exactly between two pixels: 1e-6 decides, not the rounding error of the sum.
    top, left = (int(np.clip(14.5 - m + 1e-6, 0, 28 - side)) for m, side in zip(mass, small.shape, strict=True))
    image[top : top + small.shape[0], left : left + small.shape[1]] = small
    return image


def _quantile_level(counts: NDArray[np.int64], share: float) -> int:
    """Find the level that this share of the pixels does not exceed; counts has one entry a level."""
    return int(np.searchsorted(counts.cumsum(), share * counts.sum()))
