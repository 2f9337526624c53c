"""The results of a search: some lines in the terminal, a page, and the best trial as an experiment."""

import shlex
import textwrap
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock
from omegaconf import DictConfig, OmegaConf

from atomic_files import write_text
from plain_errors import PlainError
from resumable_sweeps.driver import Driver
from resumable_sweeps.importance import LEAST, importances
from resumable_sweeps.jobs import say
from resumable_sweeps.names import short
from resumable_sweeps.search_figures import history, parallel
from resumable_sweeps.space import trial_overrides
from resumable_sweeps.trials import TrialRow, Trials

ORDER = ("complete", "pruned", "failed")
WITHOUT_EFFECT = ("run_folder.", "run_label.", "trainer.enable_", "search.", "callbacks.pruning.")  # on a result


def report_search(driver: Driver, trials: Trials, plain: list[str]) -> None:
    """Finish the best trial unless that is done, and say how it was found and how to train it again.

    Raises:
        PlainError: no trial has a value.
    """
    folder = trials.folder
    with FileLock(folder / ".locks" / "end"):  # of two processes that end at once, one tests
        rows = [trials.row_of(trial) for trial in trials.journal.study().trials]
        counts = Counter(row.state for row in rows)
        counted = ", ".join(f"{counts[state]} {state}" for state in ORDER if counts[state])
        say(f"{len(rows)} trials in {folder}: {counted}, {sum(row.seconds for row in rows):.0f} s")
        if counts["running"]:
            print(f"{counts['running']} still run in another process, which will test the best")
            return
        if counts["failed"]:
            print("failed:", *(f"#{row.number}" for row in rows if row.state == "failed"))
        best = min((row for row in rows if row.state == "complete"), key=lambda row: row.cost, default=None)
        if best is None:
            raise PlainError(f"no trial of {folder} has a value; search smaller ranges, in another folder")
        results = driver.project.finish(folder / str(best.number))
        named = [f"{driver.jobs.metric} {best.value}", *(f"{name} {value}" for name, value in results.items())]
        found = f"The best of {len(rows)} trials ({counted}) of a search over {', '.join(best.params)}: "
        found += f"trial {best.number}, {', '.join(named)}."
        command = _write_experiment(driver, folder, trial_overrides(plain, best.params), found, list(best.params))
        _write_page(driver, trials, rows, best, results, command)
    say(f"best: #{best.number}, {', '.join(named)}: {best.settings}")
    print(f"page: {folder / 'index.html'}")
    print(f"again: {command}")


def _write_experiment(driver: Driver, folder: Path, overrides: list[str], found: str, searched: list[str]) -> str:
    """Write how the config of these overrides differs from the defaults, as experiment/best. Returns how to run it."""
    own, usual = driver.compose(overrides), driver.compose([])
    choices, usually = own.hydra.runtime.choices, usual.hydra.runtime.choices
    groups = [group for group in choices if not group.startswith("hydra/") and group not in ("search", "experiment")]
    chosen = {group: choices[group] or "null" for group in groups if choices[group] != usually.get(group)}
    # a config file cannot delete a key, so the command does; the experiment has no search to delete from
    deleted = [text for text in overrides if text.startswith("~") and not text.startswith("~search")]
    command = shlex.join(["python", "train.py", "--config-dir", str(folder), "experiment=best", *deleted])
    lines = ["# @package _global_", *textwrap.wrap(f"# {found}", 120, subsequent_indent="# "), f"# {command}"]
    if chosen:
        lines += ["defaults:", *(f"  - override /{group}: {choice}" for group, choice in chosen.items())]
    base = driver.compose([f"{group}={choice}" for group, choice in chosen.items()])
    settings = _different(_plain(own), _plain(base), searched)
    if settings:
        lines.append(OmegaConf.to_yaml(settings))
    write_text(folder / "experiment" / "best.yaml", "\n".join(lines))
    return command


def _plain(config: DictConfig) -> dict[str, Any]:
    """A composed config without Hydra's part. Interpolations stay as they are written."""
    plain: Any = OmegaConf.to_container(config)
    del plain["hydra"]
    return plain


def _different(
    own: Mapping[str, Any], usual: Mapping[str, Any], searched: Collection[str], path: str = ""
) -> dict[str, Any]:
    """The values that differ from the usual ones, and those of the keys `searched`, below a dotted `path`."""
    found = {}
    for key, value in own.items():
        place, before = f"{path}{key}", usual.get(key)
        if f"{place}.".startswith(WITHOUT_EFFECT):
            continue
        if isinstance(value, dict) and isinstance(before, dict):
            value = _different(value, before, searched, f"{place}.")
            if value:
                found[key] = value
        elif place in searched or key not in usual or value != before:
            found[key] = value
    return found


def _write_page(
    driver: Driver, trials: Trials, rows: list[TrialRow], best: TrialRow, results: dict[str, str], command: str
) -> None:
    complete = [row for row in rows if row.state == "complete"]
    study = trials.journal.study()
    space, style = study.trials[best.number].distributions, driver.project.style
    unit = "validation errors (%)" if driver.jobs.metric == "val/accuracy" else "validation loss (nats)"
    page = driver.project.render(
        "search.html.j2",
        package="resumable_sweeps",
        name=trials.folder.name,
        first=driver.jobs.state(0),
        space=space,
        rows=sorted(rows, key=lambda row: (ORDER.index(row.state), row.cost, row.number)),
        counts={state: sum(row.state == state for row in rows) for state in ORDER},
        best=best,
        results=results,
        command=command,
        short=short,
        history=style.svg(history(style, rows, unit)),
        shares=importances(study.trials),
        least=LEAST,
        parallel=style.svg(parallel(style, complete, best, space, unit)),
    )
    write_text(trials.folder / "index.html", page)
