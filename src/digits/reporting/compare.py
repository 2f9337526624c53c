"""Many runs compared: one table in the terminal, and a page with figures, disagreements and significance."""

import time
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
from hydra.utils import instantiate
from omegaconf import OmegaConf
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from scipy.stats import binomtest
from torch import Tensor

from digits.errors import ConfigError, DataError
from digits.files import write_text
from digits.reporting import figures
from digits.reporting.pages import data_uri, render
from digits.reporting.runs import FinishedRun, Group, find_runs, group_runs

COLUMNS = ("run", "seeds", "accuracy %", "ECE", "parameters", "ONNX kB", "fit s", "ms/image", "images/s")
MOST = 12  # groups that are compared image by image, the most accurate ones
SHOWN = 24  # images in each gallery


def compare(folders: list[Path], page: Path) -> None:
    """Print a table of all finished runs in and below `folders`, and write a page with more about them.

    Raises:
        ConfigError: there is no finished run.
    """
    runs, left_out = find_runs(folders)
    if not runs:
        raise ConfigError("\n".join([*left_out, "no finished run to compare; train some, or name other folders"]))
    for section in write_page(runs, left_out, page):
        data = section["dataset"]
        title = f"{data.name}, {data.test:,} test images: {data.test_split}"
        table = Table(box=SIMPLE_HEAD, pad_edge=False, title=title)
        table.add_column(COLUMNS[0], overflow="fold", min_width=16)
        for column in COLUMNS[1:]:
            table.add_column(column, justify="right")
        for row in section["rows"]:
            table.add_row(*row)
        Console(width=max(100, Console().width)).print(table)  # narrower, it would lose columns
    for line in left_out:
        Console(stderr=True, soft_wrap=True).print(f"left out: {line}", markup=False, highlight=False)
    print(f"page: {page}")


def write_page(runs: list[FinishedRun], left_out: list[str], page: Path) -> list[dict[str, Any]]:
    """Write the page and return what it shows: a section for each set of data."""
    sections = [_section(groups) for groups in group_runs(runs)]
    write_text(page, render("compare.html.j2", columns=COLUMNS, sections=sections, left_out=left_out))
    return sections


def _section(groups: list[Group]) -> dict[str, Any]:
    """The comparison on one set of data, by the names in the template; `rows` has a text for each of COLUMNS."""
    speeds: dict[tuple[str, int], tuple[float, float]] = {}
    rows, fit_costs, inference_costs = [], [], []
    for group in groups:
        metrics, onnx = group.runs[0].metrics, group.runs[0].onnx
        network = (metrics.model, onnx.bytes)
        if network not in speeds:  # the same network takes the same time
            speeds[network] = speed(group.runs[0].folder / "model.onnx")
        milliseconds, per_second = speeds[network]
        fit_seconds, accuracy = group.mean("fit_seconds"), group.mean("test_accuracy")
        fit_costs.append((group.name, fit_seconds, accuracy))
        inference_costs.append((group.name, milliseconds, accuracy))
        row = [
            group.name,
            str(len(group.runs)),
            group.percent("test_accuracy"),
            f"{group.mean('test_ece'):.4f}",
            f"{metrics.parameters:,}",
            f"{onnx.bytes / 1000:,.0f}",
            f"{fit_seconds:.1f}",
            f"{milliseconds:.3f}",
            f"{per_second:,.0f}",
        ]
        rows.append(row)
    costs = {"seconds to fit": fit_costs, "milliseconds for one image": inference_costs}
    plots = [figures.svg(figures.cost(points, label)) for label, points in costs.items()]
    return {"dataset": groups[0].runs[0].metrics.dataset, "rows": rows, "plots": plots} | _disagreements(groups[:MOST])


def speed(path: Path) -> tuple[float, float]:
    """Time an ONNX file on one thread.

    Returns:
        Milliseconds for one image, and images per second in batches of 256.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def seconds(batch: int, times: int) -> float:
        images = np.random.default_rng(0).random((batch, 1, 28, 28), dtype=np.float32)
        taken = []
        for _ in range(times + 1):
            started = time.perf_counter()
            session.run(None, {"images": images})
            taken.append(time.perf_counter() - started)
        return median(taken[1:])  # the first run allocates

    return 1000 * seconds(1, 30), 256 / seconds(256, 3)


def _disagreements(groups: list[Group]) -> dict[str, Any]:
    """Compare the lowest seeds of groups that were tested on the same data, image by image.

    Returns:
        `pairs`: for each two groups their names and what mcnemar() returns.
        `galleries`: test images that have something in common: title, count, and the first of them. These are given
        by index, digit, data URI and the only group that is correct; there are none where the data are gone.
    """
    runs = [group.runs[0] for group in groups]
    paths = [run.folder / "report" / "predictions.csv" for run in runs]
    tables = [np.loadtxt(path, np.int64, delimiter=",", skiprows=1, usecols=(1, 2), ndmin=2) for path in paths]
    labels = tables[0][:, 0]
    correct = np.stack([table[:, 0] == table[:, 1] for table in tables])  # [groups, N]
    images = _test_images(runs[0])

    def gallery(title: str, chosen: np.ndarray, names: list[str]) -> tuple[str, int, list[tuple[Any, ...]]]:
        indices = chosen.nonzero()[0].tolist()
        shown = [] if images is None else [(at, data_uri(images[at, 0])) for at in indices[:SHOWN]]
        return title, len(indices), [(at, labels[at], image, names[at]) for at, image in shown]

    count = correct.sum(axis=0)
    galleries = [gallery("Images that no run predicts correctly", count == 0, [""] * len(labels))]
    if len(groups) > 1:
        first_correct = [groups[position].name for position in correct.argmax(axis=0)]
        galleries.insert(0, gallery("Images that only one run predicts correctly", count == 1, first_correct))
    by_name = zip([group.name for group in groups], correct, strict=True)
    pairs = [(first, second, *mcnemar(a, b)) for (first, a), (second, b) in combinations(by_name, 2)]
    return {"pairs": pairs, "galleries": galleries}


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


def _test_images(run: FinishedRun) -> Tensor | None:
    """The test images of a run, uint8 [N, 1, 28, 28]; None where its data are no longer there."""
    data = instantiate(OmegaConf.load(run.folder / ".hydra" / "config.yaml").data, _convert_="all")
    try:
        data.setup()
    except DataError:
        return None
    return data.test_images if data.sha256 == run.metrics.dataset.sha256 else None
