"""Test a finished run's best checkpoint again and rewrite its report."""

import argparse
from pathlib import Path

from digits.run_folder import RunFolder
from plain_errors import plain_errors


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, nargs="?", help="a run's folder (default: the newest one in outputs)")
    run = parser.parse_args().run
    folder = RunFolder(run) if run else RunFolder.newest()

    from digits.reporting.report import print_summary, write_report
    from digits.training.finish import evaluate_again, metrics_of

    evaluation, record = evaluate_again(folder)
    metrics = metrics_of(folder, evaluation, record)
    write_report(folder, metrics, evaluation, record)
    print_summary(folder, metrics)


if __name__ == "__main__":
    with plain_errors():
        main()
