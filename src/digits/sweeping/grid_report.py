"""The results of a sweep: a table with mean and deviation over seeds, and a page."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from digits.record import read_record
from digits.reporting.compare import write_page
from digits.reporting.runs import find_runs, group_runs
from digits.sweeping.grid import read_jobs


def report_sweep(folder: Path) -> bool:
    """Print a row for each setting of a sweep, its seeds together, and a line for each job that did not finish.

    The comparison of the runs is written to index.html in the folder.

    Args:
        folder: of the sweep.

    Returns:
        Whether all jobs finished.
    """
    records = [read_record(folder / str(number)) for number in range(len(read_jobs(folder)))]
    runs, left_out = find_runs([folder])
    table = Table(title=f"{len(records)} jobs in {folder}", title_justify="left")
    table.add_column("run", overflow="fold")
    for column in ("seeds", "test accuracy", "validation accuracy", "fit"):
        table.add_column(column, justify="right")
    for group in (group for groups in group_runs(runs) for group in groups):
        validation = f"{group.val_accuracy.percent()} %" if group.val_accuracy else ""
        cells = [str(len(group.runs)), f"{group.test_accuracy.percent()} %", validation]
        table.add_row(group.name, *cells, f"{group.fit_seconds.mean:.1f} s")
    Console().print(table)
    if runs:
        write_page(runs, left_out, folder / "index.html")
        print(f"page: {folder / 'index.html'}")
    for number, record in enumerate(records):
        if record.status != "finished":
            print(f"#{number} {record.status}: {record.error or 'killed'}")
    return all(record.status == "finished" for record in records)
