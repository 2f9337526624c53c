"""A sweep's jobs in one table, mean and spread over seeds, and on one page."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from digits.reporting.compare import write_page
from digits.reporting.runs import Group, find_runs, group_runs
from digits.sweeping.grid import read_jobs, read_record


def report_sweep(folder: Path) -> bool:
    """Print a row for each setting of a sweep, its seeds taken together, and a line for each job that failed.

    What scripts/compare.py says of them is written to index.html in the folder.

    Args:
        folder: of the sweep; a numbered run folder in it for each job.

    Returns:
        Whether all jobs finished.
    """
    records = [read_record(folder / str(number)) for number in range(len(read_jobs(folder)))]
    table = Table(title=f"{len(records)} jobs in {folder}", title_justify="left")
    table.add_column("run", overflow="fold")
    for column in ("seeds", "test accuracy", "validation accuracy", "fit"):
        table.add_column(column, justify="right")
    runs, left_out = find_runs([folder])
    for groups in group_runs(runs):
        for group in groups:
            shares = [percent(group, key) for key in ("test/accuracy", "val/accuracy")]
            table.add_row(group.name, str(len(group.runs)), *shares, f"{group.mean('fit_seconds'):.1f} s")
    Console().print(table)
    if runs:
        write_page(runs, left_out, folder / "index.html")
        print(f"page: {folder / 'index.html'}")
    statuses = [record.get("status", "not begun") for record in records]
    for number, status in enumerate(statuses):
        if status != "finished":
            print(f"#{number} {status}: {records[number].get('error', 'killed')}")
    return set(statuses) <= {"finished"}


def percent(group: Group, key: str) -> str:
    """Mean ± standard deviation of a share, in percent; nothing where a run has none."""
    if any(run.metrics[key] is None for run in group.runs):
        return ""
    spread = group.spread(key)
    return f"{100 * group.mean(key):.2f}" + (f" ± {100 * spread:.2f} %" if spread is not None else " %")
