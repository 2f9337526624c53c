"""Multi-layer perceptron."""

from typing import Any

from torch import nn

from digits.models.network import Network
from digits.ranges import Count, Fraction


class MLP(Network):
    """Fully connected layers with ReLU between them.

    Args:
        hidden: number of units of each hidden layer.
        dropout: fraction of hidden units that training sets to zero.
        options: those of Network.
    """

    def __init__(self, hidden: list[Count], dropout: Fraction = 0.0, **options: Any) -> None:
        super().__init__(**options)
        layers: list[nn.Module] = [nn.Flatten()]
        width = 28 * 28
        for units in hidden:
            layers += [nn.Linear(width, units), nn.ReLU(), nn.Dropout(dropout)]
            width = units
        self.net = nn.Sequential(*layers, nn.Linear(width, len(self.hparams["classes"])))
