"""Drawings that people made on the web page, as training images."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from plain_errors import DataError


def read_drawings(folder: Path) -> tuple[Tensor, Tensor]:
    """Read pictures 7/<name>.png: images uint8 [N, 1, 28, 28] (ink 255, paper 0), labels int64 [N], by digit and name.

    Raises:
        DataError: there is no such folder, or a file in it is no picture of 28x28.
    """
    folder = folder.expanduser()
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; wanted one of drawings like 7/name.png")
    paths = sorted(folder.glob("[0-9]/*.png"))
    images = torch.empty((len(paths), 1, 28, 28), dtype=torch.uint8)
    for image, path in zip(images, paths, strict=True):
        try:
            with Image.open(path) as picture:
                pixels = np.array(picture.convert("L"))
        except (OSError, SyntaxError) as error:  # Pillow's of a damaged file
            raise DataError(f"{path}: not a picture that can be read") from error
        if pixels.shape != (28, 28):
            raise DataError(f"{path}: {pixels.shape[1]}x{pixels.shape[0]} pixels, wanted 28x28, ink white on black")
        image[0] = torch.from_numpy(pixels)
    return images, torch.tensor([int(path.parent.name) for path in paths], dtype=torch.int64)
