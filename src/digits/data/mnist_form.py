"""Pictures of any size in the form of MNIST's: the digit 20 pixels long, its centre of mass in the middle."""

import cv2
import numpy as np
from numpy.typing import NDArray

LONGEST, SIDE, MIDDLE = 20, 28, 14


def in_mnist_form(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Crop to the ink, scale its longer side to 20 pixels, and put its centre of mass on pixel (14, 14), as MNIST does.

    Args:
        image: [H, W], ink up to 255, paper 0. Without ink, the result is empty too.

    Returns:
        [28, 28].
    """
    left, top, width, height = cv2.boundingRect(image)
    whole = np.zeros((SIDE, SIDE), np.uint8)
    if width == 0:
        return whole
    scale = LONGEST / max(width, height)
    size = [max(1, round(side * scale)) for side in (width, height)]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    ink = cv2.resize(image[top : top + height, left : left + width], size, interpolation=how)
    # The centre of mass lies anywhere in 20 pixels, so the digit may have to stay off the middle to stay inside.
    rows, columns = (_start(ink.sum(axis=axis, dtype=np.float64)) for axis in (1, 0))
    whole[rows : rows + ink.shape[0], columns : columns + ink.shape[1]] = ink
    return whole


def _start(masses: NDArray[np.float64]) -> int:
    """Where the first of some rows or columns goes, so that their centre of mass is in the middle."""
    centre = np.average(np.arange(len(masses)), weights=masses)
    return int(np.clip(round(MIDDLE - centre), 0, SIDE - len(masses)))
