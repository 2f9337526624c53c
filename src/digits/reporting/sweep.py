"""A sweep's jobs in one table: mean and spread over seeds."""

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from digits.reporting.runs import Group, find_runs, group_runs


def print_sweep(folder: Path) -> bool:
    """Print a row for each setting of a sweep, its seeds taken together, and a line for each job that failed.

    Args:
        folder: of the sweep; a numbered run folder in it for each job.

    Returns:
        Whether all jobs finished.
    """
    records = {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*/run.json")}
    failed = {name: record for name, record in records.items() if record["status"] != "finished"}
    table = Table(title=f"{len(records)} jobs in {folder}", title_justify="left")
    table.add_column("run", overflow="fold")
    for column in ("seeds", "test accuracy", "validation accuracy", "fit"):
        table.add_column(column, justify="right")
    runs, _ = find_runs([folder])
    for groups in group_runs(runs):
        for group in groups:
            shares = [percent(group, key) for key in ("test/accuracy", "val/accuracy")]
            table.add_row(group.name, str(len(group.runs)), *shares, f"{group.mean('fit_seconds'):.1f} s")
    Console().print(table)
    for name, record in sorted(failed.items(), key=lambda item: int(item[0])):
        print(f"#{name} {record['status']}: {record.get('error', 'killed')}")
    return not failed


def percent(group: Group, key: str) -> str:
    """Mean ± standard deviation of a share, in percent; nothing where a run has none."""
    if any(run.metrics[key] is None for run in group.runs):
        return ""
    spread = group.spread(key)
    return f"{100 * group.mean(key):.2f}" + (f" ± {100 * spread:.2f} %" if spread is not None else " %")
