"""Many runs side by side: one table, one page, and whether a difference is more than chance."""

import csv
import time
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
from hydra.utils import instantiate
from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from omegaconf import OmegaConf
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from scipy.stats import binomtest
from torch import Tensor

from digits.errors import ConfigError, DataError
from digits.files import write_text
from digits.reporting import figures
from digits.reporting.report import data_uri
from digits.reporting.runs import FinishedRun, Group, find_runs, group_runs

SHOWN = 24  # pictures of each kind
MOST = 12  # groups held against each other picture by picture, the most accurate ones


def compare(folders: list[Path], page: Path) -> None:
    """Print a table of all finished runs in and below `folders`, and write a page with the rest.

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


def write_page(runs: list[FinishedRun], left_out: list[str], page: Path) -> list[dict[str, Any]]:
    """Write the page and return what it says: a section for each set of data."""
    sections = [_section(groups) for groups in group_runs(runs)]
    environment = Environment(loader=PackageLoader("digits.reporting", ""), autoescape=True, trim_blocks=True)
    write_text(page, environment.get_template("compare.html.j2").render(sections=sections, left_out=left_out))
    return sections


def _section(groups: list[Group]) -> dict[str, Any]:
    """All that is said of the runs on one set of data."""
    speeds: dict[tuple[str, int], tuple[float, float]] = {}
    rows = []
    for group in groups:
        first = group.runs[0]
        network = (first.metrics["model"], first.metrics["onnx"]["bytes"])
        if network not in speeds:  # the same network takes the same time
            speeds[network] = speed(first.folder / "model.onnx")
        milliseconds, per_second = speeds[network]
        rows.append(
            {
                "name": group.name,
                "seeds": len(group.runs),
                "accuracy": group.mean("test/accuracy"),
                "spread": group.spread("test/accuracy"),
                "ece": group.mean("test/ece"),
                "parameters": first.metrics["parameters"],
                "bytes": first.metrics["onnx"]["bytes"],
                "fit_seconds": group.mean("fit_seconds"),
                "milliseconds": milliseconds,
                "per_second": per_second,
            }
        )
    best = groups[:MOST]
    right = np.stack([_right(group.runs[0]) for group in best])
    images = _test_images(best[0].runs[0])
    only_one = [(index, best[int(right[:, index].argmax())].name) for index in (right.sum(axis=0) == 1).nonzero()[0]]
    none = [(index, "") for index in (right.sum(axis=0) == 0).nonzero()[0]]
    return {
        "dataset": groups[0].runs[0].metrics["dataset"],
        "rows": rows,
        "plots": [Markup(figures.svg(figures.cost(rows, key))) for key in ("fit_seconds", "milliseconds")],
        "pairs": [_pair(one, other, right) for one, other in combinations(list(enumerate(best)), 2)],
        "only_one": {"count": len(only_one), "shown": _pictures(only_one, best, images)} if len(best) > 1 else None,
        "none": {"count": len(none), "shown": _pictures(none, best, images)},
    }


def speed(path: Path) -> tuple[float, float]:
    """Milliseconds for one picture and pictures a second in batches of 256, on one thread."""
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


def _right(run: FinishedRun) -> np.ndarray:
    """Which test pictures a run reads right, bool [N]."""
    with (run.folder / "report" / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return np.array([row["label"] == row["prediction"] for row in csv.DictReader(file)])


def _pair(one: tuple[int, Group], other: tuple[int, Group], right: np.ndarray) -> dict[str, Any]:
    """McNemar's exact test: of the pictures that only one of two reads right, are there more on one side?

    Q. McNemar, "Note on the sampling error of the difference between correlated proportions", 1947.
    """
    only_one = int((right[one[0]] & ~right[other[0]]).sum())
    only_other = int((~right[one[0]] & right[other[0]]).sum())
    differing = only_one + only_other
    chance = binomtest(only_one, differing).pvalue if differing else 1.0
    return {"names": (one[1].name, other[1].name), "counts": (only_one, only_other), "p": chance}


def _test_images(run: FinishedRun) -> Tensor | None:
    """The test split a run was judged on; None where its files are no longer there."""
    config = OmegaConf.load(run.folder / ".hydra" / "config.yaml")
    data = instantiate(config.data, _convert_="all")
    try:
        data.setup()
    except DataError:
        return None
    return data.test_images if data.sha256 == run.metrics["dataset"]["sha256"] else None


def _pictures(found: list[tuple[int, str]], groups: list[Group], images: Tensor | None) -> list[dict[str, Any]]:
    if images is None or not found:
        return []
    with (groups[0].runs[0].folder / "report" / "predictions.csv").open(newline="", encoding="utf-8") as file:
        labels = [row["label"] for row in csv.DictReader(file)]
    return [
        {"image": data_uri(images[index, 0]), "index": index, "label": labels[index], "name": name}
        for index, name in found[:SHOWN]
    ]


def _print(section: dict[str, Any]) -> None:
    dataset = section["dataset"]
    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        title=f"{dataset['name']}, {dataset['test']:,} test digits: {dataset['test_split']}",
    )
    table.add_column("run", overflow="fold", min_width=16)
    for column in ("seeds", "accuracy %", "ECE", "numbers", "ONNX kB", "fit s", "ms", "images/s"):
        table.add_column(column, justify="right")
    for row in section["rows"]:
        spread = f" ± {100 * row['spread']:.2f}" if row["spread"] is not None else ""
        table.add_row(
            row["name"],
            str(row["seeds"]),
            f"{100 * row['accuracy']:.2f}{spread}",
            f"{row['ece']:.4f}",
            f"{row['parameters']:,}",
            f"{row['bytes'] / 1000:,.0f}",
            f"{row['fit_seconds']:.1f}",
            f"{row['milliseconds']:.3f}",
            f"{row['per_second']:,.0f}",
        )
    Console(width=max(100, Console().width)).print(table)  # narrower, it would lose columns
