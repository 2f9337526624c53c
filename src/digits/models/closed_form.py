"""Classifiers that are worked out in one pass, not trained step by step."""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from lightning.pytorch.trainer.states import TrainerFn
from scipy.optimize import minimize_scalar
from torch import Tensor

from digits.models.classifier import Classifier


class ClosedForm(Classifier):
    """A subclass has `solve`, from all training images to buffers, and `scores`, from images to scores.

    Logits are scores times `sharpness`, chosen so that the cross-entropy on the validation split is smallest
    (temperature scaling: Guo et al., "On calibration of modern neural networks", 2017); on the training split
    where there is no other.

    All of it happens once, on the CPU: scikit-learn takes nothing else, and MPS has no float64.
    """

    placement: ClassVar[dict[str, Any]] = {"accelerator": "cpu", "devices": 1, "precision": "32-true"}
    sharpness: Tensor

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.automatic_optimization = False
        self.register_buffer("sharpness", torch.tensor(1.0))
        self.seen: list[tuple[Tensor, Tensor]] = []  # batches of the training split
        self.judged: list[tuple[Tensor, Tensor]] = []  # scores and labels of the validation split

    @abstractmethod
    def solve(self, images: Tensor, labels: Tensor) -> None:
        """Work out the buffers from images [N, 1, 28, 28] in 0..1 and labels [N]."""

    @abstractmethod
    def scores(self, images: Tensor) -> Tensor:
        """Images [N, 1, 28, 28] in 0..1 to [N, classes], the larger the likelier."""

    def forward(self, images: Tensor) -> Tensor:
        """Images float32 [N, 1, 28, 28], ink 1 and paper 0, to logits [N, classes]."""
        return (self.scores(images) * self.sharpness).to(images.dtype)

    def size(self) -> int:
        """How many numbers were worked out: there are no parameters, only buffers."""
        return sum(buffer.numel() for buffer in self.state_dict().values())

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Keep the batch; with the last one, solve."""
        self.seen.append(batch)
        if self.trainer.is_last_batch:
            images, labels = (torch.cat(part) for part in zip(*self.seen, strict=True))
            self.seen.clear()
            self.solve(images, labels)
            some = slice(5000)
            self._calibrate(self.scores(images[some]), labels[some])

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log val/loss and val/accuracy; keep the scores to calibrate with."""
        super().validation_step(batch, batch_idx)
        if self.trainer.state.fn == TrainerFn.FITTING:
            self.judged.append((self.scores(batch[0]), batch[1]))

    def on_validation_epoch_end(self) -> None:
        """Calibrate, before the checkpoint is written."""
        if self.judged:
            self._calibrate(*(torch.cat(part) for part in zip(*self.judged, strict=True)))
            self.judged.clear()

    def configure_optimizers(self) -> None:
        """There is nothing to optimize step by step."""

    def _calibrate(self, scores: Tensor, labels: Tensor) -> None:
        def loss(log_sharpness: float) -> float:
            return F.cross_entropy(scores.double() * 10**log_sharpness, labels).item()

        self.sharpness.fill_(10 ** minimize_scalar(loss, bounds=(-3, 6), method="bounded").x)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """Only the training data said how large the buffers are; a checkpoint says it again."""
        for name, buffer in self.named_buffers(recurse=False):
            if prefix + name in state_dict:
                setattr(self, name, buffer.new_empty(state_dict[prefix + name].shape))
        super()._load_from_state_dict(state_dict, prefix, *rest)
