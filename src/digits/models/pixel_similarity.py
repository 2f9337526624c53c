"""Nearest class mean: the class whose mean image is most like the image.

The first exercise of J. Howard and S. Gugger, "Deep Learning for Coders with fastai and PyTorch", 2020, chapter 4,
there for 3 and 7 only.
"""

from typing import Literal

import torch
from torch import Tensor

from digits.models.closed_form import ClosedForm
from digits.ranges import Classes


class PixelSimilarity(ClosedForm):
    """Scores are distances to the mean image of each class, negated.

    Args:
        classes: the digits that the logits stand for, in the order of the logits.
        distance: `l1`, the mean absolute difference of pixels, or `l2`, the root of the mean squared difference.
    """

    means: Tensor  # float32 [classes, 784]

    def __init__(self, classes: Classes, distance: Literal["l1", "l2"] = "l1") -> None:
        super().__init__(classes=classes)
        self.register_buffer("means", torch.zeros(len(classes), 28 * 28))

    def solve(self, images: Tensor, labels: Tensor) -> None:
        """Compute the mean image of each class."""
        pixels = images.flatten(1).double()
        self.means = torch.stack([pixels[labels == label].mean(dim=0) for label in range(len(self.means))]).float()

    def class_images(self) -> Tensor:
        """The mean images, [classes, 28, 28] in 0..1."""
        return self.means.view(-1, 28, 28)

    def scores(self, images: Tensor) -> Tensor:
        """Images float32 [N, 1, 28, 28] to negated distances [N, classes]."""
        # A single Reshape: some engines that read the ONNX file are wrong with a new axis.
        difference = images.reshape(-1, 1, self.means.shape[1]) - self.means
        if self.hparams["distance"] == "l1":
            return -difference.abs().mean(dim=2)
        return -difference.square().mean(dim=2).sqrt()
