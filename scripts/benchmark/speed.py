"""Measure how fast this project is, next to plain reference loops: a table here, and files in outputs/benchmark/."""

import argparse
from pathlib import Path
from statistics import mean, median, stdev
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from digits.run_folder import RunFolder
from plain_errors import plain_errors
from processes import HERE, busy, run
from results import Runs, draw, save, table

# How our value is compared with the reference's, by the unit of the target.
COMPARISONS = {
    "times": lambda ours, reference: ours / reference,
    "times as fast": lambda ours, reference: reference / ours,
    "s more": lambda ours, reference: ours - reference,
}


def main() -> None:
    """Read the command line and measure."""
    parts = yaml.safe_load((HERE / "parts.yaml").read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="PART", choices=parts, default=parts, help=", ".join(parts))
    benchmark({name: parts[name] for name in parser.parse_args().only})


def benchmark(parts: dict[str, Any]) -> None:
    """Measure parts of parts.yaml; print and write the results, also those before a command that failed."""
    rows: list[list[str]] = []
    curves: dict[str, Runs] = {}
    try:
        for part in parts.values():
            runs: dict[str, Runs] = {name: [] for name in part["commands"]}
            part["runs"] = runs
            for seed in range(1, 1 + part["times"]):
                for name, command in part["commands"].items():
                    with busy(part.get("busy", {}).get(name, 0)):
                        runs[name].append(measured(f"{command} seed={seed}", part.get("until", {}).get(name, "")))
            rows += [compared(name, row, runs) for name, row in part["rows"].items()]
            curves |= {name: runs[name] for name in part.get("in_picture", [])}
    finally:
        folder = save("benchmark", {"parts": parts}, table(("what", "ours", "reference", "result", "target"), rows))
        if curves:
            draw(curves, folder)


def measured(command: str, until: str) -> list[dict[str, Any]]:
    """Run a command on the CPU and return what it printed. A run of train.py adds its figures to the last line."""
    with TemporaryDirectory() as cwd:
        lines = run(f"{command} trainer.accelerator=cpu", Path(cwd), until)
        for folder in RunFolder.below(Path(cwd)):
            if folder.record().reported:  # not if it was killed at `until`
                record, metrics = folder.record(), folder.metrics()
                fit, percent = record.seconds["fit"], 100 * metrics.test_accuracy
                lines[-1] |= {"seconds": fit, "epochs": metrics.fit_seconds, "percent": percent}
    return lines


def compared(name: str, row: dict[str, Any], runs: dict[str, Runs]) -> list[str]:
    """Compare a row's figure with its reference and its target, note that in the row, and return the table's cells."""
    sign, target, unit = row["target"].split(maxsplit=2)
    row["values"] = [[run[-1][row["figure"]] for run in runs[row[key]]] for key in ("ours", "reference") if key in row]
    ours, reference = row["values"][0], row["values"][-1]
    results = [COMPARISONS[unit](*pair) for pair in zip(*row["values"], strict=True)] if unit in COMPARISONS else ours
    value = row["value"] = mean(results) if unit == "%" else median(results)
    row["met"] = value >= float(target) if sign == "≥" else value <= float(target)
    other = f"{in_words(reference, unit)} ({row['reference']})" if "reference" in row else ""
    missed = "" if row["met"] else ", missed"
    return [name, in_words(ours, unit), other, f"{value:.4g} {unit}", f"{sign} {target}{missed}"]


def in_words(values: list[float], unit: str) -> str:
    """The mean ± standard deviation of percentages, the median of other values."""
    if unit == "%":
        return f"{mean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")
    return f"{median(values):,.0f}" if median(values) >= 1000 else f"{median(values):.3g}"


if __name__ == "__main__":
    with plain_errors():
        main()
