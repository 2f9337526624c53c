"""How well a model reads digits that are changed in ways known beforehand."""

import math
from typing import Any

import torch
from torch import Tensor

from digits.models.augmentation import KNOTS, thicken, warp
from digits.reporting.evaluation import Evaluation

MOST = 2000  # pictures a change, so that slow models take seconds


def robustness(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Accuracy on changed copies of the test split, evenly thinned out to 2,000 pictures; the same each time.

    Args:
        evaluation: of the unchanged pictures.

    Returns:
        A row a change: `change` in words, `accuracy` in 0..1, `pictures` it was measured on.
    """
    total = len(evaluation.labels)
    count = min(total, MOST)
    chosen = torch.arange(count) * total // count
    labels = evaluation.labels[chosen]
    answers = {"none": evaluation.predictions[chosen]}
    with torch.inference_mode():
        for change, images in changed(evaluation.images[chosen].float() / 255).items():
            answers[change] = torch.cat([evaluation.model(batch).argmax(dim=1) for batch in images.split(100)])
    return [
        {"change": change, "accuracy": (answer == labels).double().mean().item(), "pictures": count}
        for change, answer in answers.items()
    ]


def changed(images: Tensor) -> dict[str, Tensor]:
    """Images float32 [N, 1, 28, 28] in 0..1 under each change; every other one to the other side."""
    count = len(images)
    sides = 1.0 - 2 * (torch.arange(count) % 2)
    axes = torch.eye(2)[torch.arange(count) // 2 % 2]  # two along x, two along y
    knots = torch.empty(count, 2, KNOTS, KNOTS).uniform_(-1, 1, generator=torch.Generator().manual_seed(0))

    def warped(turn: float = 0, slant: float = 0, size: float = 1, pixels: float = 0, bend: float = 0) -> Tensor:
        shift = pixels / images.shape[-1] * sides[:, None] * axes
        angle, slanted = sides * math.radians(turn), sides * math.radians(slant)
        return warp(images, angle, slanted, torch.full((count,), size), shift, bend * knots if bend else None)

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
