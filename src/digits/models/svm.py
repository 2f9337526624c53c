"""Principal components and a support vector machine, fitted by scikit-learn and evaluated in torch."""

import logging
import time
from itertools import combinations
from typing import Annotated, Literal

import torch
from pydantic import Field
from sklearn.decomposition import PCA
from sklearn.svm import SVC
from torch import Tensor

from digits.models.closed_form import ClosedForm
from digits.ranges import Classes, Count, Positive
from plain_errors import ConfigError

log = logging.getLogger(__name__)


class SVM(ClosedForm):
    """One binary machine for each pair of classes; the class with the most votes wins, the margins break ties.

    The predictions are those of scikit-learn's SVC with break_ties. All is computed in float64, as there: rounding
    could change the sign of a margin near 0, and so a vote.

    Args:
        components: principal components to keep: their number, or the fraction of the variance that they hold; None
            for no PCA.
        kernel: of two images x and y: `rbf` exp(-gamma |x-y|²), `poly` (gamma x·y)³ or `linear` x·y.
        C: penalty for a training image on the wrong side of a margin.
        gamma: a number, `scale` for 1 / (features · variance) or `auto` for 1 / features.
    """

    origin: Tensor  # float64 [784], subtracted before the projection
    directions: Tensor  # float64 [784, features]
    supports: Tensor  # float64 [supports, features]
    weights: Tensor  # float64 [supports, pairs]
    biases: Tensor  # float64 [pairs]
    gamma: Tensor  # float64 []
    for_first: Tensor  # float64 [pairs, classes], 1 for the first class of the pair
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
        empty = {"origin": (784,), "directions": (784, 1), "supports": (1, 1), "weights": (1, pairs)}
        for name, shape in (empty | {"biases": (pairs,), "gamma": ()}).items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))
        first, second = torch.triu_indices(len(classes), len(classes), 1)
        one_hot = torch.eye(len(classes), dtype=torch.float64)
        self.register_buffer("for_first", one_hot[first], persistent=False)
        self.register_buffer("for_second", one_hot[second], persistent=False)

    def solve(self, images: Tensor, labels: Tensor) -> None:
        """Fit both with scikit-learn and copy the results into the buffers."""
        pixels = images.flatten(1).double()
        components, kernel, gamma = (self.hparams[name] for name in ("components", "kernel", "gamma"))
        largest = min(pixels.shape)
        if components is not None and components > largest:
            raise ConfigError(
                f"model.components: got {components}, wanted at most {largest}, with {len(pixels):,} training images "
                f"of {pixels.shape[1]} pixels"
            )
        started = time.monotonic()
        self.origin, self.directions = torch.zeros(784).double(), torch.eye(784).double()
        features = pixels.numpy()
        if components is not None:
            log.info("PCA of %s images ...", f"{len(pixels):,}")
            pca = PCA(components, svd_solver="covariance_eigh").fit(features)
            self.origin, self.directions = torch.from_numpy(pca.mean_), torch.from_numpy(pca.components_.T.copy())
            features = pca.transform(features)
        count = features.shape[1]
        log.info("SVM (%s) on %s images of %d features ...", kernel, f"{len(pixels):,}", count)
        if isinstance(gamma, str):
            gamma = 1 / count if gamma == "auto" else 1 / (count * features.var())
        machine = SVC(kernel=kernel, C=self.hparams["C"], gamma=gamma, break_ties=True, cache_size=1000)
        machine.fit(features, labels.numpy())
        log.info("%s support vectors (%.1f s)", f"{len(machine.support_):,}", time.monotonic() - started)
        self.supports = torch.from_numpy(machine.support_vectors_)
        self.biases = torch.from_numpy(machine.intercept_)
        self.gamma = torch.tensor(gamma, dtype=torch.float64)
        self.weights = weights_of_pairs(torch.from_numpy(machine.dual_coef_), machine.n_support_.tolist())
        if len(machine.classes_) == 2:  # with two classes scikit-learn has the opposite sign
            self.biases, self.weights = -self.biases, -self.weights

    def scores(self, images: Tensor) -> Tensor:
        """Images to scores [N, classes], as SVC's decision_function: votes, and the margins as less than 1/3 vote."""
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


def weights_of_pairs(coefficients: Tensor, counts: list[int]) -> Tensor:
    """The weight of each support vector in the machine of each pair, float64 [supports, pairs], from libsvm's form.

    The support vectors are sorted by class, and `counts` says how many are of each. For the pair of classes i < j, row
    j - 1 of the coefficients, float64 [classes - 1, supports], holds the weights of the support vectors of class i,
    and row i those of class j. A support vector of neither class has the weight 0.
    """
    class_of = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    pairs = combinations(range(len(counts)), 2)
    return torch.stack([coefficients[j - 1] * (class_of == i) + coefficients[i] * (class_of == j) for i, j in pairs], 1)
