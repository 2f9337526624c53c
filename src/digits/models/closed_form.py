"""The base of classifiers that are fitted in one pass over the data instead of step by step."""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from lightning.pytorch.trainer.states import TrainerFn
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from digits.models.classifier import Classifier

CALIBRATION_IMAGES = 5000  # of the training split, at most


class ClosedForm(Classifier):
    """A subclass defines `solve`, which fits buffers to all training images, and `scores`, from images to scores.

    Logits are scores times `sharpness`. It is an inverse temperature, chosen to make the cross-entropy on the
    validation split smallest (temperature scaling: Guo et al., "On calibration of modern neural networks", 2017).
    Without a validation split, it is chosen on the training split.

    The model is fitted on the CPU: scikit-learn works nowhere else, and MPS has no float64.
    """

    placement: ClassVar[dict[str, Any]] = {"accelerator": "cpu", "devices": 1, "precision": "32-true"}
    fitted_once: ClassVar[bool] = True
    sharpness: Tensor  # []

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.automatic_optimization = False
        self.register_buffer("sharpness", torch.tensor(1.0))
        self.register_load_state_dict_pre_hook(resize_buffers)
        self.train_batches: list[tuple[Tensor, Tensor]] = []
        self.val_scores: list[tuple[Tensor, Tensor]] = []  # with their labels

    @abstractmethod
    def solve(self, images: Tensor, labels: Tensor) -> None:
        """Fit the buffers to images float32 [N, 1, 28, 28] in 0..1 and labels int64 [N]."""

    @abstractmethod
    def scores(self, images: Tensor) -> Tensor:
        """Images float32 [N, 1, 28, 28] in 0..1 to scores [N, classes]; the largest is the most likely class."""

    def forward(self, images: Tensor) -> Tensor:
        """Images float32 [N, 1, 28, 28], ink 1 and paper 0, to logits [N, classes]."""
        return (self.scores(images) * self.sharpness).to(images.dtype)

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
            self._calibrate(self.scores(images[:CALIBRATION_IMAGES]), labels[:CALIBRATION_IMAGES])

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log val/loss and val/accuracy; keep the scores to calibrate with."""
        super().validation_step(batch, batch_idx)
        if self.trainer.state.fn == TrainerFn.FITTING:
            self.val_scores.append((self.scores(batch[0]), batch[1]))

    def on_validation_epoch_end(self) -> None:
        """Calibrate, before the checkpoint is written."""
        if self.val_scores:
            self._calibrate(*(torch.cat(part) for part in zip(*self.val_scores, strict=True)))
            self.val_scores.clear()

    def configure_optimizers(self) -> None:
        """There is no optimizer."""

    def _calibrate(self, scores: Tensor, labels: Tensor) -> None:
        def loss(log_sharpness: float) -> float:
            return F.cross_entropy(scores.double() * 10**log_sharpness, labels).item()

        self.sharpness.fill_(10 ** minimize_scalar(loss, bounds=(-3, 6), method="bounded").x)


def resize_buffers(model: nn.Module, state_dict: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Give the buffers the shapes that a checkpoint has: they depend on the training data."""
    for name, buffer in model.named_buffers(recurse=False):
        if prefix + name in state_dict:
            setattr(model, name, buffer.new_empty(state_dict[prefix + name].shape))
