"""Many runs compared: one table in the terminal, and a page with figures, disagreements and significance."""

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime
from markupsafe import Markup
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from digits.errors import ConfigError
from digits.files import write_text
from digits.record import Dataset
from digits.reporting import figures
from digits.reporting.disagreements import Gallery, Pair, disagreements
from digits.reporting.pages import render
from digits.reporting.runs import FinishedRun, Group, find_runs, group_runs

COLUMNS = ("run", "seeds", "accuracy %", "ECE", "parameters", "ONNX kB", "fit s", "ms/image", "images/s")


@dataclass(frozen=True)
class Section:
    """The comparison of all runs on one set of data.

    Attributes:
        rows: a text for each of COLUMNS, for each group of runs.
        plots: as <svg> elements.
    """

    dataset: Dataset
    rows: list[list[str]]
    plots: list[Markup]
    pairs: list[Pair]
    galleries: list[Gallery]


def compare(folders: list[Path], page: Path) -> None:
    """Print a table of all finished runs in and below `folders`, and write a page with more about them.

    Raises:
        ConfigError: there is no finished run.
    """
    runs, left_out = find_runs(folders)
    if not runs:
        raise ConfigError("\n".join([*left_out, "no finished run to compare; train some, or name other folders"]))
    for section in write_page(runs, left_out, page):
        _print(section)
    for line in left_out:
        Console(stderr=True, soft_wrap=True).print(f"left out: {line}", markup=False, highlight=False)
    print(f"page: {page}")


def write_page(runs: list[FinishedRun], left_out: list[str], page: Path) -> list[Section]:
    """Write the page and return what it shows: a section for each set of data."""
    sections = [_section(groups) for groups in group_runs(runs)]
    write_text(page, render("compare.html.j2", columns=COLUMNS, sections=sections, left_out=left_out))
    return sections


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


def _section(groups: list[Group]) -> Section:
    speeds: dict[tuple[str, int], tuple[float, float]] = {}
    rows, fit_costs, inference_costs = [], [], []
    for group in groups:
        metrics, onnx = group.runs[0].metrics, group.runs[0].onnx
        network = (metrics.model, onnx.bytes)
        if network not in speeds:  # the same network takes the same time
            speeds[network] = speed(group.runs[0].folder / "model.onnx")
        milliseconds, per_second = speeds[network]
        fit_costs.append((group.name, group.fit_seconds.mean, group.test_accuracy.mean))
        inference_costs.append((group.name, milliseconds, group.test_accuracy.mean))
        row = [
            group.name,
            str(len(group.runs)),
            group.test_accuracy.percent(),
            f"{group.ece.mean:.4f}",
            f"{metrics.parameters:,}",
            f"{onnx.bytes / 1000:,.0f}",
            f"{group.fit_seconds.mean:.1f}",
            f"{milliseconds:.3f}",
            f"{per_second:,.0f}",
        ]
        rows.append(row)
    plots = [
        figures.svg(figures.cost(fit_costs, "seconds to fit")),
        figures.svg(figures.cost(inference_costs, "milliseconds for one image")),
    ]
    return Section(groups[0].runs[0].metrics.dataset, rows, plots, *disagreements(groups))


def _print(section: Section) -> None:
    data = section.dataset
    title = f"{data.name}, {data.test:,} test images: {data.test_split}"
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=title)
    table.add_column(COLUMNS[0], overflow="fold", min_width=16)
    for column in COLUMNS[1:]:
        table.add_column(column, justify="right")
    for row in section.rows:
        table.add_row(*row)
    Console(width=max(100, Console().width)).print(table)  # narrower, it would lose columns
