"""Measure how fast this is, beside loops that do the same by other means: a table here, and as JSON and Markdown."""

import argparse
from datetime import datetime
from pathlib import Path

from digits.cli import plain_errors

QUICK = ["speedrun", "overhead", "loader", "augmentation", "commands", "start", "onnx"]
PARTS = [*QUICK, "example", "recipes", "growth", "ddp"]


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"once, and only {', '.join(QUICK)}")
    parser.add_argument("--only", nargs="+", metavar="PART", choices=PARTS, help=f"of {', '.join(PARTS)}")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="in place of outputs/benchmark/<date>_<time>")
    arguments = parser.parse_args()

    from digits.benchmark.record import benchmark

    folder = arguments.out or Path(f"outputs/benchmark/{datetime.now():%Y-%m-%d_%H-%M-%S}")
    benchmark(list(dict.fromkeys(arguments.only or (QUICK if arguments.quick else PARTS))), arguments.quick, folder)


if __name__ == "__main__":
    with plain_errors():
        main()
