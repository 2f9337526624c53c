"""Finished runs, found in folders and grouped by data and by settings."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from digits.errors import ConfigError
from digits.record import Metrics, OnnxFile, RunRecord, read_metrics, read_record, settings_of


@dataclass(frozen=True)
class FinishedRun:
    """A finished run with its report.

    Attributes:
        onnx: facts of its model.onnx.
        settings: all that its result follows from except the seed, with dotted keys.
    """

    folder: Path
    metrics: Metrics
    onnx: OnnxFile
    record: RunRecord
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        """Its experiment, or its model."""
        return self.record.experiment or self.metrics.model

    @property
    def data(self) -> tuple[Any, ...]:
        """What it was tested on. Runs are ranked only where this is equal."""
        dataset = self.metrics.dataset
        tested = self.onnx.samples  # fewer than the split under limit_test_batches
        return tested, dataset.name, dataset.sha256, dataset.test_split, dataset.test, *dataset.classes


@dataclass(frozen=True)
class OverSeeds:
    """Mean and sample standard deviation of a metric over seeds; no deviation of a single seed."""

    mean: float
    deviation: float | None

    def percent(self) -> str:
        """As a percentage: `97.31 ± 0.12`, or `97.31`."""
        return f"{100 * self.mean:.2f}" + ("" if self.deviation is None else f" ± {100 * self.deviation:.2f}")


@dataclass(frozen=True)
class Group:
    """Runs that differ only in the seed, in the order of their seeds."""

    name: str
    runs: list[FinishedRun]

    @property
    def test_accuracy(self) -> OverSeeds:
        """In 0..1."""
        return _over_seeds(run.metrics.test_accuracy for run in self.runs)

    @property
    def val_accuracy(self) -> OverSeeds | None:
        """In 0..1; None where a run has none."""
        values = [run.metrics.val_accuracy for run in self.runs]
        return None if None in values else _over_seeds(value for value in values if value is not None)

    @property
    def ece(self) -> OverSeeds:
        """Expected calibration error, in 0..1."""
        return _over_seeds(run.metrics.test_ece for run in self.runs)

    @property
    def fit_seconds(self) -> OverSeeds:
        """How long the fit took."""
        return _over_seeds(run.metrics.fit_seconds for run in self.runs)


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


def group_runs(runs: Iterable[FinishedRun]) -> list[list[Group]]:
    """Group runs: a list for each set of data, in it a group for each setting, the most accurate first."""
    by_data: dict[tuple[Any, ...], dict[str, list[FinishedRun]]] = {}
    for run in runs:
        by_settings = by_data.setdefault(run.data, {})
        by_settings.setdefault(json.dumps([run.name, run.settings], sort_keys=True), []).append(run)
    return [
        sorted(_named(list(by_settings.values())), key=lambda group: -group.test_accuracy.mean)
        for by_settings in by_data.values()
    ]


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
        return FinishedRun(folder, metrics, metrics.onnx, record, settings_of(record.config))
    except KeyError as error:
        raise ConfigError(f"{folder}/run.json: no {error} in its config; wanted what a run writes") from error


def _named(groups: list[list[FinishedRun]]) -> Iterator[Group]:
    """Name each group; where several have a name in common, add the settings in which they differ."""
    for runs in groups:
        name, own = runs[0].name, runs[0].settings
        others = [other[0].settings for other in groups if other[0].name == name]
        different = [key for key in own if any(other.get(key) != own[key] for other in others)]
        words = [f"{key.removeprefix('model.')}={own[key]}" for key in different]
        yield Group(" ".join([name, *words]), sorted(runs, key=lambda run: run.metrics.seed))


def _over_seeds(metric: Iterable[float]) -> OverSeeds:
    values = list(metric)
    return OverSeeds(mean(values), stdev(values) if len(values) > 1 else None)
