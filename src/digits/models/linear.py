"""Softmax regression: one weight for each pixel and class."""

from typing import Any

from torch import Tensor, nn

from digits.models.network import Network


class Linear(Network):
    """Logits are weighted sums of the 784 pixels.

    Args:
        options: those of Network.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.sums = nn.Linear(28 * 28, len(self.hparams["classes"]))
        self.net = nn.Sequential(nn.Flatten(), self.sums)

    def class_images(self) -> Tensor:
        """The weights [classes, 28, 28], minus their mean over the classes, which favours no class."""
        weights = self.sums.weight.detach()
        return (weights - weights.mean(dim=0)).view(-1, 28, 28)
