"""Decode picture files of many kinds to one: upright, in RGB, not too large."""

import io
import warnings
from contextlib import suppress

import numpy as np
from PIL import Image, ImageOps

from plain_errors import DataError

FORMATS = ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"]
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1")  # the bytes 8 to 12 of a file that starts with ftyp
MIN_SIDE, MAX_PIXELS = 8, 50_000_000
WORKING_SIDE = 512  # pixels; larger pictures are reduced to this longest side first

with suppress(ImportError):  # the extra `heic` is not installed; decode() says so when such a file comes
    from pillow_heif import register_heif_opener

    register_heif_opener()
    FORMATS.append("HEIF")

# decode() refuses pictures above MAX_PIXELS itself, so Pillow's warning about them would be a second message.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
Image.core.set_blocks_max(4)  # Pillow keeps 4 blocks of 16 MB for reuse: new memory costs a fifth of the time


class PictureError(DataError):
    """A picture cannot be decoded, or what it shows cannot be one digit or a number; `code` says which to programs."""

    def __init__(self, text: str, code: str = "no_picture") -> None:
        super().__init__(text)
        self.code = code


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
