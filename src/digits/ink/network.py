"""The ink network: for each pixel of a picture, whether a pen has touched it. A small U-Net.

O. Ronneberger et al., "U-Net", 2015; separable convolutions: A. Howard et al., "MobileNets", 2017.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DIVISOR = 16  # height and width of the pictures must be multiples of this
WINDOW = 28  # pixels; the contrast is measured in a square of this side


class InkNet(nn.Module):
    """Pictures float32 [N, 3, H, W], 0 to 1, to logits [N, 1, H, W]: positive where there is ink.

    Args:
        widths: channels at a half, a quarter, an eighth and a sixteenth of the picture's side.
    """

    def __init__(self, widths: tuple[int, int, int, int] = (16, 32, 48, 64)) -> None:
        super().__init__()
        a, b, c, d = widths
        self.level_2 = nn.Sequential(_conv(16, a), _conv(a, a))
        self.level_4 = nn.Sequential(_conv(a, b, stride=2), _conv(b, b))
        self.level_8 = nn.Sequential(_conv(b, c, stride=2), _Separable(c), _Separable(c))
        self.level_16 = nn.Sequential(_conv(c, d, stride=2, groups=16), *(_Separable(d) for _ in range(3)))
        self.whole = nn.Conv2d(d, d, 1)  # of the mean over the picture
        self.up = nn.ModuleList(nn.Conv2d(*pair, 1) for pair in ((d, c), (c, b), (b, a)))
        self.join = nn.ModuleList([_Separable(c), _conv(b, b), _conv(a, a)])
        self.out = nn.Conv2d(a, 4, 3, padding=1)

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        a = self.level_2(F.pixel_unshuffle(_seen(pictures), 2))
        b = self.level_4(a)
        c = self.level_8(b)
        x = self.level_16(c)
        x = x + self.whole(x.mean(dim=(2, 3), keepdim=True))
        for skip, up, join in zip((c, b, a), self.up, self.join, strict=True):
            x = join(skip + F.interpolate(up(x), scale_factor=2.0, mode="nearest"))
        return F.pixel_shuffle(self.out(x), 2)


def _seen(pictures: Tensor) -> Tensor:
    """Add a channel: how much darker or lighter a pixel is than those round it, against their usual difference."""
    grey = pictures.mean(dim=1, keepdim=True)
    difference = grey - _around(grey)
    usual = _around(difference.abs())
    overall = difference.abs().mean(dim=(2, 3), keepdim=True)
    contrast = difference / (usual + 0.3 * overall + 0.004)
    return torch.cat([pictures - grey.mean(dim=(2, 3), keepdim=True), 0.3 * contrast], dim=1)


def _around(x: Tensor) -> Tensor:
    """The mean of a square of about WINDOW pixels round each pixel, as far as it lies on the picture."""
    small = F.avg_pool2d(F.avg_pool2d(x, 4), WINDOW // 4, 1, WINDOW // 8, count_include_pad=False)
    return F.interpolate(small, scale_factor=4.0, mode="bilinear")


def _conv(inputs: int, outputs: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, stride, 1, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class _Separable(nn.Module):
    """A 5x5 convolution of each channel, then one across channels; added to its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.steps = nn.Sequential(
            nn.Conv2d(channels, channels, 5, padding=2, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        return x + self.steps(x)
