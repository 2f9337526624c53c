"""What every classifier of digits has in common: how it is judged and kept."""

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from lightning import LightningModule
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy

from digits.errors import DigitsError
from digits.ranges import Classes


class Classifier(LightningModule):
    """Images float32 [N, 1, 28, 28], ink 1 and paper 0, to logits [N, classes]; a subclass has the `forward`.

    Its hyperparameters are plain numbers, strings, lists and dicts, so that a checkpoint rebuilds it without
    any pickled code.

    Args:
        classes: the digits the logits stand for, in their order.

    Attributes:
        placement: what this class needs of the Trainer, whatever the config asks for.
    """

    placement: ClassVar[dict[str, Any]] = {}

    def __init__(self, classes: Classes) -> None:
        super().__init__()
        self.save_hyperparameters()  # the subclass's arguments too
        self.example_input_array = torch.zeros(2, 1, 28, 28)
        self.accuracy = MulticlassAccuracy(
            len(classes), average="micro", validate_args=False
        )  # it would wait for a GPU
        self.test_logits: list[Tensor] = []

    def size(self) -> int:
        """How many numbers were learned."""
        return sum(parameter.numel() for parameter in self.parameters())

    def ideals(self) -> Tensor | None:
        """What the model looks for in each class, [classes, 28, 28], negative where ink speaks against it.

        None where that is no picture.
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
        """Name the class, so that the file alone rebuilds the model."""
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
