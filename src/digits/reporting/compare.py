"""Many runs compared: one table in the terminal, and a page with figures, disagreements and significance."""

import math
import os
import timeit
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from markupsafe import Markup
from rich.console import Console
from rich.table import Table
from scipy.stats import binomtest
from torch import Tensor

from atomic_files import write_text
from digits.onnx_file import session_of, test_accuracy_of
from digits.reporting import compare_figures
from digits.reporting.figures import svg
from digits.reporting.pages import data_uri, render
from digits.reporting.runs import Candidate, FinishedRun, candidates_of, find_runs, frame, percent
from digits.settings import readable
from plain_errors import ConfigError, DataError

MOST = 12  # candidates that are compared image by image, the first ones
FEW = 6  # plots of settings
SHOWN = 24  # images in each gallery


def compare(
    folders: list[Path], page: Path, command: str, tag: str | None, csv: Path | None, json: Path | None
) -> None:
    """Print a table of all finished runs in and below `folders`, or those with a tag; write a page and data files.

    Raises:
        ConfigError: there is no such run.
    """
    if missing := [str(folder) for folder in folders if not folder.is_dir()]:
        raise ConfigError(f"{', '.join(missing)}: no such folder; wanted runs, or folders that hold them")
    runs, left_out = find_runs(folders)
    runs = [run for run in runs if tag is None or tag in run.record.tags]
    lines = [line for _, line in left_out]
    if not runs:
        which = f"run with the tag {tag}" if tag else "run"
        raise ConfigError("\n".join([*lines, f"no finished {which} to compare; train some, or name other folders"]))
    for section in write_page(runs, left_out, page, "Comparison of runs", command):
        print_table(section)
    for line in lines:
        Console(stderr=True, soft_wrap=True).print(f"left out: {line}", markup=False, highlight=False)
    print(f"page: {page}")
    for path, text in (csv, frame(runs).to_csv(index=False)), (json, frame(runs).to_json(orient="records", indent=2)):
        if path:
            write_text(path, text)
            print(f"data: {path}")


def print_table(section: dict[str, Any], without: tuple[str, ...] = ()) -> None:
    """Print a section's columns, except those in `without`; in a narrow terminal, the last ones are left out too."""
    data, rows, console, table = section["dataset"], section["rows"], Console(), Table()
    console.print(f"{data.name}, {data.test:,} test images: {data.test_split}", markup=False, highlight=False)
    columns = [column for column in rows[0] if column not in without]
    widths = [3 + max(len(text) for text in (column, *(row[column] for row in rows))) for column in columns]
    widths[0] = min(widths[0], 33)  # a longer name takes several lines
    columns = [column for at, column in enumerate(columns) if sum(widths[: at + 1]) < console.width]
    for column in columns:
        table.add_column(column, **({"overflow": "fold"} if column == "run" else {"justify": "right", "no_wrap": True}))
    for row in rows:
        table.add_row(*(row[column] for column in columns))
    console.print(table, markup=False)


def write_page(
    runs: list[FinishedRun], left_out: list[tuple[Path, str]], page: Path, title: str, command: str, **more: Any
) -> list[dict[str, Any]]:
    """Write the page and return what it shows: a section for each set of data."""
    sections = [_section(candidates) for candidates in candidates_of(runs)]
    more |= {"title": title, "command": command, "relative": lambda path: os.path.relpath(path, page.parent)}
    write_text(page, render("compare.html.j2", sections=sections, runs=runs, left_out=left_out, **more))
    return sections


def _section(candidates: list[Candidate]) -> dict[str, Any]:
    """The comparison on one set of data: what the template uses, by name.

    `rows` has the texts of each row by column, the most important column first.
    """
    speeds: dict[tuple[str, int], tuple[float, float]] = {}
    rows, costs = [], []
    for candidate in candidates:
        metrics, onnx = candidate.runs[0].metrics, candidate.runs[0].onnx
        network = (metrics.model, onnx.bytes)
        if network not in speeds:  # the same network takes the same time
            speeds[network] = speed(candidate.runs[0].folder.onnx)
        milliseconds, per_second = speeds[network]
        costs.append((candidate.mean("fit_seconds"), milliseconds, 100 * (1 - candidate.mean("val_accuracy"))))
        val, test = (text and f"{text} %" for text in map(candidate.percent, ("val_accuracy", "test_accuracy")))
        row = {
            "run": candidate.name,
            "seeds": candidate.seeds,
            "val accuracy": val,
            "test accuracy": test,
            "fit s": f"{candidate.mean('fit_seconds'):.1f}",
            "tags": ", ".join(dict.fromkeys(tag for run in candidate.runs for tag in run.record.tags)),
            "parameters": f"{metrics.parameters:,}",
            "ms/image": f"{milliseconds:.3f}",
            "images/s": f"{per_second:,.0f}",
            "ECE": f"{candidate.mean('test_ece'):.4f}",
            "ONNX kB": f"{onnx.bytes / 1000:,.0f}",
        }
        rows.append(row | _int8(candidate.runs))
    rows = [{column: row[column] for column in row if any(each[column] for each in rows)} for row in rows]
    plots = [svg(figure) for figure in compare_figures.costs(costs)]
    section = {"dataset": candidates[0].runs[0].metrics.dataset, "candidates": candidates, "rows": rows, "plots": plots}
    section["settings"] = _settings(candidates)
    return section | _curves(candidates[:MOST]) | _disagreements(candidates[:MOST])


