"""One pass over the test split with a finished model, and one over the validation split."""

from dataclasses import dataclass
from typing import Any

import lightning
import torch
from torch import Tensor

from digits.data.datamodule import DigitsData
from digits.models.classifier import Classifier


@dataclass(frozen=True)
class Evaluation:
    """What a model says of the test split, in the order of the split.

    Attributes:
        model: in evaluation mode on the CPU.
        images: uint8 [N, 1, 28, 28].
        labels: int64 [N], positions in the model's classes.
        logits: float32 [N, classes].
        val: val/loss and val/accuracy of the same model; empty without a validation split.
    """

    model: Classifier
    images: Tensor
    labels: Tensor
    logits: Tensor
    val: dict[str, float]

    @property
    def probabilities(self) -> Tensor:
        """Float32 [N, classes], rows that sum to 1."""
        return self.logits.softmax(dim=1)

    @property
    def predictions(self) -> Tensor:
        """Int64 [N], positions in the model's classes."""
        return self.logits.argmax(dim=1)


def evaluate(model: Classifier, data: DigitsData, trainer: dict[str, Any]) -> Evaluation:
    """Validate and test in 32-bit on the CPU, where the ONNX file will be compared with it.

    A GPU computes convolutions in TF32 unless told otherwise: logits would differ from the file's by about 0.01.

    Args:
        model: as its best checkpoint has it.
        data: set up.
        trainer: the config of the run's trainer; its limits hold here too.
    """
    settings = ("limit_val_batches", "limit_test_batches", "enable_progress_bar")
    tester = lightning.Trainer(
        **{key: trainer[key] for key in settings if key in trainer},
        accelerator="cpu",
        devices=1,
        precision="32-true",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    val = tester.validate(model, data, verbose=False) if len(data.val_labels) else []
    tester.test(model, data, verbose=False)
    logits = torch.cat(model.test_logits)
    tested = slice(len(logits))  # fewer than the split under limit_test_batches
    images, labels = data.test_images[tested], data.test_labels[tested]
    return Evaluation(model.eval(), images, labels, logits, dict(val[0]) if val else {})
