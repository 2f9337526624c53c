"""Drawings people gave, as training data."""

from contextlib import closing
from pathlib import Path

import torch
from torch import Tensor

from digits.serving.drawings import Drawings


def read_drawings(path: Path) -> tuple[Tensor, Tensor]:
    """Images uint8 [N, 1, 28, 28] (ink 255, paper 0) and labels int64 [N] of a file of drawings, the oldest first.

    Raises:
        DataError: it is not there, or no such file.
    """
    with closing(Drawings(path)) as file:
        drawings = file.all()
    pixels = bytearray(b"".join(drawing.image for drawing in drawings))
    images = torch.frombuffer(pixels, dtype=torch.uint8) if pixels else torch.empty(0, dtype=torch.uint8)
    return images.reshape(-1, 1, 28, 28), torch.tensor([drawing.label for drawing in drawings], dtype=torch.int64)
