"""One's own pictures of digits in folders."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digits.data.mnist_form import SIDE
from digits.data.own import OwnDigits
from digits.data.parts import Part, as_labels
from digits.ranges import Text
from plain_errors import DataError

PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
SPLITS = [("train", "test"), ("training", "testing")]
TOLD = 3  # names in a message


class Folder(OwnDigits):
    """Pictures of 28x28 pixels in folders named by their label, like 7/a.png, or named by their digit, like 7_a.png.

    Two folders, train and test or training and testing, each with such pictures, are the splits.

    Args:
        folder: the folder.
    """

    def __init__(self, folder: Text, **options: Any) -> None:
        super().__init__(folder, **options)

    def parts(self) -> list[Part]:
        """Read the pictures of one or both splits."""
        if not self.source.is_dir():
            raise DataError(f"{self.source}: no such folder; wanted one of pictures like 7/a.png, data.folder names it")
        names = {path.name for path in _folders(self.source)}
        splits = next((pair for pair in SPLITS if set(pair) == names), None)
        return [_read(self.source / split) for split in splits] if splits else [_read(self.source)]


def _read(folder: Path) -> Part:
    """All pictures of a folder; DataError: there are none, or some cannot be used."""
    labels = {path: _digit(path.name) for path in _pictures(folder)}
    for inner in _folders(folder):
        labels |= dict.fromkeys(_pictures(inner), inner.name)
    if not labels:
        raise DataError(f"{folder}: no pictures; wanted them like 7/a.png or 7_a.png ({', '.join(sorted(PICTURES))})")
    if wrong := [path for path, label in labels.items() if not label]:
        raise DataError(
            f"{_counted(folder, wrong, len(labels))} no label; wanted them like 7/a.png or 7_a.png; letters and other "
            "labels only as A/a.png"
        )
    try:
        values = as_labels(np.array([*labels.values()]))
    except ValueError as error:
        raise DataError(f"{folder}: names of folders: {error}") from error
    images, mistakes = [], {}
    for path in labels:
        try:
            images.append(_pixels(path))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # Pillow's of a damaged file
            mistakes[path] = str(error) if isinstance(error, ValueError) else "is damaged"
    if mistakes:
        first, *_ = mistakes
        raise DataError(
            f"{_counted(folder, [*mistakes], len(labels))} to be mended or taken away: {first.name} {mistakes[first]}"
        )
    return Part(np.stack(images), values)


def _pixels(path: Path) -> NDArray[np.uint8]:
    """The grey values [28, 28] of a picture; what is transparent is white. ValueError: another size, or blank."""
    with Image.open(path) as picture:
        if picture.size != (SIDE, SIDE):
            raise ValueError(
                f"has {picture.width}x{picture.height} pixels, wanted {SIDE}x{SIDE}; "
                "digits prepare FOLDER INTO makes such"
            )
        if picture.has_transparency_data:
            paper = Image.new("RGBA", picture.size, "white")
            pixels = np.array(Image.alpha_composite(paper, picture.convert("RGBA")).convert("L"))
        else:
            pixels = np.array(picture.convert("L"))
    if pixels.min() == pixels.max():
        raise ValueError("is blank")
    return pixels


def _digit(name: str) -> str:
    """The digit that a name begins with; empty if there is none, or a longer number."""
    found = re.match(r"\d(?!\d)", name)
    return found[0] if found else ""


def _counted(folder: Path, wrong: list[Path], total: int) -> str:
    """How many pictures are wrong, with the names of the first few."""
    names = ", ".join(str(path.relative_to(folder)) for path in wrong[:TOLD]) + (" …" if len(wrong) > TOLD else "")
    return f"{folder}: {len(wrong)} of {total} pictures ({names}) have"


def _folders(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and path.name[0] != "."]


def _pictures(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.suffix.lower() in PICTURES and path.name[0] != "."]
