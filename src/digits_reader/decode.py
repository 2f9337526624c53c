"""Decode picture files of many kinds to one: upright, in RGB, not too large."""

import io
import re
import sys
import warnings
from contextlib import nullcontext, suppress
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, features

from plain_errors import DataError

FORMATS = ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"]
if features.check("avif"):
    FORMATS.append("AVIF")
STARTS = {  # of a file of a kind; other files start like a BMP or a WebP too
    b"\x89PNG": "PNG", b"\xff\xd8": "JPEG", b"GIF8": "GIF",
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "TIFF"),
}  # fmt: skip
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1")  # the bytes 8 to 12 of a file that starts with ftyp
MIN_SIDE, MAX_PIXELS = 8, 50_000_000
MAX_FILE = 200_000_000  # bytes: as many as MAX_PIXELS take in any usual form
MAX_PAGES = 1000  # of a TIFF file; Pillow counts n pages in n² steps
MAX_SCANS = 64  # of a JPEG file, which usually has 1 to 12; each scan of a few bytes may change every pixel
MARKER = re.compile(rb"\xff+([^\x00\x01\xd0-\xd7\xff])")  # of a part of a JPEG file; those left out have no length
SOLID = 200  # of 255: what is more opaque belongs to a sheet
SHEET_SPAN, RIM_SPAN = 64, 32  # levels of 255: a sheet with ink has more, its rim has less
WORKING_SIDE = 512  # pixels; larger pictures are reduced to this longest side first
SIXTEEN = 16  # the highest value in scikit-learn's digits, which have MIN_SIDE pixels a side; a larger picture is dark

with suppress(ImportError):  # the extra `heic` is not installed; decode() says so when such a file comes
    from pillow_heif import register_heif_opener

    register_heif_opener()
    FORMATS.append("HEIF")

# decode() refuses large and damaged pictures itself, so Pillow's warnings about them would be more messages.
warnings.filterwarnings("ignore", module=r"PIL\.")
Image.core.set_blocks_max(4)  # Pillow keeps 4 blocks of 16 MB for reuse: new memory costs a fifth of the time


class PictureError(DataError):
    """A picture cannot be decoded, or what it shows cannot be one digit or a number; `code` says which to programs."""

    def __init__(self, text: str, code: str = "no_picture") -> None:
        super().__init__(text)
        self.code = code


def content_of(path: Path) -> bytes:
    """What a file holds; - is standard input.

    Raises:
        OSError: it cannot be read.
        PictureError: it is too large, or a device that gives bytes without end.
    """
    with nullcontext(sys.stdin.buffer) if str(path) == "-" else path.open("rb") as file:
        content = file.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise PictureError(f"more than {MAX_FILE:,} bytes, or a device that has no end; wanted a picture")
    return content


def is_small(content: bytes) -> bool:
    """Whether read_picture takes only a few milliseconds for this file, as for a drawing from a screen."""
    try:
        return len(content) <= 100_000 and max(Image.open(io.BytesIO(content), formats=FORMATS).size) <= WORKING_SIDE
    except Exception:  # read_picture refuses it quickly and gives the reason
        return True


