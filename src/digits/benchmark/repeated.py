"""MNIST over and over: a larger data set, to see how training grows."""

from dataclasses import replace
from typing import Any

import torch

from digits.data.datamodule import Source
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

    def read(self) -> Source:
        """Read MNIST and take its training digits from the front, again and again."""
        source = super().read()
        taken = torch.arange(self.samples) % len(source.train_labels)
        return replace(source, train_images=source.train_images[taken], train_labels=source.train_labels[taken])
