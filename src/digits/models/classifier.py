"""The base of all classifiers: validation, test, and what a checkpoint needs to rebuild one."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from lightning import LightningModule
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy

from digits.errors import DigitsError
from digits.ranges import Classes


class Classifier(LightningModule):
    """Images float32 [N, 1, 28, 28], ink 1 and paper 0, to logits [N, classes]; a subclass defines `forward`.

    Hyperparameters are plain numbers, strings, lists and dicts, so that a checkpoint rebuilds its model without
    pickled code.

    Args:
        classes: the digits that the logits stand for, in the order of the logits.

    Attributes:
        placement: arguments of the Trainer that this class needs; they replace those of the config.
        fitted_once: whether one pass over the data, on one device, fits the model. Such a model logs val/loss before
            its logits are calibrated.
    """

    placement: ClassVar[dict[str, Any]] = {}
    fitted_once: ClassVar[bool] = False

    def __init__(self, classes: Classes) -> None:
        super().__init__()
        self.save_hyperparameters()  # the arguments of the subclass too
        self.example_input_array = torch.zeros(2, 1, 28, 28)
        # Validating its arguments would read values from the GPU, and so wait for it in each step.
        self.accuracy = MulticlassAccuracy(len(classes), average="micro", validate_args=False)
        self.test_logits: list[Tensor] = []

    @staticmethod
    def upgraded(hyper_parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The constructor's arguments, from the hyperparameters of a checkpoint that may be older than this code."""
        return dict(hyper_parameters)

    def parameter_count(self) -> int:
        """Number of learned values."""
        return sum(parameter.numel() for parameter in self.parameters())

    def class_images(self) -> Tensor | None:
        """What the model looks for in each class, as images [classes, 28, 28].

        A positive pixel is where ink speaks for the class, a negative one where ink speaks against it. None if the
        model compares pixels with nothing that can be shown as an image.
        """
        return None

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log val/loss and val/accuracy."""
        self._evaluate(batch, "val")

    def on_test_epoch_start(self) -> None:
        """Start with no logits."""
        self.test_logits.clear()

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log test/loss and test/accuracy; keep the logits [N, classes] for the report."""
        self.test_logits.append(self._evaluate(batch, "test"))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the class's name, so that the file alone is enough to rebuild the model."""
        checkpoint["model_class"] = f"{type(self).__module__}.{type(self).__qualname__}"

    def _evaluate(self, batch: tuple[Tensor, Tensor], split: str) -> Tensor:
        images, labels = batch
        logits = self(images)
        loss = F.cross_entropy(logits, labels)
        if not loss.isfinite():
            raise DigitsError(f"{split}/loss is {loss.item()} after step {self.global_step}")
        self.accuracy(logits, labels)
        self.log(f"{split}/loss", loss, on_step=False, on_epoch=True, batch_size=len(labels), sync_dist=True)
        self.log(f"{split}/accuracy", self.accuracy, on_step=False, on_epoch=True, prog_bar=True)
        return logits
