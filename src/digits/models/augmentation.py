"""Pictures as another hand or another pen might have drawn them."""

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from digits.ranges import Degrees, Fraction

KNOTS = 4  # a side, of the net that bends a picture


class RandomChange:
    """Changes a whole batch at once, each image by its own amounts.

    Args:
        rotation: largest turn to either side, degrees.
        shift: largest shift along each axis, as a share of the image's side.
        zoom: largest change of size; 0.1 means 90 to 110 %.
        shear: largest slant to either side, degrees.
        thickness: how far strokes get thicker or thinner at most; 1 would be by a pixel on each side.
        bend: largest shift of a knot of the net that bends the image, as a share of the image's side.
    """

    def __init__(
        self,
        rotation: Degrees = 0.0,
        shift: Fraction = 0.0,
        zoom: Fraction = 0.0,
        shear: Degrees = 0.0,
        thickness: Fraction = 0.0,
        bend: Fraction = 0.0,
    ) -> None:
        self.rotation, self.shear = math.radians(rotation), math.radians(shear)
        self.shift, self.zoom, self.thickness, self.bend = shift, zoom, thickness, bend

    def __call__(self, images: Tensor) -> Tensor:
        """Images float32 [N, 1, H, W] in 0..1 to the same; what comes in from outside is paper (0)."""

        def uniform(largest: float, *shape: int) -> Tensor:
            return torch.empty(len(images), *shape, device=images.device).uniform_(-largest, largest)

        angle, slant, scale = uniform(self.rotation), uniform(self.shear), 1 + uniform(self.zoom)
        shift = uniform(self.shift, 2)
        if self.thickness:
            images = thicken(images, uniform(self.thickness))
        return warp(images, angle, slant, scale, shift, uniform(self.bend, 2, KNOTS, KNOTS) if self.bend else None)


def thicken(images: Tensor, amount: Tensor) -> Tensor:
    """Grow or shrink strokes by up to a pixel on each side.

    That is grey-scale dilation and erosion: J. Serra, "Image analysis and mathematical morphology", 1982.

    Args:
        images: float32 [N, 1, H, W] in 0..1, ink 1.
        amount: float32 [N] in -1..1; above 0 strokes get thicker, below thinner.

    Returns:
        Images like those that came in, with other strokes.
    """

    def dilated(flat: Tensor) -> Tensor:
        return F.max_pool2d(flat, 3, stride=1, padding=1)

    # the batch as channels_last channels of one image, over which the CPU's pooling is vectorised: eight times as fast
    flat, amount = images.transpose(0, 1).contiguous(memory_format=torch.channels_last), amount.view(1, -1, 1, 1)
    sign = amount.sign()
    extreme = sign * dilated(sign * flat)  # erosion is the dilation of the negative
    # a hairline, which erosion would wipe out, stays; of what grew, nothing is left to keep
    extreme = torch.maximum(extreme, flat - dilated(extreme))
    return flat.lerp(extreme, amount.abs()).transpose(0, 1).contiguous()


def warp(
    images: Tensor, angle: Tensor, slant: Tensor, scale: Tensor, shift: Tensor, net: Tensor | None = None
) -> Tensor:
    """Turn, slant, zoom, shift and bend with one resampling; what comes in from outside is paper (0).

    The bend is the elastic distortion of P. Simard et al., "Best practices for convolutional neural networks applied
    to visual document analysis", 2003, with knots between which the field is bicubic in place of smoothed noise.

    Args:
        images: float32 [N, 1, H, W] in 0..1.
        angle: float32 [N], radians.
        slant: float32 [N], radians.
        scale: float32 [N], 1 leaves the size.
        shift: float32 [N, 2] along x and y, as a share of the side.
        net: float32 [N, 2, KNOTS, KNOTS], how far off each knot is read, in shares of the side; None for no bend.
    """
    height, width = images.shape[2:]
    with torch.autocast(images.device.type, enabled=False):  # bfloat16 would round to a twentieth of a pixel
        slant = slant.tan()
        cos, sin = angle.cos() / scale, angle.sin() / scale
        # where each pixel comes from: first shifted back, then turned, slanted and zoomed
        matrix = torch.stack([cos, cos * slant - sin, sin, sin * slant + cos], dim=1).view(-1, 2, 2)
        weights = [matrix, matrix @ shift[..., None]] + ([] if net is None else [net.flatten(2)])
        fields = _fields(height, width, images.device)
        # all changes of all images are one product: a quarter of the time of affine_grid and interpolate
        grid = torch.cat(weights, dim=2) @ fields[: 3 if net is None else None]
    return F.grid_sample(images, grid.view(-1, 2, height, width).permute(0, 2, 3, 1), align_corners=False)


@cache
def _fields(height: int, width: int, device: torch.device) -> Tensor:
    """What a position is made up of, in grid_sample's units (-1 to 1), [3 + KNOTS**2, height * width].

    Its own x and y; a shift by a side, which counts double from -1 to 1; and each knot's part, bicubic.
    """
    y, x = (torch.arange(side, device=device).add(0.5) * 2 / side - 1 for side in (height, width))
    y, x = torch.meshgrid(y, x, indexing="ij")
    knots = torch.eye(KNOTS**2, device=device).view(-1, 1, KNOTS, KNOTS)
    parts = F.interpolate(knots, size=[height, width], mode="bicubic", align_corners=False).squeeze(1)
    ones = torch.ones_like(x)
    return torch.cat([torch.stack([x, y, 2 * ones]), 2 * parts]).flatten(1)
