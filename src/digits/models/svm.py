"""Principal components, then a support vector machine; fitted by scikit-learn, answered in torch."""

import logging
import time
from typing import Annotated, Literal

import torch
from pydantic import Field
from sklearn.decomposition import PCA
from sklearn.svm import SVC
from torch import Tensor

from digits.errors import ConfigError
from digits.models.closed_form import ClosedForm
from digits.ranges import Classes, Count, Positive

log = logging.getLogger(__name__)


class SVM(ClosedForm):
    """One machine for each pair of classes; the class with most votes wins, the margins break ties.

    The answers are those of scikit-learn's SVC with break_ties. Everything is computed in float64, or a margin
    next to nothing would give its vote to one class here and to another there.

    Args:
        classes: the digits the logits stand for, in their order.
        components: principal components kept: how many, or the share of variance they hold; None for no PCA.
        kernel: `rbf` exp(-gamma |x-y|²), `poly` (gamma x·y)³ or `linear` x·y.
        C: price of a training image on the wrong side.
        gamma: a number, or `scale` for 1 / (features · variance), or `auto` for 1 / features.
    """

    origin: Tensor  # [784], taken off before the projection
    directions: Tensor  # [784, features]
    supports: Tensor  # [supports, features]
    weights: Tensor  # [supports, pairs]
    biases: Tensor  # [pairs]
    gamma: Tensor
    for_first: Tensor
    for_second: Tensor

    def __init__(
        self,
        classes: Classes,
        components: Count | Annotated[float, Field(gt=0, lt=1)] | None = 50,
        kernel: Literal["rbf", "linear", "poly"] = "rbf",
        C: Positive = 5.0,  # noqa: N803 (its name everywhere)
        gamma: Positive | Literal["scale", "auto"] = "scale",
    ) -> None:
        super().__init__(classes=classes)
        pairs = len(classes) * (len(classes) - 1) // 2
        empty = {
            "origin": (784,),
            "directions": (784, 1),
            "supports": (1, 1),
            "weights": (1, pairs),
            "biases": (pairs,),
        }
        for name, shape in {**empty, "gamma": ()}.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))
        first, second = torch.triu_indices(len(classes), len(classes), 1)
        one_hot = torch.eye(len(classes), dtype=torch.float64)
        self.register_buffer("for_first", one_hot[first], persistent=False)  # [pairs, classes]
        self.register_buffer("for_second", one_hot[second], persistent=False)

    def solve(self, images: Tensor, labels: Tensor) -> None:
        """Let scikit-learn fit both, and take over what they found as tensors."""
        pixels = images.flatten(1).double().numpy()
        components, largest = self.hparams["components"], min(pixels.shape)
        if components is not None and components > largest:
            raise ConfigError(
                f"model.components: got {components}, wanted at most {largest}, with {len(pixels):,} training images "
                f"of {pixels.shape[1]} pixels"
            )
        started = time.monotonic()
        features = pixels
        self.origin, self.directions = torch.zeros(784).double(), torch.eye(784).double()
        if components is not None:
            log.info("PCA of %s images ...", f"{len(pixels):,}")
            pca = PCA(components, svd_solver="covariance_eigh").fit(pixels)
            self.origin, self.directions = torch.from_numpy(pca.mean_), torch.from_numpy(pca.components_.T.copy())
            features = pca.transform(pixels)
        log.info(
            "SVM (%s) on %s images of %d features ...", self.hparams["kernel"], f"{len(pixels):,}", features.shape[1]
        )
        settings = {name: self.hparams[name] for name in ("kernel", "C", "gamma")}
        machine = SVC(**settings, break_ties=True, cache_size=1000).fit(features, labels.numpy())
        log.info("%s support vectors (%.1f s)", f"{len(machine.support_):,}", time.monotonic() - started)
        self.supports = torch.from_numpy(machine.support_vectors_)
        self.biases = torch.from_numpy(machine.intercept_)
        self.gamma = torch.tensor(machine._gamma, dtype=torch.float64)
        self.weights = _weights_of_pairs(torch.from_numpy(machine.dual_coef_), machine.n_support_.tolist())
        if len(machine.classes_) == 2:  # scikit-learn turns the sign around for two classes
            self.biases, self.weights = -self.biases, -self.weights

    def scores(self, images: Tensor) -> Tensor:
        """Votes of the pairs, and within a third of a vote the sum of their margins, as SVC's decision_function."""
        features = (images.flatten(1).double() - self.origin) @ self.directions
        margins = self._kernel(features) @ self.weights + self.biases
        first_wins = (margins > 0).double()
        votes = first_wins @ self.for_first + (1 - first_wins) @ self.for_second
        sums = margins @ (self.for_first - self.for_second)
        return votes + sums / (3 * (sums.abs() + 1))

    def _kernel(self, features: Tensor) -> Tensor:
        products = features @ self.supports.T
        if self.hparams["kernel"] == "linear":
            return products
        if self.hparams["kernel"] == "poly":
            return (self.gamma * products) ** 3
        squares = features.square().sum(dim=1, keepdim=True) + self.supports.square().sum(dim=1)
        return torch.exp(-self.gamma * (squares - 2 * products))


def _weights_of_pairs(coefficients: Tensor, counts: list[int]) -> Tensor:
    """From libsvm's [classes - 1, supports] to [supports, pairs], zero where a support vector has no say.

    The support vectors stand class by class. Row j - 1 holds, for those of class i < j, their weight against j;
    row i those of class j against i.
    """
    of_class = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    pairs = []
    for i in range(len(counts)):
        for j in range(i + 1, len(counts)):
            pairs.append(coefficients[j - 1] * (of_class == i) + coefficients[i] * (of_class == j))
    return torch.stack(pairs, dim=1)
