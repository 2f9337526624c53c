"""The results of a search: its best trial tested, the same as an experiment file, and a page."""

import shlex
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

from filelock import FileLock
from hydra import compose
from omegaconf import DictConfig, OmegaConf
from optuna.importance import get_param_importances

from digits.errors import DigitsError
from digits.files import write_text
from digits.record import Metrics, flat, read_metrics, read_record
from digits.reporting.figures import svg
from digits.reporting.pages import render
from digits.sweeping.search import Search
from digits.sweeping.search_figures import history, parallel
from digits.sweeping.trials import TrialRow, row_of, short
from digits.training.finish import config_of, finish_trial

GROUPS = ("data", "trainer", "callbacks", "logger", "model")
NOT_IN_EXPERIMENT = ("search.", "callbacks.pruning.", "run_folder", "trainer.enable_")


def report_search(folder: Path, config: DictConfig) -> None:
    """Test the best trial unless that is done, and say how it was found and how to train it again.

    Args:
        folder: of the search.
        config: as composed for the search.

    Raises:
        DigitsError: no trial has a value.
    """
    search = Search.of(config, folder)
    with FileLock(folder / ".locks" / "end"):  # of two processes that end at once, one tests
        with search.storage.opened():
            trials = search.storage.study().trials
        rows = [row_of(search, trial) for trial in trials]
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
            raise DigitsError(f"no trial of {folder} has a value; search smaller ranges, in another folder")
        trial = folder / str(best.number)
        metrics = read_metrics(trial) if read_record(trial).reported else finish_trial(trial)
        accuracy = f"test accuracy {metrics.test_accuracy:.2%}"
        command = _write_experiment(folder, best, f"{len(rows)} trials ({counted})", accuracy)
        _write_page(search, rows, best, metrics, command)
    print(f"best: #{best.number}, {best.metric} {best.value_text}, {accuracy}: {best.settings}")
    print(f"page: {folder / 'index.html'}")
    print(f"again: {command}")


def _write_experiment(folder: Path, best: TrialRow, trials: str, accuracy: str) -> str:
    """Write experiment/best.yaml: how the best trial's config differs from the defaults. Returns how to run it."""
    trial = folder / str(best.number)
    own = OmegaConf.load(trial / ".hydra" / "hydra.yaml").hydra
    usual = compose("train", return_hydra_config=True).hydra.runtime.choices
    chosen = {group: own.runtime.choices[group] for group in GROUPS if own.runtime.choices[group] != usual[group]}
    deleted = [text for text in own.overrides.task if text.startswith("~")]  # a file cannot delete
    command = shlex.join(["python", "train.py", "--config-dir", str(folder), "experiment=best", *deleted])
    found = f"# The best of {trials} of a search over {', '.join(best.params)}: trial {best.number}, "
    found += f"{best.metric} {best.value_text}, {accuracy}."
    lines = ["# @package _global_", *textwrap.wrap(found, 118, subsequent_indent="# "), f"# {command}"]
    if chosen:
        lines += ["defaults:", *(f"  - override /{group}: {choice or 'null'}" for group, choice in chosen.items())]
    settings = _different_settings(trial, chosen, best)
    lines.append(OmegaConf.to_yaml(settings) if len(settings) else "")
    write_text(folder / "experiment" / "best.yaml", "\n".join(lines))
    return command


def _different_settings(trial: Path, chosen: dict[str, str | None], best: TrialRow) -> DictConfig:
    """What differs from the config that the chosen groups alone make. Interpolations stay as they are written."""
    base = compose("train", [f"{group}={choice or 'null'}" for group, choice in chosen.items()])
    configs: list[Any] = [OmegaConf.to_container(config) for config in (base, config_of(trial))]
    usual, own = map(flat, configs)
    settings = OmegaConf.create()
    for key, value in own.items():
        if key.startswith(NOT_IN_EXPERIMENT):
            continue
        if key in best.params or key not in usual or usual[key] != value:
            OmegaConf.update(settings, key, value, force_add=True)
    return settings


def _write_page(search: Search, rows: list[TrialRow], best: TrialRow, metrics: Metrics, command: str) -> None:
    complete = [row for row in rows if row.state == "complete"]
    with search.storage.opened():
        study = search.storage.study()
        space = study.trials[best.number].distributions
        shares = get_param_importances(study) if len(complete) > 1 else {}
    unit = "validation errors (%)" if search.metric == "val/accuracy" else "validation loss (nats)"
    order = ("complete", "pruned", "failed")
    page = render(
        "search.html.j2",
        package="digits.sweeping",
        name=search.folder.name,
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
