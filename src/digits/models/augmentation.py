"""Random changes of training images, as if another hand or another pen had drawn them."""

import math
from functools import cache
from typing import Unpack

import torch
import torch.nn.functional as F
from pydantic import ConfigDict, with_config
from torch import Tensor
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from digits.ranges import Degrees, Fraction

KNOTS = 4  # per side of the displacement grid


@with_config(ConfigDict(extra="forbid", strict=True))
class Augmentation(TypedDict, total=False):
    """The largest amount of each change; an amount that is left out is 0, which changes nothing."""

    rotation: Degrees  # to either side, in degrees
    shift: Fraction  # along each axis, as a fraction of the image's side
    zoom: Fraction  # as a fraction of the size: 0.1 means 90 to 110 %
    shear: Degrees  # slant to either side, in degrees
    thickness: Fraction  # what strokes gain or lose on each side, as a fraction of a pixel
    bend: Fraction  # displacement of a knot along each axis, as a fraction of the image's side


class RandomAugmentation:
    """Changes a whole batch at once, each image by its own random amounts.

    Args:
        amounts: the largest amounts, see Augmentation.
    """

    def __init__(self, **amounts: Unpack[Augmentation]) -> None:
        self.rotation, self.shear = math.radians(amounts.get("rotation", 0.0)), math.radians(amounts.get("shear", 0.0))
        self.shift, self.zoom = amounts.get("shift", 0.0), amounts.get("zoom", 0.0)
        self.thickness, self.bend = amounts.get("thickness", 0.0), amounts.get("bend", 0.0)

    def __call__(self, images: Tensor) -> Tensor:
        """Images float32 [N, 1, H, W] in 0..1 to changed images of the same shape and range."""

        def uniform(largest: float, *shape: int) -> Tensor:
            return torch.empty(len(images), *shape, device=images.device).uniform_(-largest, largest)

        angle, slant, scale = uniform(self.rotation), uniform(self.shear), 1 + uniform(self.zoom)
        shift = uniform(self.shift, 2)
        if self.thickness:
            images = thicken(images, uniform(self.thickness))
        displacements = uniform(self.bend, 2, KNOTS, KNOTS) if self.bend else None
        return warp(images, angle, slant, scale, shift, displacements)


def thicken(images: Tensor, amount: Tensor) -> Tensor:
    """Make strokes thicker or thinner by up to a pixel on each side.

    This is grey-scale dilation and erosion: J. Serra, "Image analysis and mathematical morphology", 1982.

    Args:
        images: float32 [N, 1, H, W] in 0..1, ink 1.
        amount: float32 [N] in -1..1; above 0 strokes get thicker, below 0 thinner.

    Returns:
        Images of the same shape and range.
    """

    def dilated(flat: Tensor) -> Tensor:
        return F.max_pool2d(flat, 3, stride=1, padding=1)

    # The batch becomes the channels of one image. In channels_last the CPU pools them eight times as fast.
    flat, amount = images.transpose(0, 1).contiguous(memory_format=torch.channels_last), amount.view(1, -1, 1, 1)
    sign = amount.sign()
    extreme = sign * dilated(sign * flat)  # erosion is the dilation of the negative
    # Erosion deletes a stroke of one or two pixels. What dilating the eroded image does not bring back is such a
    # stroke: keep it. After a dilation the difference is never positive, so this changes nothing.
    extreme = torch.maximum(extreme, flat - dilated(extreme))
    return flat.lerp(extreme, amount.abs()).transpose(0, 1).contiguous()


def warp(
    images: Tensor, angle: Tensor, slant: Tensor, scale: Tensor, shift: Tensor, displacement_grid: Tensor | None = None
) -> Tensor:
    """Rotate, shear, zoom, shift and bend images in one resampling; outside of an image everything is paper (0).

    The bend is the elastic distortion of P. Simard et al., "Best practices for convolutional neural networks applied
    to visual document analysis", 2003. Here bicubic interpolation between knots replaces their smoothed noise.

    Args:
        images: float32 [N, 1, H, W] in 0..1.
        angle: of the rotation, float32 [N], in radians.
        slant: of the shear, float32 [N], in radians.
        scale: float32 [N]; 1 keeps the size.
        shift: float32 [N, 2] along x and y, as a fraction of the side.
        displacement_grid: float32 [N, 2, KNOTS, KNOTS], how far from each knot, along x and y, its pixel is read, as
            a fraction of the side; None for no bend.

    Returns:
        Images of the same shape and range.
    """
    height, width = images.shape[2:]
    with torch.autocast(images.device.type, enabled=False):  # bfloat16 would round positions to a twentieth of a pixel
        slant = slant.tan()
        cos, sin = angle.cos() / scale, angle.sin() / scale
        # The position that each pixel is read from: first shifted back, then rotated, sheared and zoomed.
        matrix = torch.stack([cos, cos * slant - sin, sin, sin * slant + cos], dim=1).view(-1, 2, 2)
        weights = [matrix, matrix @ shift[..., None]]
        fields = basis_fields(height, width, images.device)
        if displacement_grid is None:
            fields = fields[:3]
        else:
            weights.append(displacement_grid.flatten(2))
        # One matrix product for all changes takes a quarter of the time of affine_grid and interpolate.
        positions = torch.cat(weights, dim=2) @ fields
    return F.grid_sample(images, positions.view(-1, 2, height, width).permute(0, 2, 3, 1), align_corners=False)


@cache
def basis_fields(height: int, width: int, device: torch.device) -> Tensor:
    """The fields whose weighted sum gives the position that each pixel is read from.

    Returns:
        float32 [3 + KNOTS**2, height * width] in the units of grid_sample, where a side is 2 long (-1 to 1): the
        pixel's x, its y, a shift by one side, and for each knot a displacement by one side, bicubic around the knot.
    """
    y, x = (torch.arange(side, device=device).add(0.5) * 2 / side - 1 for side in (height, width))
    y, x = torch.meshgrid(y, x, indexing="ij")
    knots = torch.eye(KNOTS**2, device=device).view(-1, 1, KNOTS, KNOTS)
    around_knots = F.interpolate(knots, size=[height, width], mode="bicubic", align_corners=False).squeeze(1)
    ones = torch.ones_like(x)
    return torch.cat([torch.stack([x, y, 2 * ones]), 2 * around_knots]).flatten(1)
