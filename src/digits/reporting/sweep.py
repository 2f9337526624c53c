"""A sweep's jobs in one table: mean and spread over seeds."""

import json
from pathlib import Path
from statistics import mean, stdev

from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table


def print_sweep(folder: Path) -> bool:
    """Print a row for each setting of a sweep, its jobs' seeds taken together.

    Args:
        folder: of the sweep; a numbered run folder in it for each job.

    Returns:
        Whether all jobs finished.
    """
    jobs = sorted((path.parent for path in folder.glob("*/.hydra")), key=lambda job: int(job.name))
    overrides = [[str(each) for each in OmegaConf.load(job / ".hydra" / "overrides.yaml")] for job in jobs]
    shared = set(overrides[0]).intersection(*overrides) if len(jobs) > 1 else set()
    settings: dict[str, list[Path]] = {}
    for job, own in zip(jobs, overrides, strict=True):
        setting = "\n".join(each for each in own if each not in shared and not each.startswith("seed="))
        settings.setdefault(setting, []).append(job)

    title = " ".join([f"{len(jobs)} jobs in {folder}", *(each for each in overrides[0] if each in shared)])
    table = Table(title=title, title_justify="left")
    table.add_column("setting", overflow="fold")
    for column in ("seeds", "test accuracy", "validation", "fit", "failed"):
        table.add_column(column, justify="right")
    all_finished = True
    for setting, members in settings.items():
        failed = [job.name for job in members if _read(job / "run.json").get("status") != "finished"]
        metrics = [_read(job / "report" / "metrics.json") for job in members if job.name not in failed]
        metrics = [values for values in metrics if values]  # a dry run finishes without a report
        all_finished = all_finished and not failed
        table.add_row(
            setting or "(all the same)",
            str(len(metrics)),
            _percent([values["test/accuracy"] for values in metrics]),
            _percent([values["val/accuracy"] for values in metrics if values["val/accuracy"] is not None]),
            f"{mean(values['fit_seconds'] for values in metrics):.1f} s" if metrics else "",
            ", ".join(f"#{name}" for name in failed),
        )
    Console().print(table)
    return all_finished


def _read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _percent(shares: list[float]) -> str:
    """Mean ± sample standard deviation, in percent."""
    if not shares:
        return ""
    spread = f" ± {100 * stdev(shares):.2f}" if len(shares) > 1 else ""
    return f"{100 * mean(shares):.2f}{spread} %"
