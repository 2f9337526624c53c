"""A benchmark from its first part to its table; what is measured is written down at once."""

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from digits.atomic import write_text
from digits.benchmark.parts import NEED_MNIST, PARTS, Bench, mnist
from digits.run import git_state, hardware, versions


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
            write_text(folder / "benchmark.json", json.dumps(record, indent=1, ensure_ascii=False))
    finally:
        write_text(folder / "benchmark.json", json.dumps(record, indent=1, ensure_ascii=False))
        write_text(folder / "benchmark.md", text := markdown(record))
        print(text, f"{folder}", sep="\n")


def markdown(record: dict[str, Any]) -> str:
    """The machine and the table."""
    machine, versions = record["hardware"], record["versions"]
    lines = [
        f"{record['started'][:10]}, {machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads, "
        f"{machine['system']}, Python {versions['python']}, torch {versions['torch']}, "
        f"lightning {versions['lightning']}" + (", quick: each measured once or little" if record["quick"] else ""),
        "",
        "| what | ours | reference | ours to reference | wanted |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in record["rows"]:
        theirs = f"{_middle(row, 'theirs')} ({row['against']})" if row["theirs"] else ""
        met = row["value"] >= row["bound"] if row["sign"] == "≥" else row["value"] <= row["bound"]
        value, unit = f"{row['value']:.4g}", row["unit"]
        wanted = f"{row['sign']} {row['bound']:g} {unit}{'' if met else ', missed'}"
        lines.append(f"| {row['what']} | {_middle(row, 'ours')} | {theirs} | {value} {unit} | {wanted} |")
    return "\n".join(lines) + "\n"


def _middle(row: dict[str, Any], whose: str) -> str:
    """Of accuracies mean ± standard deviation, else the median."""
    values = row[whose]
    if "accuracy" not in row["what"]:
        return f"{median(values):,.0f}" if median(values) >= 1000 else f"{median(values):.3g}"
    spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
    return f"{mean(values):.2f}{spread}"
