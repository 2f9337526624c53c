"""Drawings that people made on the web page, as training images."""

from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from digits_reader.drawings import Drawings


def read_drawings(path: Path) -> tuple[Tensor, Tensor]:
    """Read a file of drawings: images uint8 [N, 1, 28, 28] (ink 255, paper 0) and labels int64 [N], oldest first.

    Raises:
        DataError: the file is missing or is no file of drawings.
    """
    with closing(Drawings(path)) as file:
        drawings = file.all()
    pixels = np.frombuffer(b"".join(drawing.image for drawing in drawings), np.uint8).reshape(-1, 1, 28, 28)
    return torch.tensor(pixels), torch.tensor([drawing.label for drawing in drawings], dtype=torch.int64)
