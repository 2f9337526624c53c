"""Test a finished model: one pass over the validation split, one over the test split."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightning
import torch
from torch import Tensor

from digits.data.batches import scaled
from digits.data.datamodule import DigitsData
from digits.models.classifier import Classifier


@dataclass(frozen=True)
class Evaluation:
    """The predictions of a model for the test split, in the order of the split."""

    model: Classifier  # in evaluation mode on the CPU
    images: Tensor  # uint8 [N, 1, 28, 28]
    labels: Tensor  # int64 [N], positions in the model's classes
    logits: Tensor  # float32 [N, classes]
    val_loss: float | None = None  # of the same model, in nats; None without a validation split
    val_accuracy: float | None = None  # in 0..1
    val_energy: Tensor | None = None  # float32 [validation digits]; None if the model did not learn from non-digits

    @property
    def probabilities(self) -> Tensor:
        """Float32 [N, classes], rows that sum to 1."""
        return self.logits.softmax(dim=1)

    @property
    def confidence(self) -> Tensor:
        """Float32 [N], the probability of the predicted class."""
        return self.probabilities.max(dim=1).values

    @property
    def predictions(self) -> Tensor:
        """Int64 [N], positions in the model's classes."""
        return self.logits.argmax(dim=1)

    @property
    def correct(self) -> Tensor:
        """Bool [N], whether the prediction is the label."""
        return self.predictions == self.labels

    @property
    def accuracy(self) -> float:
        """In 0..1, on the test split."""
        return self.correct.double().mean().item()


def energy_of(logits: Tensor) -> Tensor:
    """The log-sum-exp of logits [N, classes], [N]: low where the model knows no such digit.

    W. Liu et al., "Energy-based out-of-distribution detection", 2020; their energy has the opposite sign.
    """
    return logits.logsumexp(dim=1)


def evaluate(model: Classifier, data: DigitsData, trainer_config: Mapping[str, Any]) -> Evaluation:
    """Validate and test in 32-bit on the CPU, where the ONNX file will be compared with it.

    By default a GPU computes convolutions in TF32: logits would differ from the file's by about 0.01.
    The limits on validation and test batches in the run's `trainer` settings hold here too; `data` must be set up.
    """
    limits = {key: trainer_config[key] for key in ("limit_val_batches", "limit_test_batches") if key in trainer_config}
    off = ("logger", "enable_progress_bar", "enable_checkpointing", "enable_model_summary")
    options: dict[str, Any] = limits | dict.fromkeys(off, False)
    tester = lightning.Trainer(accelerator="cpu", devices=1, precision="32-true", **options)
    validated = tester.validate(model, data, verbose=False) if len(data.val_labels) else []
    val = validated[0] if validated else {}
    tester.test(model, data, verbose=False)
    logits = torch.cat(model.test_logits)
    count = len(logits)  # fewer than the split under limit_test_batches
    images, labels = data.test_images[:count], data.test_labels[:count]
    energy = None
    if data.non_digits and val:
        with torch.inference_mode():
            energy = torch.cat([energy_of(model.eval()(scaled(batch))) for batch in data.val_images.split(1000)])
    return Evaluation(model.eval(), images, labels, logits, val.get("val/loss"), val.get("val/accuracy"), energy)
