"""A test split that does not change when digits are added: whether a digit belongs to it, its own pixels decide."""

import hashlib

import numpy as np
from numpy.typing import NDArray

TEST_SHARE = 0.2


def chosen_by_content(images: NDArray[np.uint8], share: float) -> NDArray[np.bool_]:
    """Which of images [N, …] are chosen, bool [N]: about this share of them, and the same ones in any order or number.

    Equal images are chosen together, so a digit that is there twice is not in both splits.
    """
    numbers = [int.from_bytes(hashlib.sha256(image.tobytes()).digest()[:4]) for image in images]
    return np.array(numbers, np.int64) < share * 2**32
