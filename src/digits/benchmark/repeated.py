"""MNIST over and over: a larger data set, to see how training grows."""

from dataclasses import replace
from typing import Any

import torch

from digits.data.datamodule import Splits
from digits.data.mnist import Mnist
from digits.ranges import Count


class RepeatedMnist(Mnist):
    """As many training digits as wanted; the test split stays as it is.

    Args:
        samples: of the training split, validation included.
        options: those of Mnist.
    """

    name = "repeated_mnist"

    def __init__(self, samples: Count, **options: Any) -> None:
        super().__init__(**options)
        self.samples = samples

    def read(self) -> Splits:
        """Read MNIST and take its training digits from the front, again and again."""
        splits = super().read()
        taken = torch.arange(self.samples) % len(splits.train_labels)
        return replace(splits, train_images=splits.train_images[taken], train_labels=splits.train_labels[taken])
