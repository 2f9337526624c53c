"""The convolutional network of a widely copied web tutorial: batch norm after each convolution, much dropout."""

from typing import Any

import torch
from torch import nn

from digits.models.network import Network


class WebCNN(Network):
    """Two convolutions of 32 channels, two of 64, one of 128, each group pooled; then 256 units.

    Args:
        options: those of Network; its dropouts are part of what it is.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)

        def convolution(width: int, channels: int) -> list[nn.Module]:
            return [nn.Conv2d(width, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]

        self.net = nn.Sequential(
            *(*convolution(1, 32), *convolution(32, 32), nn.MaxPool2d(2), nn.Dropout(0.20)),  # 28 to 14 pixels
            *(*convolution(32, 64), *convolution(64, 64), nn.MaxPool2d(2), nn.Dropout(0.25)),  # to 7
            *(*convolution(64, 128), nn.MaxPool2d(2), nn.Dropout(0.30)),  # to 3
            *(nn.Flatten(), nn.Linear(128 * 3 * 3, 256), nn.ReLU(), nn.Dropout(0.35)),
            nn.Linear(256, len(self.hparams["classes"])),
        )
        self.net.to(memory_format=torch.channels_last)
