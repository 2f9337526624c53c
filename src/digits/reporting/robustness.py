"""The accuracy of a model on test images that are changed: turned, shifted, scaled, slanted, other strokes, bent."""

import math

import torch
from torch import Tensor

from digits.models.augmentation import KNOTS, thicken, warp
from digits.record import ChangedAccuracy
from digits.reporting.evaluation import Evaluation

LIMIT = 2000  # images for each change, so that slow models take seconds


def robustness(evaluation: Evaluation) -> list[ChangedAccuracy]:
    """Accuracy on changed copies of the test images, the same copies each time.

    Of a larger test split, 2,000 evenly spaced images are taken.

    Args:
        evaluation: of the unchanged images.

    Returns:
        A row for each change; the first, `none`, is for the unchanged images.
    """
    total = len(evaluation.labels)
    count = min(total, LIMIT)
    chosen = torch.arange(count) * total // count
    labels = evaluation.labels[chosen]
    predictions = {"none": evaluation.predictions[chosen]}
    with torch.inference_mode():
        for change, images in changed(evaluation.images[chosen].float() / 255).items():
            predictions[change] = torch.cat([evaluation.model(batch).argmax(dim=1) for batch in images.split(100)])
    return [
        ChangedAccuracy(change=change, accuracy=(predicted == labels).double().mean().item(), pictures=count)
        for change, predicted in predictions.items()
    ]


def changed(images: Tensor) -> dict[str, Tensor]:
    """Change images in each way; turns, slants and shifts go in the opposite direction for every other image.

    Args:
        images: float32 [N, 1, 28, 28] in 0..1, ink 1.

    Returns:
        The changed images, like those given, by the name of the change.
    """
    count = len(images)
    sign = 1.0 - 2 * (torch.arange(count) % 2)
    axes = torch.eye(2)[torch.arange(count) // 2 % 2]  # shifts: two images along x, the next two along y
    displacements = torch.empty(count, 2, KNOTS, KNOTS).uniform_(-1, 1, generator=torch.Generator().manual_seed(0))

    def warped(turn: float = 0, slant: float = 0, size: float = 1, pixels: float = 0, bend: float = 0) -> Tensor:
        angle, shear = sign * math.radians(turn), sign * math.radians(slant)
        shift = pixels / images.shape[-1] * sign[:, None] * axes
        return warp(images, angle, shear, torch.full((count,), size), shift, bend * displacements if bend else None)

    return {
        "turned by 15°": warped(turn=15),
        "turned by 30°": warped(turn=30),
        "shifted by 3 pixels": warped(pixels=3),
        "75 % of the size": warped(size=0.75),
        "120 % of the size": warped(size=1.2),
        "slanted by 20°": warped(slant=20),
        "thinner strokes": thicken(images, torch.full((count,), -1.0)),
        "thicker strokes": thicken(images, torch.full((count,), 1.0)),
        "bent": warped(bend=0.08),
    }
