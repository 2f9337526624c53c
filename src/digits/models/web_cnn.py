"""The convolutional network of a widely copied web tutorial."""

from typing import Any

import torch
from torch import nn

from digits.models.network import Network


class WebCNN(Network):
    """Five convolutions with batch normalisation in three groups, each ending with pooling and dropout; 256 units.

    Args:
        options: those of Network; the tutorial's dropouts are fixed.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)

        def convolution(width: int, channels: int) -> list[nn.Module]:
            return [nn.Conv2d(width, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]

        self.net = nn.Sequential(
            *(*convolution(1, 32), *convolution(32, 32), nn.MaxPool2d(2), nn.Dropout(0.20)),  # [N, 32, 14, 14]
            *(*convolution(32, 64), *convolution(64, 64), nn.MaxPool2d(2), nn.Dropout(0.25)),  # [N, 64, 7, 7]
            *(*convolution(64, 128), nn.MaxPool2d(2), nn.Dropout(0.30)),  # [N, 128, 3, 3]
            *(nn.Flatten(), nn.Linear(128 * 3 * 3, 256), nn.ReLU(), nn.Dropout(0.35)),  # [N, 256]
            nn.Linear(256, len(self.hparams["classes"])),
        )
        self.net.to(memory_format=torch.channels_last)  # as in CNN
