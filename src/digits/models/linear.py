"""One weight a pixel and class: softmax regression."""

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

    def ideals(self) -> Tensor:
        """The weights, less their mean over the classes, which speaks for none of them."""
        weights = self.sums.weight.detach()
        return (weights - weights.mean(dim=0)).view(-1, 28, 28)
