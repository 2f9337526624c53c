"""One weight a pixel and class: softmax regression."""

from typing import Any

from torch import nn

from digits.models.classifier import Classifier


class Linear(Classifier):
    """Logits are weighted sums of the 784 pixels.

    Args:
        options: those of Classifier.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, len(self.hparams["classes"])))
