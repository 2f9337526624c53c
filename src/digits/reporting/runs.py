"""Finished runs, found in folders and put together by data and by settings."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from digits.reporting.metrics import FORMAT

NEEDED = {"model", "seed", "test/accuracy", "test/ece", "val/accuracy", "parameters", "fit_seconds", "dataset", "onnx"}
PLACE_AND_LOOKS = {"accelerator", "devices", "strategy", "num_nodes", "default_root_dir", "profiler"}


@dataclass(frozen=True)
class FinishedRun:
    """A run folder with its metrics.json and run.json."""

    folder: Path
    metrics: dict[str, Any]
    record: dict[str, Any]

    @property
    def data(self) -> str:
        """What it was tested on; runs are ranked only where this is equal."""
        dataset = self.metrics["dataset"]
        tested = self.metrics["onnx"]["samples"]  # fewer than the split under limit_test_batches
        return json.dumps([tested, *(dataset[key] for key in ("name", "sha256", "test_split", "test", "classes"))])

    @property
    def settings(self) -> dict[str, Any]:
        """What was asked for, flat, but for the seed and what has no part in the result."""
        return flat(settings_of(self.record["config"]))


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but the seed, in the order of their seeds."""

    name: str
    runs: list[FinishedRun]

    def mean(self, key: str) -> float:
        """Mean of a metric over the seeds."""
        return mean(run.metrics[key] for run in self.runs)

    def spread(self, key: str) -> float | None:
        """Sample standard deviation over the seeds; None of a single one."""
        return stdev(run.metrics[key] for run in self.runs) if len(self.runs) > 1 else None


def find_runs(folders: Iterable[Path]) -> tuple[list[FinishedRun], list[str]]:
    """Read the finished runs in and below `folders`.

    Returns:
        The runs, and a line for each folder that was left out, with the reason.
    """
    runs, left_out = [], []
    for folder in folders:
        found = sorted(path.parent for path in folder.rglob("run.json"))
        if not found:
            left_out.append(f"{folder}: no run in it")
        for each in found:
            try:
                runs.append(_read(each))
            except (OSError, ValueError, KeyError, TypeError) as error:
                left_out.append(f"{each}: {error}")
    return list({run.folder.resolve(): run for run in runs}.values()), left_out


def settings_of(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a run's config that its result comes from, but for the seed and the callbacks."""
    trainer = {
        key: value
        for key, value in config["trainer"].items()
        if key not in PLACE_AND_LOOKS and not key.startswith(("enable_", "log_"))
    }
    data = {key: value for key, value in config["data"].items() if key not in ("seed", "folder")}
    return {"model": config["model"], "trainer": trainer, "data": data}


def group_runs(runs: Iterable[FinishedRun]) -> list[list[Group]]:
    """Put runs together: a list for each set of data, in it a group for each setting, the most accurate first."""
    by_data: dict[str, dict[str, list[FinishedRun]]] = {}
    for run in runs:
        of_data = by_data.setdefault(run.data, {})
        of_data.setdefault(json.dumps([_name(run), run.settings], sort_keys=True), []).append(run)
    return [
        sorted(_named(list(of_data.values())), key=lambda group: -group.mean("test/accuracy"))
        for of_data in by_data.values()
    ]


def _read(folder: Path) -> FinishedRun:
    record = json.loads((folder / "run.json").read_text(encoding="utf-8") or "{}")
    if record.get("status") != "finished":
        raise ValueError(f"{record.get('status', 'not begun')}, wanted a finished run")
    if "value" in record and "report" not in record["seconds"]:
        raise ValueError("a trial of a search, which tests only the best")
    metrics = json.loads((folder / "report" / "metrics.json").read_text(encoding="utf-8"))
    if metrics.get("format") != FORMAT:
        raise ValueError(f"metrics.json has format {metrics.get('format')}, wanted {FORMAT}; evaluate the run again")
    missing = sorted(NEEDED - metrics.keys())
    if missing:
        raise ValueError(f"metrics.json lacks {', '.join(missing)}; evaluate the run again")
    for name in ("model.onnx", "report/predictions.csv"):
        if not (folder / name).exists():
            raise ValueError(f"{name} is missing; evaluate or export the run again")
    run = FinishedRun(folder, metrics, record)
    _ = run.data, run.settings, run.metrics["onnx"]["bytes"]  # a foreign file fails here, not later
    return run


def _name(run: FinishedRun) -> str:
    return run.record.get("experiment") or run.metrics["model"]


def _named(groups: list[list[FinishedRun]]) -> list[Group]:
    """Name each group by its experiment or model, and by what sets it apart where several have that name."""
    named = []
    for runs in groups:
        alike = [other[0].settings for other in groups if _name(other[0]) == _name(runs[0])]
        own = runs[0].settings
        apart = [key for key in own if any(other.get(key) != own[key] for other in alike)]
        words = [f"{key.removeprefix('model.')}={own[key]}" for key in apart]
        ordered = sorted(runs, key=lambda run: run.metrics["seed"])
        named.append(Group(" ".join([_name(runs[0]), *words]), ordered))
    return named


def flat(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by dots."""
    found: dict[str, Any] = {}
    for key, value in nested.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found
