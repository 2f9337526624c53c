"""The commands that a run's report shows. They work in the project's folder."""

import shlex
from importlib.util import find_spec

from digits.record import RunRecord
from digits.run_folder import RunFolder


def commands(folder: RunFolder, record: RunRecord, resumable: bool, of_digits: bool) -> dict[str, str]:
    """The commands, each by a title that says what it does.

    Args:
        folder, record: of the run.
        resumable: it was not fitted in one pass.
        of_digits: its classes are numbers; the page to draw on knows no others.
    """
    run = shlex.quote(str(folder.shown))
    by_title = {"Train it again": _repeat(folder, record)}
    if resumable:
        by_title["Resume it, if it was stopped"] = f"python train.py resume={run}"
    by_title["Test it again and write this page again"] = f"digits evaluate {run}"
    if find_spec("digits_reader"):
        by_title["Read pictures with it"] = f"digits read {run} photo.jpg"
        if of_digits:
            by_title["Serve a page to draw on"] = f"digits serve {run}"
    if "tensorboard" in (record.config.get("logger") or {}):
        by_title["See it in TensorBoard"] = f"tensorboard --logdir {run}"
    return by_title


def _repeat(folder: RunFolder, record: RunRecord) -> str:
    """The command that trains with the same overrides again: one job of a sweep, or the best trial of a search."""
    config_dir, overrides = record.config_dir, folder.overrides()
    if record.config.get("search"):
        config_dir = str(folder.path.parent)
        overrides = ["experiment=best", *(each for each in overrides if each[0] == "~" and "search" not in each)]
    if not overrides:  # the record of a former version
        return record.command
    return shlex.join(["python", "train.py", *(["--config-dir", config_dir] if config_dir else []), *overrides])
