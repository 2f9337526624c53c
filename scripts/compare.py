"""Compare all finished runs: a table here, and a page with figures, disagreements and significance."""

import argparse
import shlex
import sys
from pathlib import Path

from plain_errors import plain_errors


def main() -> None:
    """Read the command line and compare the runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="*", help="runs, or folders that hold them (default: outputs)")
    parser.add_argument("--page", type=Path, default=Path("comparison.html"), help="where to write the page")
    parser.add_argument("--tag", help="only runs with this tag")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="also write a row for each run, comma-separated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the same as a list of objects")
    arguments = parser.parse_args()

    from digits.reporting.compare import compare

    folders, command = arguments.folders or [Path("outputs")], shlex.join(["python", *sys.argv])
    compare(folders, arguments.page, command, arguments.tag, arguments.csv, arguments.json)


if __name__ == "__main__":
    with plain_errors():
        main()
