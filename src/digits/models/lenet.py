"""Convolutional network that is over the picture in few, large strides."""

from typing import Annotated, Any

from pydantic import Field
from torch import nn

from digits.errors import ConfigError
from digits.models.network import Network
from digits.ranges import Count

Layer = Annotated[list[Count], Field(min_length=3, max_length=3)]


class LeNet(Network):
    """Convolutions without padding or pooling, and one linear layer over all that is left of the picture.

    Less is computed than in CNN: for short trainings. After Y. LeCun et al., "Gradient-based learning applied to
    document recognition", 1998.

    Args:
        layers: channels, kernel and stride of each convolution; the image of 28 pixels has to outlast them.
        options: those of Network.
    """

    def __init__(self, layers: Annotated[list[Layer], Field(min_length=1)], **options: Any) -> None:
        super().__init__(**options)
        net: list[nn.Module] = []
        width, side = 1, 28
        for channels, kernel, stride in layers:
            if kernel > side:
                raise ConfigError(f"model.layers: a kernel of {kernel} where {side} pixels are left; take less")
            net += [nn.Conv2d(width, channels, kernel, stride, bias=False), nn.BatchNorm2d(channels), nn.GELU()]
            width, side = channels, (side - kernel) // stride + 1
        self.net = nn.Sequential(*net, nn.Flatten(), nn.Linear(width * side**2, len(self.hparams["classes"])))
