"""Pictures as another hand or another pen might have drawn them."""

import math

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
    slant = slant.tan()
    cos, sin = angle.cos() / scale, angle.sin() / scale
    # where each pixel comes from: first shifted back, then turned, slanted and zoomed
    matrix = torch.stack([cos, cos * slant - sin, sin, sin * slant + cos], dim=1).view(-1, 2, 2)
    shift = 2 * shift[..., None]  # affine_grid counts from -1 to 1, so a share of the side counts double
    grid = F.affine_grid(torch.cat([matrix, matrix @ shift], dim=2), list(images.shape), align_corners=False)
    if net is not None:
        grid = grid + 2 * _between_knots(net, images.shape[2:])
    return F.grid_sample(images, grid, align_corners=False)


def _between_knots(net: Tensor, size: torch.Size) -> Tensor:
    """Bicubic interpolation from [N, 2, KNOTS, KNOTS] to [N, H, W, 2]."""
    # a knot's part in the field is always the same, so the whole batch is one product: ten times as fast
    knots = torch.eye(KNOTS**2, device=net.device).view(-1, 1, KNOTS, KNOTS)
    parts = F.interpolate(knots, size=list(size), mode="bicubic", align_corners=False).view(KNOTS**2, -1, 1)
    along_axis = parts * torch.eye(2, device=net.device).view(2, 1, 1, 2)  # [2, knots, H * W, 2]
    return (net.flatten(1) @ along_axis.flatten(2).flatten(0, 1)).view(-1, *size, 2)
