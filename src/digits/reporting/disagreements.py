"""The test images on which runs disagree, and whether one run is better by more than chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scipy.stats import binomtest
from torch import Tensor

from digits.errors import DataError
from digits.reporting.pages import data_uri
from digits.reporting.runs import FinishedRun, Group

MOST = 12  # groups that are compared image by image, the most accurate ones
SHOWN = 24  # images in each gallery


@dataclass(frozen=True)
class Pair:
    """Two groups, how many test images only the first and only the second predicts correctly, McNemar's p-value."""

    first: str
    second: str
    only_first: int
    only_second: int
    p: float


@dataclass(frozen=True)
class Shown:
    """A test image as a data URI, its index in the test split, its digit, and the only group that is correct."""

    image: str
    index: int
    label: int
    group: str


@dataclass(frozen=True)
class Gallery:
    """So many test images have something in common; the first of them, or none where the data are not there."""

    title: str
    count: int
    shown: list[Shown]


def disagreements(groups: list[Group]) -> tuple[list[Pair], list[Gallery]]:
    """Compare the lowest seeds of the first 12 groups image by image.

    Args:
        groups: tested on the same data.

    Returns:
        Each two of them, and the test images that only one of them or none predicts correctly.
    """
    groups = groups[:MOST]
    runs = [group.runs[0] for group in groups]
    labels, correct = _predictions(runs)
    images = _test_images(runs[0])

    def gallery(title: str, chosen: np.ndarray, names: Sequence[str]) -> Gallery:
        indices = chosen.nonzero()[0]
        shown = [] if images is None else [(int(index), data_uri(images[index, 0])) for index in indices[:SHOWN]]
        pictures = [Shown(image, index, int(labels[index]), names[index]) for index, image in shown]
        return Gallery(title, len(indices), pictures)

    count, nobody = correct.sum(axis=0), [""] * len(labels)
    first_correct = [groups[position].name for position in correct.argmax(axis=0)]
    galleries = [gallery("Images that no run predicts correctly", count == 0, nobody)]
    if len(groups) > 1:
        galleries.insert(0, gallery("Images that only one run predicts correctly", count == 1, first_correct))
    pairs = [
        Pair(groups[first].name, groups[second].name, *mcnemar(correct[first], correct[second]))
        for first, second in combinations(range(len(groups)), 2)
    ]
    return pairs, galleries


def mcnemar(first: np.ndarray, second: np.ndarray) -> tuple[int, int, float]:
    """McNemar's exact test: of the images that only one of two runs predicts correctly, has one run more?

    Q. McNemar, "Note on the sampling error of the difference between correlated proportions", 1947.

    Args:
        first: bool [N], whether the first run predicts each image correctly.
        second: the same of the second run.

    Returns:
        How many images only the first and only the second predicts correctly, and the p-value.
    """
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    differing = only_first + only_second
    return only_first, only_second, binomtest(only_first, differing).pvalue if differing else 1.0


def _predictions(runs: list[FinishedRun]) -> tuple[np.ndarray, np.ndarray]:
    """The digits of the test images, int64 [N], and which of them each run predicts correctly, bool [runs, N]."""
    paths = [run.folder / "report" / "predictions.csv" for run in runs]
    tables = [np.loadtxt(path, np.int64, delimiter=",", skiprows=1, usecols=(1, 2), ndmin=2) for path in paths]
    return tables[0][:, 0], np.stack([table[:, 0] == table[:, 1] for table in tables])


def _test_images(run: FinishedRun) -> Tensor | None:
    """The test images of a run, uint8 [N, 1, 28, 28]; None where its data are no longer there."""
    config = OmegaConf.load(run.folder / ".hydra" / "config.yaml")
    data = instantiate(config.data, _convert_="all")
    try:
        data.setup()
    except DataError:
        return None
    return data.test_images if data.sha256 == run.metrics.dataset.sha256 else None