def _curves(candidates: list[Candidate]) -> dict[str, Any]:
    """`curves`: the learning curves of the lowest seeds; `lines`: number, name and colour of each; or neither."""
    if (drawn := compare_figures.learning_curves([each.runs[0].metrics.history for each in candidates])) is None:
        return {"curves": "", "lines": []}
    figure, colours = drawn
    lines = [(number, candidates[number - 1].name, colour) for number, colour in enumerate(colours, start=1) if colour]
    return {"curves": svg(figure, "learning curves"), "lines": lines}


def _settings(candidates: list[Candidate]) -> list[Markup]:
    """A plot for each setting that is a number and differs, at most FEW; rows without it or validation are left out."""
    found: dict[str, list[tuple[float, float]]] = {}
    for each in candidates:
        accuracy = 100 * each.mean("val_accuracy")
        for name, value in readable(each.runs[0].settings).items() if math.isfinite(accuracy) else ():
            if isinstance(value, int | float) and not isinstance(value, bool):
                found.setdefault(name, []).append((value, accuracy))
    differing = [name for name, points in found.items() if len({value for value, _ in points}) > 1]
    return [svg(compare_figures.setting(each, found[each]), f"accuracy against {each}") for each in differing[:FEW]]


def _int8(runs: list[FinishedRun]) -> dict[str, str]:
    """The columns of the files that export.py --int8 writes; they are empty if a run has none."""
    paths = [run.folder.int8 for run in runs]
    if not all(path.exists() for path in paths):
        return dict.fromkeys(("int8 accuracy", "int8 ms", "int8 kB"), "")
    return {
        "int8 accuracy": f"{percent([test_accuracy_of(path) for path in paths])} %",
        "int8 ms": f"{speed(paths[0])[0]:.3f}",
        "int8 kB": f"{paths[0].stat().st_size / 1000:,.0f}",
    }


def speed(path: Path) -> tuple[float, float]:
    """Time an ONNX file on one thread: milliseconds for one image, and images per second in batches of 256."""
    session = session_of(path)

    def seconds(batch: int, times: int) -> float:
        images = np.random.default_rng(0).random((batch, 1, 28, 28), dtype=np.float32)
        taken = timeit.repeat(lambda: session.run(None, {"images": images}), number=1, repeat=times + 1)
        return median(taken[1:])  # the first run allocates

    return 1000 * seconds(1, 30), 256 / seconds(256, 3)


def _disagreements(candidates: list[Candidate]) -> dict[str, Any]:
    """Compare the lowest seeds of candidates that were tested on the same data, image by image.

    Returns:
        `pairs`: for every two candidates their numbers, and what mcnemar() returns, with the corrected p-value.
        `galleries`: test images that have something in common: title, count, and the first of them, each with index,
        digit, data URI and the digits that the candidates read. If the data are gone, no images are given.
    """
    runs = [candidate.runs[0] for candidate in candidates]
    paths = [run.folder.predictions for run in runs]
    columns = {"usecols": ["label", "prediction"], "dtype": str, "na_filter": False}  # NA may be a label
    tables = [pd.read_csv(path, **columns) for path in paths]
    labels, read = tables[0].label.to_numpy(), np.stack([table.prediction for table in tables])  # [N], [candidates, N]
    correct = read == labels
    images = _test_images(runs[0])

    def gallery(title: str, chosen: np.ndarray) -> tuple[str, int, list[tuple[Any, ...]]]:
        indices = chosen.nonzero()[0].tolist()
        uris = [] if images is None else [(at, data_uri(images[at, 0])) for at in indices[:SHOWN]]
        return title, len(indices), [(at, labels[at], uri, enumerate(read[:, at], 1)) for at, uri in uris]

    count = correct.sum(axis=0)
    galleries = [gallery("Images that no run predicts correctly", count == 0)]
    if len(candidates) > 1:
        galleries.insert(0, gallery("Images that only one run predicts correctly", count == 1))
    tests = {(i + 1, j + 1): mcnemar(correct[i], correct[j]) for i, j in combinations(range(len(candidates)), 2)}
    corrected = holm([p for _, _, p in tests.values()])
    pairs = [(*pair, *test[:2], p) for (pair, test), p in zip(tests.items(), corrected, strict=True)]
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


def holm(p_values: list[float]) -> list[float]:
    """Correct p-values for their number (S. Holm, "A simple sequentially rejective multiple test procedure", 1979)."""
    order = np.argsort(p_values)
    raised = np.array(p_values)[order] * np.arange(len(order), 0, -1)
    return np.minimum(np.maximum.accumulate(raised), 1)[np.argsort(order)].tolist()


def _test_images(run: FinishedRun) -> Tensor | None:
    """The test images of a run, uint8 [N, 1, 28, 28]; None where its data are no longer there."""
    data = instantiate(run.folder.config().data, _convert_="all")
    try:
        data.setup()
    except DataError:
        return None
    return data.test_images if data.sha256 == run.metrics.dataset.sha256 else None
