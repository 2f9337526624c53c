"""The base of classifiers that are fitted in one pass over the data instead of step by step."""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from digits.models.classifier import Classifier

CALIBRATION_IMAGES = 5000  # of the training split, at most


class ClosedForm(Classifier):
    """A subclass defines `solve`, which fits buffers to all training images, and `scores`, from images to scores.

    Logits are calibrated on the training split first: scores may have any scale.

    The model is fitted on the CPU: scikit-learn works nowhere else, and MPS has no float64.
    """

    placement: ClassVar[dict[str, Any]] = {"accelerator": "cpu", "devices": 1, "precision": "32-true"}
    fitted_once: ClassVar[bool] = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.automatic_optimization = False
        self.register_load_state_dict_pre_hook(resize_buffers)
        self.train_batches: list[tuple[Tensor, Tensor]] = []

    @abstractmethod
    def solve(self, images: Tensor, labels: Tensor) -> None:
        """Fit the buffers to images float32 [N, 1, 28, 28] in 0..1 and labels int64 [N]."""

    def parameter_count(self) -> int:
        """Number of fitted values. They are buffers, as no gradient changes them."""
        return sum(buffer.numel() for buffer in self.state_dict().values())

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Keep the batch; after the last one, fit the model."""
        self.train_batches.append(batch)
        if self.trainer.is_last_batch:
            images, labels = (torch.cat(part) for part in zip(*self.train_batches, strict=True))
            self.train_batches.clear()
            self.solve(images, labels)
            self.calibrate(self.scores(images[:CALIBRATION_IMAGES]), labels[:CALIBRATION_IMAGES])

    def configure_optimizers(self) -> None:
        """There is no optimizer."""


def resize_buffers(model: nn.Module, state_dict: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Give the buffers the shapes that a checkpoint has: they depend on the training data."""
    for name, buffer in model.named_buffers(recurse=False):
        if prefix + name in state_dict:
            setattr(model, name, buffer.new_empty(state_dict[prefix + name].shape))
