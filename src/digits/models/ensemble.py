"""Several classifiers as one."""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from digits.models.classifier import Classifier, rebuilt
from digits.ranges import Classes


class Ensemble(Classifier):
    """The mean of the members' probabilities; scores are its logarithm. The members are trained one by one, before.

    If all members have learned to refuse, no digit has a probability too, and scores are relative to it.

    B. Lakshminarayanan et al., "Simple and scalable predictive uncertainty estimation using deep ensembles", 2017.

    Args:
        classes: the digits that the logits stand for, in the order of the logits; those of each member.
        members: what `rebuilt` takes, for each member.
    """

    fitted_once: ClassVar[bool] = True

    def __init__(self, classes: Classes, members: list[dict[str, Any]]) -> None:
        super().__init__(classes)
        self.members = nn.ModuleList(rebuilt(**member) for member in members)
        self.refuses = all(member.refuses for member in self.members)

    def scores(self, images: Tensor) -> Tensor:
        """Images float32 [N, 1, 28, 28] in 0..1 to the logarithm of mean probabilities [N, classes]."""
        logs = [self.with_no_digit(member(images)).log_softmax(dim=1) for member in self.members]
        stacked = torch.cat(logs, dim=1).reshape(-1, len(logs), logs[0].shape[1])  # some engines fail with a new axis 0
        mean = stacked.logsumexp(dim=1) - math.log(len(logs))
        return mean[:, :-1] - mean[:, -1:] if self.refuses else mean

    def parameter_count(self) -> int:
        """Number of learned values of all members."""
        return sum(member.parameter_count() for member in self.members)  # type: ignore[operator]
