"""Finished runs, found in folders, brought together by data and by settings, and as a table of data."""

import json
import math
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from digits.record import Metrics, OnnxFile, RunRecord
from digits.run_folder import RunFolder
from digits.settings import flat, has_effect, readable, settings_of, short
from plain_errors import ConfigError

NO_SETTING = ("seed", "name", "tags", "dir", "dirpath", "folder")  # ends of keys: the seed is among the figures
NO_FIGURE = {"format", "dataset", "per_class"}


@dataclass(frozen=True)
class FinishedRun:
    """A finished run with its report."""

    folder: RunFolder
    name: str  # its own name, or that of its experiment or model
    record: RunRecord
    metrics: Metrics
    onnx: OnnxFile  # its model.onnx
    settings: dict[str, Any]  # all that its result depends on except the seed, with dotted keys


@dataclass(frozen=True)
class Candidate:
    """What is compared: runs that differ only in the seed, in the order of their seeds."""

    name: str
    runs: list[FinishedRun]

    @property
    def seeds(self) -> str:
        """How many seeds, and how many runs if one has several."""
        seeds = len({run.metrics.seed for run in self.runs})
        return str(seeds) if seeds == len(self.runs) else f"{seeds} in {len(self.runs)} runs"

    @property
    def count(self) -> int:
        """How many runs."""
        return len(self.runs)

    def mean(self, key: str) -> float:
        """The mean over the seeds; `key` is an attribute of Metrics. Minus infinity if a run has no value."""
        values = [getattr(run.metrics, key) for run in self.runs]
        return -math.inf if None in values else statistics.mean(values)

    def percent(self, key: str) -> str:
        """Mean and sample standard deviation over the seeds, as percent(); empty if a run has no value."""
        values = [getattr(run.metrics, key) for run in self.runs]
        return "" if None in values else percent(values)


def percent(values: list[float]) -> str:
    """Mean and sample standard deviation as a percentage: `97.31 ± 0.12`; of a single value `97.31`."""
    deviation = f" ± {100 * statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.2f}{deviation}"


def results(folder: Path | str = "outputs") -> pd.DataFrame:
    """All finished runs in and below a folder: a row for each run, a column for each differing setting and figure.

    Settings have their dotted keys, figures their names in metrics.json: accuracies in 0..1, losses in nats.
    """
    return frame(find_runs([Path(folder)])[0])


def frame(runs: list[FinishedRun]) -> pd.DataFrame:
    """The same table as results(), of these runs."""
    rows = [(str(run.folder), run.name, ", ".join(run.record.tags), run.metrics.dataset.name) for run in runs]
    settings = pd.json_normalize([run.record.config for run in runs])
    settings = settings.map(lambda value: str(value) if isinstance(value, list) else value)  # so that it can be grouped
    differing = [key for key in settings if settings[key].nunique(dropna=False) > 1 and not key.endswith(NO_SETTING)]
    figures = pd.json_normalize([run.metrics.model_dump(by_alias=True, exclude=NO_FIGURE) for run in runs])
    names = pd.DataFrame(rows, columns=["run", "name", "tags", "data"])
    return pd.concat([names, settings[differing], figures.select_dtypes("number")], axis="columns")


def find_runs(folders: Iterable[Path]) -> tuple[list[FinishedRun], list[tuple[Path, str]]]:
    """Read the finished runs in and below `folders`.

    Returns:
        The runs, and each folder that was left out, with a line that names it and the reason.
    """
    runs: dict[Path, FinishedRun] = {}
    left_out = []
    for folder in folders:
        found = RunFolder.below(folder)
        if not found:
            left_out.append((folder, f"{folder}: no run in it"))
        for each in found:
            try:
                runs[each.path.resolve()] = _read(each)
            except (ConfigError, OSError) as error:
                left_out.append((each.path, str(error)))
    return list(runs.values()), left_out


def _read(folder: RunFolder) -> FinishedRun:
    record = folder.record()
    if record.status != "finished":
        why = f" ({' '.join(record.error.split())})" if record.error else ""
        raise ConfigError(f"{folder}: {record.status}, wanted a finished run{why}")
    if not record.reported:
        raise ConfigError(f"{folder}: no report; of a search, only the best trial is tested and reported")
    metrics = folder.metrics()
    if metrics.onnx is None or not folder.onnx.exists():
        raise ConfigError(f"{folder}: no model.onnx; run digits export {folder}")
    if not folder.predictions.exists():
        raise ConfigError(f"{folder}: no report/predictions.csv; run digits evaluate {folder}")
    try:
        settings = settings_of(record.config) | {
            key: value
            for key, value in flat({"callbacks": record.config.get("callbacks") or {}}).items()
            if not key.endswith(NO_SETTING)
        }
    except KeyError as error:
        raise ConfigError(f"{folder.record_file}: no {error} in its config; wanted a file that a run wrote") from error
    name = record.name or record.experiment or metrics.model
    return FinishedRun(folder, name, record, metrics, metrics.onnx, settings)


def candidates_of(runs: Iterable[FinishedRun]) -> list[list[Candidate]]:
    """Bring runs together: a list for each set of data, in it a candidate for each setting.

    The candidates with the best validation accuracy come first, those without a validation set last.
    """
    by_data: dict[str, dict[str, list[FinishedRun]]] = {}
    for run in runs:
        data = run.metrics.dataset.model_dump(include={"name", "sha256", "test_split", "test", "classes"})
        tested = run.onnx.samples  # fewer than the split under limit_test_batches
        by_settings = by_data.setdefault(json.dumps([data, tested]), {})
        by_settings.setdefault(json.dumps([run.name, run.settings], sort_keys=True), []).append(run)
    return [
        sorted(_candidates(list(by_settings.values())), key=lambda each: (-each.mean("val_accuracy"), each.name))
        for by_settings in by_data.values()
    ]


def _candidates(settings: list[list[FinishedRun]]) -> Iterator[Candidate]:
    """Name the runs of each setting; where several have a name in common, add in what they differ.

    That is what their commands set, or, if this does not tell them apart, all settings.
    """
    for runs in settings:
        alike = [other[0] for other in settings if other[0].name == runs[0].name]
        given = [_given(other) for other in alike]
        words = [word for word in _given(runs[0]) if not all(word in other for other in given)]
        if len({frozenset(other) for other in given}) < len(given):
            own = runs[0].settings
            different = [key for key in own if any(other.settings.get(key) != own[key] for other in alike)]
            words = [f"{key}={short(value)}" for key, value in readable({key: own[key] for key in different}).items()]
        yield Candidate(" ".join([runs[0].name, *words]), sorted(runs, key=lambda run: run.metrics.seed))


def _given(run: FinishedRun) -> list[str]:
    """The settings in a run's command."""
    keys = [(each.partition("=")[0].lstrip("+~"), each) for each in run.record.overrides]
    of_result = [each for key, each in keys if not key.endswith(NO_SETTING) and has_effect(key)]
    return [each.removeprefix("model.").removeprefix("trainer.") for each in of_result]
