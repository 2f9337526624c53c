"""Of the parts that speed.py has measured: values against targets, two tables, a picture."""

from collections.abc import Callable
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from machine import in_words
from picture import Runs, draw
from table import table, write

# What is made of a pair of values, by the unit of the result. Both are larger while something else runs.
PAIRS: dict[str, Callable[[float, float], float]] = {
    "times as fast": lambda ours, theirs: theirs / ours,
    "times as long": lambda ours, theirs: ours / theirs,
    "times as many": lambda ours, theirs: ours / theirs,
    "times as much": lambda ours, theirs: ours / theirs,
    "% of it": lambda ours, theirs: 100 * ours / theirs,
    "s more": lambda ours, theirs: ours - theirs,
}


def compare(part: dict[str, Any]) -> None:
    """Add to each row of a part its values, what is made of them, and whether that meets the target."""
    for row in part["rows"].values():
        sign, target, unit = row["target"].split(maxsplit=2)
        runs = [part["runs"][row[whose]] for whose in ("ours", "theirs") if whose in row]
        row["values"] = [[run[-1][row["figure"]] for run in each] for each in runs]
        made = [PAIRS[unit](*pair) for pair in zip(*row["values"], strict=True)] if unit in PAIRS else row["values"][0]
        row["value"] = mean(made) if unit == "%" else median(made)
        row["met"] = row["value"] >= float(target) if sign == "≥" else row["value"] <= float(target)


def save(record: dict[str, Any], folder: Path) -> str:
    """Write what is there of a benchmark; return the Markdown."""
    parts = record["parts"].values()
    rows = [cells(what, row) for part in parts for what, row in part["rows"].items() if "value" in row]
    note = ", a quick run, whose figures mean little" if record["quick"] else ""
    text = f"{in_words(record)}{note}\n\n{table(('what', 'ours', 'reference', 'result', 'target'), rows)}"
    trained: dict[str, Runs] = {}
    for part in parts:
        for name, runs in part.get("runs", {}).items() if part.get("in_picture") else ():
            trained.setdefault(name, runs)
    trained = {name: runs for name, runs in trained.items() if runs}
    if trained:
        head = ("trained", "seeds", "validation %", "test %", "fit, s")
        text += f"\n{table(head, [trained_cells(name, runs) for name, runs in trained.items()])}"
    write(folder, "benchmark", record, text)
    if trained:
        draw(trained, folder)
    return text


def cells(what: str, row: dict[str, Any]) -> list[str]:
    """A row of the table of figures."""
    sign, target, unit = row["target"].split(maxsplit=2)
    ours, *theirs = (shown(values, unit) for values in row["values"])
    reference = f"{theirs[0]} ({row['theirs']})" if theirs else ""
    return [what, ours, reference, f"{row['value']:.4g} {unit}", f"{sign} {target}{'' if row['met'] else ', missed'}"]


def trained_cells(name: str, runs: Runs) -> list[object]:
    """A row of the table of what was trained."""
    columns = [[run[-1][key] for run in runs if key in run[-1]] for key in ("validation", "percent", "seconds")]
    texts = [shown(values, unit) if values else "" for values, unit in zip(columns, "%%s", strict=True)]
    return [f"`{name}`" if "=" in name else name, len(runs), *texts]


def shown(values: list[float], unit: str) -> str:
    """Of percentages the mean ± standard deviation, else the median."""
    if unit == "%":
        return f"{mean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")
    return f"{median(values):,.0f}" if median(values) >= 1000 else f"{median(values):.3g}"
