"""1,797 digits that come with scikit-learn, written by other people than MNIST's.

Source: E. Alpaydin, C. Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning Repository, 1998.
"""

import hashlib
from typing import ClassVar

import numpy as np
import torch
from sklearn.datasets import load_digits

from digits.data.by_content import TEST_SHARE, chosen_by_content
from digits.data.datamodule import DigitsData, Splits
from digits.data.mnist_form import in_mnist_form


class SklearnDigits(DigitsData):
    """8x8 counts of ink from 0 to 16, brought to 0..255 and into the form of MNIST's images.

    No test split comes with them. A fifth, 385 digits, is the test split, chosen by the pixels of each digit.
    """

    name = "sklearn_digits"
    test_split = "one fifth of scikit-learn's 1,797 digits, chosen by their pixels"
    train_total: ClassVar[int | None] = 1_412

    def read(self) -> Splits:
        """Read the digits that come with scikit-learn, and scale them."""
        found = load_digits()
        small = np.round(found.images * (255 / 16)).astype(np.uint8)
        images = torch.from_numpy(np.stack([in_mnist_form(image) for image in small]))[:, None]
        labels = torch.from_numpy(found.target).long()
        is_test = torch.from_numpy(chosen_by_content(small, TEST_SHARE))
        sha256 = hashlib.sha256(small.tobytes() + found.target.astype(np.uint8).tobytes()).hexdigest()
        return Splits(images[~is_test], labels[~is_test], images[is_test], labels[is_test], sha256)
