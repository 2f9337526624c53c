"""Nearest class mean: which ideal digit is a picture most like?

The first exercise of J. Howard and S. Gugger, "Deep Learning for Coders with fastai and PyTorch", 2020, chapter 4,
there for 3 and 7.
"""

from typing import Literal

import torch
from torch import Tensor

from digits.models.closed_form import ClosedForm
from digits.ranges import Classes


class PixelSimilarity(ClosedForm):
    """The class whose mean image is nearest.

    Args:
        classes: the digits the logits stand for, in their order.
        distance: `l1`, mean absolute difference of pixels, or `l2`, root of the mean squared difference.
    """

    means: Tensor

    def __init__(self, classes: Classes, distance: Literal["l1", "l2"] = "l1") -> None:
        super().__init__(classes=classes)
        self.register_buffer("means", torch.zeros(len(classes), 28 * 28))

    def solve(self, images: Tensor, labels: Tensor) -> None:
        """Mean image of each class, [classes, 784]."""
        pixels = images.flatten(1).double()
        self.means = torch.stack([pixels[labels == label].mean(dim=0) for label in range(len(self.means))]).float()

    def ideals(self) -> Tensor:
        """The means."""
        return self.means.view(-1, 28, 28)

    def scores(self, images: Tensor) -> Tensor:
        """Distances to the means, negated."""
        difference = images.flatten(1)[:, None] - self.means
        if self.hparams["distance"] == "l1":
            return -difference.abs().mean(dim=2)
        return -difference.square().mean(dim=2).sqrt()
