"""The commands that a run's report shows. They work in the project's folder."""

import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from digits.record import RunRecord


def commands(folder: Path, record: RunRecord, resumable: bool) -> dict[str, str]:
    """The commands, each by a title that says what it does. A model that is fitted in one pass is not `resumable`."""
    run = shlex.quote(str(folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder))
    found = {"Train it again": _repeat(folder, record)}
    if resumable:
        found["Resume it, if it was stopped"] = f"python train.py resume={run}"
    found["Test it again and write this page again"] = f"digits evaluate {run}"
    if find_spec("digits_reader"):
        found["Read pictures with it"] = f"digits read {run} photo.jpg"
        found["Serve a page to draw on"] = f"digits serve {run}"
    if "tensorboard" in (record.config.get("logger") or {}):
        found["See it in TensorBoard"] = f"tensorboard --logdir {run}"
    return found


def _repeat(folder: Path, record: RunRecord) -> str:
    """The command that trains with the same overrides again: one job of a sweep, or the best trial of a search."""
    saved = folder / ".hydra" / "hydra.yaml"
    if not saved.exists():  # hydra.output_subdir=null
        return record.command
    hydra: dict[str, Any] = yaml.safe_load(saved.read_text())["hydra"]
    sources = hydra["runtime"]["config_sources"]
    options = [
        word for each in sources if each["provider"] == "command-line" for word in ("--config-dir", each["path"])
    ]
    overrides: list[str] = hydra["overrides"]["task"]
    if record.config.get("search"):
        options = ["--config-dir", str(folder.parent)]
        overrides = ["experiment=best", *(each for each in overrides if each[0] == "~" and "search" not in each)]
    return shlex.join(["python", "train.py", *options, *overrides])
