"""Convolutional network that is soon done with a picture."""

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import nn

from digits.errors import ConfigError
from digits.models.network import Network
from digits.ranges import Count

Layer = Annotated[list[Count], Field(min_length=3, max_length=3)]


class LeNet(Network):
    """Convolutions without padding, and one linear layer over all that is left of the picture.

    Less is computed than in a CNN of the same width. After Y. LeCun et al., "Gradient-based learning applied to
    document recognition", 1998.

    Args:
        layers: of each convolution its channels, its kernel's side and that of the squares then pooled to their largest
            value (1 pools nothing); the image of 28 pixels has to outlast them. A kernel over all that is left of it
            makes a hidden layer of `channels`.
        options: those of Network.
    """

    def __init__(self, layers: Annotated[list[Layer], Field(min_length=1)], **options: Any) -> None:
        super().__init__(**options)
        net: list[nn.Module] = []
        width, side = 1, 28
        for channels, kernel, pooled in layers:
            if kernel + pooled - 1 > side:
                raise ConfigError(
                    f"model.layers: a kernel of {kernel}, pooled by {pooled}, where {side} pixels are left; take less"
                )
            if kernel == side:  # the same as a linear layer, which a CPU works out several times as fast
                net += [nn.Flatten(), nn.Linear(width * side**2, channels, bias=False), nn.BatchNorm1d(channels)]
            else:
                pool = [nn.MaxPool2d(pooled)] if pooled > 1 else []
                net += [nn.Conv2d(width, channels, kernel, bias=False), *pool, nn.BatchNorm2d(channels)]
            net.append(nn.ReLU())
            width, side = channels, (side - kernel + 1) // pooled
        self.net = nn.Sequential(*net, nn.Flatten(), nn.Linear(width * side**2, len(self.hparams["classes"])))
        self.net.to(memory_format=torch.channels_last)  # as in CNN
