"""Put the best of several trained runs into the reader's package, with a card that says how good it is: make model."""

import json
import tempfile
from pathlib import Path

import cyclopts
import numpy as np
import onnx
import torch

from atomic_files import atomic_path, sha256_of, write_text
from digits.onnx_file import with_half_weights
from digits.pictures.folder import write_pictures
from digits.reporting.metrics import calibration_error, reliability
from digits.run_folder import RunFolder
from digits_reader.reader import SHIPPED, Reader
from digits_reader.score import Judged, judge
from plain_errors import ConfigError, plain_errors

NAME = "reader"
DRAWN = ("digits", "harder", "sheets", "numbers", "marks")  # as `digits draw` names them
CHOSEN_ON = {"harder": 5000, "sheets": 5000, "marks": 100}  # first numbers of drawn pictures that no figure counts
Figures = dict[str, float]  # pictures, and in percent shares of them and the calibration error of what was answered


def main(*runs: Path, photos: str | None = None, pictures: str | None = None, numbers: str | None = None) -> None:
    """Choose the run that reads drawn pictures best, write its model and the card, and print the figures.

    Args:
        runs: finished ones of experiment=reader, which differ by their seed.
        photos: photographs of single digits by strangers, a folder or a pattern, named as for `digits score`.
        pictures: the same, of pictures of other kinds.
        numbers: the same, of numbers.
    """
    if not runs:
        raise ConfigError("no run, wanted those of experiment=reader: make model")
    strangers = {name: found for name, found in (("photos", photos), ("pictures", pictures)) if found}
    with tempfile.TemporaryDirectory() as temporary:
        best = max(runs, key=lambda run: _on_drawn(run, Path(temporary)))
        sets = {name: (f"{temporary}/{name}", name == "numbers") for name in DRAWN}
        for name, (folder, _) in sets.items():
            write_pictures(name, Path(folder), None, None)
        sets |= {f"{name} by strangers": (found, False) for name, found in strangers.items()}
        if numbers:
            sets["numbers by strangers"] = numbers, True
        figures = {run: _all_figures(Reader(run), sets) for run in runs}
    words = [f"{figures[best][f'{name} by strangers']['right']:.1f} % of {name} by strangers" for name in strangers]
    _write(RunFolder(best), ", ".join(words), [RunFolder(run) for run in runs], figures)


def _on_drawn(run: Path, temporary: Path) -> float:
    """The mean share of drawn pictures that a run reads right, or rightly refuses."""
    folders = [temporary / f"choice_{kind}" for kind in CHOSEN_ON]
    for (kind, first), folder in zip(CHOSEN_ON.items(), folders, strict=True):
        if not folder.exists():
            write_pictures(kind, folder, None, first)
    return float(np.mean([_figures(judge(Reader(run), [str(folder)], False))["right"] for folder in folders]))


def _all_figures(reader: Reader, sets: dict[str, tuple[str, bool]]) -> dict[str, Figures]:
    """Figures of each set, and of each kind of picture in a drawn one, as "harder boxed"."""
    found = {}
    for name, (pictures, is_number) in sets.items():
        judged = judge(reader, [pictures], is_number)
        found[name] = _figures(judged)
        for kind in sorted({each.group for each in judged}) if name in DRAWN else ():
            found[f"{name} {kind}"] = _figures([each for each in judged if each.group == kind])
    return found


def _figures(judged: list[Judged]) -> Figures:
    right, refused = (np.array([getattr(each, name) for each in judged]) for name in ("is_right", "is_refused"))
    figures = {"right": right.mean(), "refused": refused.mean(), "wrong": 1 - (right | refused).mean()}
    if answers := [(each.confidence, each.is_right) for each in judged if each.confidence is not None]:
        confidence, is_right = torch.tensor(answers).T
        figures["ece"] = calibration_error(reliability(confidence, is_right))
    return {"pictures": len(judged)} | {name: round(100 * float(each), 2) for name, each in figures.items()}


def _write(best: RunFolder, strangers: str, runs: list[RunFolder], figures: dict[Path, dict[str, Figures]]) -> None:
    """Write the model with weights of 16 bits, and the card."""
    proto = with_half_weights(onnx.load(best.onnx))
    metadata = {each.key: each.value for each in proto.metadata_props} | {"model": NAME, "strangers": strangers}
    onnx.helper.set_model_props(proto, {key: value for key, value in metadata.items() if value})
    with atomic_path(SHIPPED / "model.onnx") as path:
        onnx.save(proto, path)
    metrics, record = best.metrics(), best.record()
    assert record.data is not None
    tested = [run.metrics() for run in runs]
    card = {
        "name": NAME,
        "command": "make model",
        "git_commit": record.git.commit,
        "sha256": sha256_of(SHIPPED / "model.onnx"),
        "bytes": (SHIPPED / "model.onnx").stat().st_size,
        "parameters": metrics.parameters,
        "checkpoint_sha256": metrics.checkpoint_sha256,
        "chosen_seed": metrics.seed,
        "seeds": [each.seed for each in tested],
        "data": record.data.model_dump(by_alias=True),
        "test_accuracy": [each.test_accuracy for each in tested],
        "test_ece": [each.test_ece for each in tested],
        "figures": {name: [figures[run.path][name] for run in runs] for name in figures[best.path]},
    }
    write_text(SHIPPED / "card.json", json.dumps(card, indent=2) + "\n")
    print(json.dumps(card, indent=2))


if __name__ == "__main__":
    with plain_errors():
        cyclopts.run(main)
