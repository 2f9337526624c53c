"""What a search came to: its best trial tested, that as an experiment file, a page, a few lines in the terminal."""

import shlex
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock
from hydra import compose
from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial, TrialState

from digits.errors import DigitsError
from digits.files import write_text
from digits.reporting.figures import svg
from digits.reporting.runs import flat
from digits.sweeping import search_figures
from digits.sweeping.grid import read_record
from digits.sweeping.study import Search
from digits.training.reopen import conclude_trial, config_of

GROUPS = ("data", "trainer", "callbacks", "logger", "model")


def outcome(search: Search, trial: FrozenTrial) -> str:
    """One line on a trial that has ended."""
    row = _row(search, trial)
    what = {"complete": row["said"], "pruned": f"pruned after {row['epochs']} epochs", "failed": "failed"}
    return f"#{row['number']} {what[row['state']]} ({row['seconds']:.1f} s) {row['error'] or ' '.join(row['settings'])}"


def report_search(config: DictConfig) -> bool:
    """Test the best trial, unless that is done, and say how it was found and how to run it again.

    Args:
        config: of the sweep.

    Returns:
        Whether there is one: not where all trials have failed.
    """
    folder = Path(config.hydra.sweep.dir)
    search = Search.of(config, folder)
    with FileLock(folder / ".locks" / "end"):  # of two processes that end at once, one tests
        with search.storage():
            trials = search.study.trials
        rows = [_row(search, trial) for trial in trials]
        counts = Counter(row["state"] for row in rows)
        counted = ", ".join(f"{counts[state]} {state}" for state in ("complete", "pruned", "failed") if counts[state])
        print(f"{len(rows)} trials in {folder}: {counted}, {sum(row['seconds'] for row in rows):.0f} s")
        if counts["running"]:
            print(f"{counts['running']} still run in another process, which will test the best")
            return True
        if counts["failed"]:
            print("failed:", *(f"#{row['number']}" for row in rows if row["state"] == "failed"))
        complete = [row for row in rows if row["state"] == "complete"]
        if not complete:
            raise DigitsError(f"no trial of {folder} came to a value; search in smaller ranges, in another folder")
        best = min(complete, key=lambda row: row["cost"])  # of equals the first
        record = read_record(folder / str(best["number"]))
        if record["status"] != "finished" or "report" not in record["seconds"]:
            conclude_trial(folder / str(best["number"]))
        metrics = yaml.safe_load((folder / str(best["number"]) / "report" / "metrics.json").read_text(encoding="utf-8"))
        accuracy = f"{metrics['test/accuracy']:.2%} of the test digits right"
        command = _write_experiment(folder, best, f"{len(rows)} trials ({counted})", accuracy)
        _write_page(folder, search, rows, best, {"command": command, "counts": counts, "metrics": metrics})
    print(f"best: #{best['number']}, {best['said']}, {accuracy}: {' '.join(best['settings'])}")
    print(f"page: {folder / 'index.html'}")
    print(f"again: {command}")
    return True


def _row(search: Search, trial: FrozenTrial) -> dict[str, Any]:
    """A trial in numbers and words."""
    record = read_record(search.folder / str(trial.number))
    value = trial.value if trial.value is not None else next(reversed(trial.intermediate_values.values()), None)
    accuracy = search.metric == "val/accuracy"
    return {
        "number": trial.number,
        "state": {TrialState.FAIL: "failed"}.get(trial.state, trial.state.name.lower()),
        "said": "" if value is None else f"{search.metric} " + (f"{value:.2%}" if accuracy else f"{value:.4f}"),
        "cost": None if value is None else 100 * (1 - value) if accuracy else value,
        "params": trial.params,
        "settings": [f"{key}={_short(of)}" for key, of in trial.params.items()],
        "epochs": len(trial.intermediate_values),
        "seconds": sum(record.get("seconds", {}).get(phase, 0) for phase in ("setup", "fit")),
        "error": record.get("error", "killed") if trial.state == TrialState.FAIL else "",
    }


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _write_experiment(folder: Path, best: dict[str, Any], trials: str, accuracy: str) -> str:
    """Write experiment/best.yaml: where the best trial's config differs from the defaults. Returns how to run it."""
    trial = folder / str(best["number"])
    told = OmegaConf.load(trial / ".hydra" / "hydra.yaml").hydra
    usual = compose("train", return_hydra_config=True).hydra.runtime.choices
    chosen = {group: told.runtime.choices[group] for group in GROUPS if told.runtime.choices[group] != usual[group]}
    base = compose("train", [f"{group}={choice or 'null'}" for group, choice in chosen.items()])
    then, now = (flat(OmegaConf.to_container(config)) for config in (base, config_of(trial)))  # type: ignore[arg-type]
    experiment = OmegaConf.create()
    for key, value in now.items():
        different = key in best["params"] or key not in then or then[key] != value
        if different and not key.startswith(("sweep.", "run_folder", "trainer.enable_")):
            OmegaConf.update(experiment, key, value, force_add=True)
    gone = [text for text in told.overrides.task if text.startswith("~")]  # what a file cannot say
    command = shlex.join(["python", "train.py", "--config-dir", str(folder), "experiment=best", *gone])
    found = f"# The best of {trials} of a search over {', '.join(best['params'])}: trial {best['number']}, "
    found += f"{best['said']}, {accuracy}."
    lines = ["# @package _global_", *textwrap.wrap(found, 118, subsequent_indent="# "), f"# {command}"]
    if chosen:
        lines += ["defaults:", *(f"  - override /{group}: {choice or 'null'}" for group, choice in chosen.items())]
    text = OmegaConf.to_yaml(experiment) if len(experiment) else ""
    write_text(folder / "experiment" / "best.yaml", "\n".join([*lines, text]))
    return command


def _write_page(
    folder: Path, search: Search, rows: list[dict[str, Any]], best: dict[str, Any], facts: dict[str, Any]
) -> None:
    space = search.study.trials[best["number"]].distributions
    complete = [row for row in rows if row["state"] == "complete"]
    unit = "validation errors (%)" if search.metric == "val/accuracy" else "validation loss (nats)"
    order = {"complete": 0, "pruned": 1, "failed": 2}
    environment = Environment(loader=PackageLoader("digits.reporting", ""), autoescape=True, trim_blocks=True)
    page = environment.get_template("search.html.j2").render(
        **facts,
        name=folder.name,
        rows=sorted(rows, key=lambda row: (order[row["state"]], row["cost"] or 0, row["number"])),
        best=best,
        keys=list(space),
        short=_short,
        history=Markup(svg(search_figures.history(rows, unit))),
        importance=Markup(svg(search_figures.importance(search.study))) if len(complete) > 1 else "",
        parallel=Markup(svg(search_figures.parallel(complete, best, space, unit))),
        seconds=Markup(svg(search_figures.seconds(rows))),
    )
    write_text(folder / "index.html", page)
