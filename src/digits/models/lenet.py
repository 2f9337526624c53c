"""Convolutional network without padding: it needs little computation for each image."""

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import nn

from digits.models.network import Network
from digits.ranges import Count
from plain_errors import ConfigError

Layer = Annotated[list[Count], Field(min_length=3, max_length=3)]


class LeNet(Network):
    """Convolutions without padding, then one linear layer on all remaining pixels of all channels.

    Without padding, images shrink in each layer, so less is computed than in a CNN of the same width. After Y. LeCun
    et al., "Gradient-based learning applied to document recognition", 1998.

    Args:
        layers: [channels, kernel, pool] of each convolution: its output channels, the side of its kernel, and the side
            of the squares of which max pooling keeps one value (1 for no pooling). A kernel as large as the image
            that reaches it makes a fully connected layer of `channels` units.
        options: those of Network.

    Raises:
        ConfigError: a layer needs more pixels than the layers before it leave.
    """

    def __init__(self, layers: Annotated[list[Layer], Field(min_length=1)], **options: Any) -> None:
        super().__init__(**options)
        modules: list[nn.Module] = []
        width, side = 1, 28
        for channels, kernel, pool in layers:
            if kernel + pool - 1 > side:
                raise ConfigError(
                    f"model.layers: a kernel of {kernel}, pooled by {pool}, but only {side} pixels are left; take less"
                )
            if kernel == side:  # A linear layer computes the same, several times as fast on a CPU.
                modules += [nn.Flatten(), nn.Linear(width * side**2, channels, bias=False), nn.BatchNorm1d(channels)]
            else:
                pooling = [nn.MaxPool2d(pool)] if pool > 1 else []
                modules += [nn.Conv2d(width, channels, kernel, bias=False), *pooling, nn.BatchNorm2d(channels)]
            modules.append(nn.ReLU())
            width, side = channels, (side - kernel + 1) // pool
        self.net = nn.Sequential(*modules, nn.Flatten(), nn.Linear(width * side**2, len(self.hparams["classes"])))
        self.net.to(memory_format=torch.channels_last)  # as in CNN
