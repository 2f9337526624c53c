"""Measure how fast this is, next to plain reference loops: a table here, and files with every value and a picture."""

import argparse
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from digits.cli import plain_errors
from processes import HERE, results, run

Run = list[dict[str, Any]]  # what a process printed, a line an epoch; the last one has all figures


def main() -> None:
    """Read the command line and do it."""
    parts = yaml.safe_load((HERE / "parts.yaml").read_text(encoding="utf-8"))
    quick = [name for name, part in parts.items() if "quick" in part]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"once, and only {', '.join(quick)}")
    parser.add_argument("--only", nargs="+", metavar="PART", choices=parts, help=f"of {', '.join(parts)}")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="instead of outputs/benchmark/<date>_<time>")
    arguments = parser.parse_args()
    names = arguments.only or (quick if arguments.quick else parts)
    folder = arguments.out or Path(f"outputs/benchmark/{datetime.now():%Y-%m-%d_%H-%M-%S}")
    benchmark({name: parts[name] for name in names}, arguments.quick, folder)


def benchmark(parts: dict[str, Any], quick: bool, folder: Path) -> None:
    """Measure `parts`, print the table and write what is there into `folder`, after each part.

    Raises:
        DigitsError: a process failed; what was measured before is kept.
    """
    from machine import machine
    from results import compare, save  # torch and matplotlib, which --help does without

    record = machine() | {"quick": quick, "parts": parts}
    try:
        for part in parts.values():
            part["runs"] = {name: [] for name in part["commands"]}
            for seed in range(1, 2 if quick else 1 + part["times"]):
                for name, command in part["commands"].items():
                    words = [command, *(part.get("quick", []) if quick else []), f"trainer.accelerator=cpu seed={seed}"]
                    part["runs"][name].append(measured(" ".join(words), part.get("until", "")))
            compare(part)
            save(record, folder)
    finally:
        text = save(record, folder)
        print(text, f"written to {folder}", sep="\n", flush=True)


def measured(command: str, until: str) -> Run:
    """Run a command in a folder that is not kept; a run folder in it adds figures, accuracies in percent."""
    with TemporaryDirectory() as cwd:
        lines = run(command, Path(cwd), until if command.startswith("train.py") else "")
        for path in Path(cwd).glob("outputs/*/*/report/metrics.json"):
            found = results(path.parents[1])
            lines[-1] |= {"seconds": found["seconds"]["fit"], "epochs": found["fit_seconds"]}
            lines[-1] |= {"percent": 100 * found["test/accuracy"], "validation": 100 * found["val/accuracy"]}
    return lines


if __name__ == "__main__":
    with plain_errors():
        main()
