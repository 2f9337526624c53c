"""Finished runs, found in folders and grouped by data and by settings."""

import json
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digits.errors import ConfigError
from digits.record import Metrics, OnnxFile, read_metrics, read_record, settings_of


@dataclass(frozen=True)
class FinishedRun:
    """A finished run with its report."""

    folder: Path
    name: str  # its own name, or that of its experiment or model
    metrics: Metrics
    onnx: OnnxFile  # facts of its model.onnx
    settings: dict[str, Any]  # all that its result follows from except the seed, with dotted keys


@dataclass(frozen=True)
class Group:
    """Runs that differ only in the seed, in the order of their seeds."""

    name: str
    runs: list[FinishedRun]

    def mean(self, key: str) -> float:
        """Over the seeds; `key` is an attribute of Metrics."""
        return statistics.mean(getattr(run.metrics, key) for run in self.runs)

    def percent(self, key: str) -> str:
        """Mean and sample standard deviation over the seeds, as a percentage.

        `97.31 ± 0.12`; of a single seed `97.31`; nothing where a run has no value.
        """
        values = [getattr(run.metrics, key) for run in self.runs]
        if None in values:
            return ""
        deviation = f" ± {100 * statistics.stdev(values):.2f}" if len(values) > 1 else ""
        return f"{100 * statistics.mean(values):.2f}{deviation}"


def find_runs(folders: Iterable[Path]) -> tuple[list[FinishedRun], list[str]]:
    """Read the finished runs in and below `folders`.

    Returns:
        The runs, and a line for each folder that was left out, with the reason.
    """
    runs: dict[Path, FinishedRun] = {}
    left_out = []
    for folder in folders:
        found = sorted(path.parent for path in folder.rglob("run.json"))
        if not found:
            left_out.append(f"{folder}: no run in it")
        for each in found:
            try:
                runs[each.resolve()] = _read(each)
            except (ConfigError, OSError) as error:
                left_out.append(str(error))
    return list(runs.values()), left_out


def _read(folder: Path) -> FinishedRun:
    record = read_record(folder)
    if record.status != "finished":
        raise ConfigError(f"{folder}: {record.status}, wanted a finished run")
    if not record.reported:
        raise ConfigError(f"{folder}: no report; of a search, only the best trial is tested and reported")
    metrics = read_metrics(folder)
    if metrics.onnx is None or not (folder / "model.onnx").exists():
        raise ConfigError(f"{folder}: no model.onnx; run scripts/export.py on {folder}")
    if not (folder / "report" / "predictions.csv").exists():
        raise ConfigError(f"{folder}: no report/predictions.csv; run scripts/evaluate.py on {folder}")
    try:
        settings = settings_of(record.config)
    except KeyError as error:
        raise ConfigError(f"{folder}/run.json: no {error} in its config; wanted what a run writes") from error
    name = record.name or record.experiment or metrics.model
    return FinishedRun(folder, name, metrics, metrics.onnx, settings)


def group_runs(runs: Iterable[FinishedRun]) -> list[list[Group]]:
    """Group runs: a list for each set of data, in it a group for each setting, the most accurate first."""
    by_data: dict[str, dict[str, list[FinishedRun]]] = {}
    for run in runs:
        data = run.metrics.dataset.model_dump(include={"name", "sha256", "test_split", "test", "classes"})
        tested = run.onnx.samples  # fewer than the split under limit_test_batches
        by_settings = by_data.setdefault(json.dumps([data, tested]), {})
        by_settings.setdefault(json.dumps([run.name, run.settings], sort_keys=True), []).append(run)
    return [
        sorted(_named(list(by_settings.values())), key=lambda group: -group.mean("test_accuracy"))
        for by_settings in by_data.values()
    ]


def _named(groups: list[list[FinishedRun]]) -> Iterator[Group]:
    """Name each group; where several have a name in common, add the settings in which they differ."""
    for runs in groups:
        name, own = runs[0].name, runs[0].settings
        others = [other[0].settings for other in groups if other[0].name == name]
        different = [key for key in own if any(other.get(key) != own[key] for other in others)]
        words = [f"{key.removeprefix('model.')}={own[key]}" for key in different]
        yield Group(" ".join([name, *words]), sorted(runs, key=lambda run: run.metrics.seed))