def decode(content: bytes) -> Image.Image:
    """Decode a picture file: the first page or frame, upright, in RGB, at most WORKING_SIDE pixels a side.

    Of the result, `info["pages"]` is how many pages or frames the file has, `info["scale"]` how many of its pixels a
    pixel stands for along a side.

    Raises:
        PictureError: as read_picture, except for missing ink.
    """
    if content.startswith(b"\xff\xd8") and _scans(content) > MAX_SCANS:
        raise PictureError(f"the JPEG file has more than {MAX_SCANS} scans; save the picture again in a usual way")
    try:
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise PictureError(f"the picture is too large, wanted at most {MAX_PIXELS:,} pixels") from error
    except Exception as error:
        if content[4:8] == b"ftyp" and content[8:12] in HEIC_BRANDS and "HEIF" not in FORMATS:
            raise PictureError(
                "a HEIC file, which needs pillow-heif; pip install pillow-heif, or send a JPEG"
            ) from error
        if kind := next((kind for start, kind in STARTS.items() if content.startswith(start)), None):
            raise PictureError(f"a {kind} file that is damaged or of a kind that cannot be read") from error
        raise PictureError("not a picture that can be read; wanted PNG, JPEG, WebP, AVIF, BMP, GIF or TIFF") from error
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise PictureError(f"the picture has {width}x{height} pixels, wanted at most {MAX_PIXELS:,}")
    if min(width, height) < MIN_SIDE:
        raise PictureError(f"the picture has {width}x{height} pixels, wanted at least {MIN_SIDE}x{MIN_SIDE}")
    try:
        pages = _pages(picture)
        picture.draft("RGB", (WORKING_SIDE, WORKING_SIDE))  # a smaller JPEG decodes much faster
        ImageOps.exif_transpose(picture, in_place=True)
        result = _to_rgb(picture)
    except PictureError:
        raise
    except Exception as error:  # decoders raise many kinds of error on a damaged file
        raise PictureError(f"the {picture.format} file is damaged or of a kind that cannot be read") from error
    if max(width, height) <= MIN_SIDE and np.asarray(result).max() <= SIXTEEN:
        result = result.point(lambda level: level * 255 // SIXTEEN)
    result.info |= {"pages": pages, "scale": max(width, height) / max(result.size)}
    return result


def _scans(content: bytes) -> int:
    """Count the scans of a JPEG file, each of which is another pass over all pixels."""
    at, scans = 2, 0
    while (marker := MARKER.search(content, at)) and marker[1] != b"\xd9":
        scans += marker[1] == b"\xda"
        at = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2], "big")
    return scans


def _pages(picture: Image.Image) -> int:
    """Count the pages or frames of a file, and go back to the first."""
    if picture.format != "TIFF":
        return 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)  # a phone's MPO: the rest is its depth
    with suppress(EOFError):
        for page in range(MAX_PAGES + 1):
            picture.seek(page)
        raise PictureError(f"the TIFF file has more than {MAX_PAGES:,} pages; save the page to be read alone")
    picture.seek(0)
    return page


def _to_rgb(picture: Image.Image) -> Image.Image:
    """Convert any mode to RGB."""
    if picture.mode.startswith(("I", "F")):
        return Image.fromarray(_to_bytes(np.asarray(_reduced(picture.convert("F"))))).convert("RGB")
    if picture.has_transparency_data:
        return Image.fromarray(_opaque(np.asarray(_reduced(picture.convert("RGBA").convert("RGBa")))))
    return _reduced(picture if picture.mode == "RGB" else picture.convert("RGB"))


def _to_bytes(grey: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Stretch values of 16 bits or more to 0..255: the file does not say which value is white.

    The few highest and lowest do not count: a pixel of a camera may be broken.
    """
    grey = np.nan_to_num(grey, posinf=0, neginf=0)
    few = 1 + grey.size // 2000
    ordered = np.partition(grey.ravel(), (few, grey.size - 1 - few))
    low, high = ordered[few], ordered[-1 - few]
    return np.rint(255 * ((grey - low) / max(high - low, 1e-9)).clip(0, 1)).astype(np.uint8)


def _opaque(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Fill the transparent parts of a picture, [H, W, 4] with colours multiplied by alpha: [H, W, 3].

    Round strokes they become white or black, whichever differs more from the strokes. Round a sheet, whose rim has one
    colour and whose inside has others, they become this colour.
    """
    colours, alpha = pixels[..., :3], pixels[..., 3:]
    solid = alpha[..., 0] > SOLID
    inside = cv2.erode(np.pad(solid.view(np.uint8), 1), np.ones((3, 3), np.uint8))[1:-1, 1:-1] > 0
    inner, rim = (colours[place] * 255.0 / alpha[place] for place in (inside, solid & ~inside))
    is_bright = colours.sum(dtype=np.int64) > 1.5 * alpha.sum(dtype=np.int64)
    behind = np.zeros(3) if is_bright else np.full(3, 255.0)
    if len(inner) and _span(inner, 0.001) > SHEET_SPAN and _span(rim, 0.1) < RIM_SPAN:
        behind = np.median(rim, axis=0)
    return np.rint(colours + (1 - alpha / 255) * behind).astype(np.uint8)


def _span(colours: NDArray[np.floating], rest: float) -> float:
    """From the darkest to the brightest of colours [N, 3], without this share of them at either end."""
    low, high = np.quantile(colours.mean(axis=1), (rest, 1 - rest))
    return float(high - low)


def _reduced(picture: Image.Image) -> Image.Image:
    scale = min(1, WORKING_SIDE / max(picture.size))
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BOX)
