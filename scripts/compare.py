"""Compare all finished runs: a table here, and a page with figures, disagreements and significance."""

import argparse
from pathlib import Path

from digits.cli import plain_errors


def main() -> None:
    """Read the command line and compare the runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="*", help="runs, or folders that hold them (default: outputs)")
    parser.add_argument("--page", type=Path, default=Path("comparison.html"), help="where to write the page")
    arguments = parser.parse_args()

    from digits.reporting.compare import compare

    compare(arguments.folders or [Path("outputs")], arguments.page)


if __name__ == "__main__":
    with plain_errors():
        main()
