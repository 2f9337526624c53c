"""A benchmark from its first part to its table; what is measured is written down at once."""

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from digits.benchmark.parts import NEED_MNIST, PARTS, Bench, mnist
from digits.benchmark.picture import draw
from digits.files import write_text
from digits.training.run import git_state, hardware, versions


def benchmark(names: list[str], quick: bool, folder: Path) -> None:
    """Measure the parts named, print the table and write it as JSON and Markdown into `folder`.

    Raises:
        DataError: MNIST is needed and not there.
        DigitsError: a process failed; what was measured before is kept.
    """
    if not quick or NEED_MNIST & set(names):
        mnist()
    bench = Bench(quick)
    record: dict[str, Any] = {
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "quick": quick,
        "git": git_state(),
        "versions": versions(),
        "hardware": hardware(),
        "rows": [],
        "curves": bench.curves,
        "points": bench.points,
        "processes": bench.run.log,
    }
    try:
        for name in names:
            record["rows"] += [asdict(row) for row in PARTS[name](bench)]
            _write(record, folder)
    finally:
        _write(record, folder)
        print(markdown(record), f"written to {folder}", sep="\n", flush=True)


def _write(record: dict[str, Any], folder: Path) -> None:
    write_text(folder / "benchmark.json", json.dumps(record, indent=1, ensure_ascii=False))
    write_text(folder / "benchmark.md", markdown(record))
    if record["points"] or record["curves"]:
        draw(record, folder)


def markdown(record: dict[str, Any]) -> str:
    """The machine, a table of what was held against what, and one of what accuracy costs."""
    machine, with_ = record["hardware"], record["versions"]
    words = [record["started"][:10], machine["cpu"], f"{machine['cores']} cores", f"{machine['threads']} threads"]
    words += [machine["system"], *(f"{name} {with_[name]}" for name in ("python", "torch", "lightning"))]
    words += ["a quick run, whose figures mean little"] if record["quick"] else []
    lines = [", ".join(words), ""]
    lines += ["| what | ours | beside | comes to | wanted |", "| --- | --- | --- | --- | --- |"]
    for row in record["rows"]:
        met = row["value"] >= row["bound"] if row["sign"] == "≥" else row["value"] <= row["bound"]
        value = f"{row['value']:.4g} {row['unit']}"
        theirs = f"{_middle(row, 'theirs')} ({row['against']})" if row["theirs"] else ""
        wanted = f"{row['sign']} {row['bound']:g}{'' if met else ', missed'}"
        lines.append(f"| {row['what']} | {_middle(row, 'ours')} | {theirs} | {value} | {wanted} |")
    if record["points"] or record["curves"]:
        lines += ["", "| trained | seeds | validation % | test % | fit, s |", "| --- | --- | --- | --- | --- |"]
    for name, runs in record["points"].items():
        val = mean(100 * run["val"] for run in runs)
        lines.append(f"| `{name}` | {len(runs)} | {val:.2f} | {_tests(runs, 'test')} | {_fit(runs, 'fit')} |")
    for name, curves in record["curves"].items():
        ends = [curve[-1] for curve in curves]
        lines.append(f"| {name} | {len(ends)} | | {_tests(ends, 'accuracy')} | {_fit(ends, 'seconds')} |")
    return "\n".join(lines) + "\n"


def _tests(runs: list[dict[str, Any]], key: str) -> str:
    return _mean([100 * run[key] for run in runs])


def _fit(runs: list[dict[str, Any]], key: str) -> str:
    return f"{median(run[key] for run in runs):.3g}"


def _mean(values: list[float]) -> str:
    """Mean ± standard deviation, where there are several."""
    return f"{mean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


def _middle(row: dict[str, Any], whose: str) -> str:
    """Of accuracies the mean, else the median."""
    if "accuracy" in row["what"]:
        return _mean(row[whose])
    return f"{median(row[whose]):,.0f}" if median(row[whose]) >= 1000 else f"{median(row[whose]):.3g}"
