"""Pictures as another hand might have drawn them."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from digits.ranges import Degrees, Fraction


class RandomAffine:
    """Turns, shifts, zooms and slants a whole batch at once, each image by its own amounts.

    Args:
        rotation: largest turn to either side, degrees.
        shift: largest shift along each axis, as a share of the image's side.
        zoom: largest change of size; 0.1 means 90 to 110 %.
        shear: largest slant to either side, degrees.
    """

    def __init__(self, rotation: Degrees, shift: Fraction, zoom: Fraction, shear: Degrees) -> None:
        self.rotation, self.shear = math.radians(rotation), math.radians(shear)
        self.shift, self.zoom = shift, zoom

    def __call__(self, images: Tensor) -> Tensor:
        """Images float32 [N, 1, H, W] in 0..1 to the same; what comes in from outside is paper (0)."""

        def uniform(largest: float, *shape: int) -> Tensor:
            return torch.empty(len(images), *shape, device=images.device).uniform_(-largest, largest)

        angle, slant, scale = uniform(self.rotation), uniform(self.shear).tan(), 1 + uniform(self.zoom)
        cos, sin = angle.cos() / scale, angle.sin() / scale
        # where each pixel comes from: first shifted back, then turned, slanted and zoomed
        matrix = torch.stack([cos, cos * slant - sin, sin, sin * slant + cos], dim=1).view(-1, 2, 2)
        shift = uniform(2 * self.shift, 2, 1)  # affine_grid counts from -1 to 1, so a share of the side counts double
        grid = F.affine_grid(torch.cat([matrix, matrix @ shift], dim=2), list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, align_corners=False)
