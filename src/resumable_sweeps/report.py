"""The results of a sweep, and of a search: a table or one line in the terminal, and a page."""

import shlex
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

from filelock import FileLock
from hydra import compose
from omegaconf import DictConfig, OmegaConf
from optuna.importance import get_param_importances

from atomic_files import write_text
from digits.record import Metrics
from digits.reporting.compare import print_table, write_page
from digits.reporting.figures import svg
from digits.reporting.pages import render
from digits.reporting.runs import find_runs
from digits.run_folder import RunFolder
from digits.settings import flat, short
from digits.training.finish import finish_trial
from plain_errors import PlainError
from resumable_sweeps.grid import read_jobs
from resumable_sweeps.search import Search, TrialRow
from resumable_sweeps.search_figures import history, parallel

GROUPS = ("data", "trainer", "callbacks", "logger", "model", "optimizer")
NOT_IN_EXPERIMENT = ("search.", "callbacks.pruning.", "run_folder", "trainer.enable_")


def report_sweep(folder: Path) -> bool:
    """Print a row for each setting of a sweep, its seeds together, and a line for each job that did not finish.

    The comparison of the runs is written to index.html in the folder.

    Returns:
        Whether all jobs finished.
    """
    jobs, page = read_jobs(folder), folder / "index.html"
    records = [RunFolder(folder / str(number)).record() for number in range(len(jobs))]
    runs, left_out = find_runs([folder])
    print(f"{len(jobs)} jobs in {folder}")
    if runs:
        swept = _swept(jobs)
        title = f"Sweep over {', '.join(swept) or folder.name}"
        for section in write_page(runs, left_out, page, title, records[0].command, swept=swept):
            print_table(section, without=("ms/image", "images/s"))  # these differ each time
        print(f"page: {page}")
    for number, record in enumerate(records):
        if record.status != "finished":
            print(f"#{number} {record.status}: {record.error or 'killed'}")
    return all(record.status == "finished" for record in records)


def _swept(jobs: list[list[str]]) -> dict[str, list[str]]:
    """The keys in which jobs differ, with their values."""
    pairs = [text.partition("=")[::2] for job in jobs for text in job]
    values = {key: list(dict.fromkeys(value for other, value in pairs if other == key)) for key, _ in pairs}
    return {key: found for key, found in values.items() if len(found) > 1}


def report_search(folder: Path, config: DictConfig) -> None:
    """Test the best trial unless that is done, and say how it was found and how to train it again.

    Raises:
        PlainError: no trial has a value.
    """
    search = Search.of(config, folder)
    with FileLock(folder / ".locks" / "end"):  # of two processes that end at once, one tests
        with search.database.opened():
            rows = [search.row_of(trial) for trial in search.database.study().trials]
        counts = Counter(row.state for row in rows)
        counted = ", ".join(f"{counts[state]} {state}" for state in ("complete", "pruned", "failed") if counts[state])
        print(f"{len(rows)} trials in {folder}: {counted}, {sum(row.seconds for row in rows):.0f} s")
        if counts["running"]:
            print(f"{counts['running']} still run in another process, which will test the best")
            return
        if counts["failed"]:
            print("failed:", *(f"#{row.number}" for row in rows if row.state == "failed"))
        best = min((row for row in rows if row.state == "complete"), key=lambda row: row.cost, default=None)
        if best is None:
            raise PlainError(f"no trial of {folder} has a value; search smaller ranges, in another folder")
        trial = folder / str(best.number)
        metrics = RunFolder(trial).metrics() if RunFolder(trial).record().reported else finish_trial(RunFolder(trial))
        result = f"{search.metric} {best.value}, test accuracy {metrics.test_accuracy:.2%}"
        command = _write_experiment(trial, best, f"{len(rows)} trials ({counted})", result)
        _write_search_page(search, rows, best, metrics, command)
    print(f"best: #{best.number}, {result}: {best.settings}")
    print(f"page: {folder / 'index.html'}")
    print(f"again: {command}")


def _write_experiment(trial: Path, best: TrialRow, trials: str, result: str) -> str:
    """Write experiment/best.yaml: how the best trial's config differs from the defaults. Returns how to run it."""
    own = OmegaConf.load(trial / ".hydra" / "hydra.yaml").hydra
    choices, usual = own.runtime.choices, compose("train", return_hydra_config=True).hydra.runtime.choices
    chosen = {group: choices[group] for group in GROUPS if group in choices and choices[group] != usual[group]}
    # a config file cannot delete a key, so the command does; the experiment has no search to delete from
    deleted = [text for text in own.overrides.task if text.startswith("~") and not text.startswith("~search")]
    command = shlex.join(["python", "train.py", "--config-dir", str(trial.parent), "experiment=best", *deleted])
    found = f"# The best of {trials} of a search over {', '.join(best.params)}: trial {best.number}, {result}."
    lines = ["# @package _global_", *textwrap.wrap(found, 118, subsequent_indent="# "), f"# {command}"]
    if chosen:
        lines += ["defaults:", *(f"  - override /{group}: {choice or 'null'}" for group, choice in chosen.items())]
    settings = _different_settings(trial, chosen, best)
    lines.append(OmegaConf.to_yaml(settings) if len(settings) else "")
    write_text(trial.parent / "experiment" / "best.yaml", "\n".join(lines))
    return command


def _different_settings(trial: Path, chosen: dict[str, str | None], best: TrialRow) -> DictConfig:
    """What differs from the config that the chosen groups alone make. Interpolations stay as they are written."""
    base = compose("train", [f"{group}={choice or 'null'}" for group, choice in chosen.items()])
    configs: list[Any] = [OmegaConf.to_container(config) for config in (base, RunFolder(trial).config())]
    usual, own = map(flat, configs)
    settings = OmegaConf.create()
    for key, value in own.items():
        differs = key in best.params or key not in usual or usual[key] != value
        if differs and not key.startswith(NOT_IN_EXPERIMENT):
            OmegaConf.update(settings, key, value, force_add=True)
    return settings


def _write_search_page(search: Search, rows: list[TrialRow], best: TrialRow, metrics: Metrics, command: str) -> None:
    complete = [row for row in rows if row.state == "complete"]
    with search.database.opened():
        study = search.database.study()
        space = study.trials[best.number].distributions
        shares = get_param_importances(study) if len(complete) > 1 else {}
    unit = "validation errors (%)" if search.metric == "val/accuracy" else "validation loss (nats)"
    order = ("complete", "pruned", "failed")
    page = render(
        "search.html.j2",
        package="resumable_sweeps",
        name=search.folder.name,
        first=RunFolder(search.folder / "0").record(),
        space=space,
        rows=sorted(rows, key=lambda row: (order.index(row.state), row.cost, row.number)),
        counts={state: sum(row.state == state for row in rows) for state in order},
        best=best,
        metrics=metrics,
        command=command,
        short=short,
        history=svg(history(rows, unit)),
        shares=shares,
        parallel=svg(parallel(complete, best, space, unit)),
    )
    write_text(search.folder / "index.html", page)
