"""The results of one run: as the files in report/ and in the terminal."""

import textwrap
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from matplotlib import colormaps
from torch import Tensor, nn

from atomic_files import atomic_path, write_text
from digits.models.classifier import Classifier
from digits.record import Metrics, RunRecord
from digits.reporting import figures
from digits.reporting.commands import commands
from digits.reporting.evaluation import Evaluation
from digits.reporting.metrics import worst_mistakes
from digits.reporting.pages import data_uri, render
from digits.run_folder import RunFolder

FILES = {
    "metrics.json": "every number of this page",
    "predictions.csv": "the prediction for each test image, with its probabilities",
    "confusion_matrix.png": "the matrix as a picture",
    "mistakes.png": "the worst mistakes as a picture",
    "../model.onnx": "the model in one file",
    "../checkpoints/best.ckpt": "its checkpoint",
    "../.hydra/config.yaml": "the config as composed",
    "../run.json": "status, versions, hardware, seconds of each phase",
    "../train.log": "the log",
}
OF_A_PAIR = 20  # mistakes of each pair of digits that the page can show


def write_report(folder: RunFolder, metrics: Metrics, evaluation: Evaluation, record: RunRecord) -> None:
    """Write report/ in a run's folder: page, two figures, every prediction, and `metrics`, which must have `onnx`."""
    _write_predictions(folder.predictions, list(metrics.per_class), evaluation)
    figures.save_png(figures.confusion_matrix(metrics), folder.confusion_matrix)
    figures.save_png(figures.mistakes(metrics, evaluation), folder.mistakes)
    folder.write_metrics(metrics)
    write_text(folder.page, _page(folder, metrics, evaluation, record))


def _page(folder: RunFolder, metrics: Metrics, evaluation: Evaluation, record: RunRecord) -> str:
    classes = list(metrics.per_class)
    class_images = evaluation.model.class_images()
    return render(
        "report.html.j2",
        metrics=metrics,
        record=record,
        classes=classes,
        wrong=int(evaluation.correct.logical_not().sum()),
        tested=len(evaluation.labels),
        mistakes=_mistakes(evaluation, classes),
        of_a_pair=OF_A_PAIR,
        class_images={} if class_images is None else dict(zip(classes, _pictures(class_images), strict=True)),
        coloured=class_images is not None and bool(class_images.min() < 0),
        config=yaml.safe_dump(record.config, sort_keys=False),
        curves=[figures.svg(curve, f"{curve.axes[0].get_title()} of each epoch") for curve in figures.curves(metrics)],
        reliability=figures.svg(figures.reliability(metrics), "accuracy at each level of confidence"),
        commands=commands(
            folder, record, not evaluation.model.fitted_once, isinstance(metrics.dataset.classes[0], int)
        ),
        files={path: words for path, words in FILES.items() if (folder.report / path).exists()},
        harder=_harder(evaluation.model),
        warning=warning(metrics, record),
    )


def _harder(model: Classifier) -> list[str]:
    """What makes training harder than validation for a network."""
    settings = model.hparams
    found = {
        "dropout left units out": any(isinstance(each, nn.Dropout) and each.p for each in model.modules()),
        "the images were changed at random": any((settings.get("augmentation") or {}).values()),
        "some images showed no digit": model.refuses,
        "labels were smoothed": settings.get("label_smoothing"),
        "a teacher's answers took the place of the labels": settings.get("teacher"),
    }
    return [words for words, holds in found.items() if holds]


def warning(metrics: Metrics, record: RunRecord) -> str:
    """That an ensemble is worse than its best member, on validation digits if it has any, else on those of the test."""
    split = "test" if metrics.val_accuracy is None else "validation"
    key = "test_accuracy" if metrics.val_accuracy is None else "val_accuracy"
    own, known = getattr(metrics, key), {each.run: getattr(each, key) for each in record.members}
    best = max(known, key=lambda run: known[run] or 0, default="")
    if not best or (known[best] or 0) <= own:
        return ""
    return (
        f"worse than its best member: {100 * own:.2f} % of the {split} digits are read right, "
        f"{100 * known[best]:.2f} % by {best} alone"
    )


def _mistakes(evaluation: Evaluation, classes: list[str]) -> list[dict[str, Any]]:
    """The worst mistakes of each pair, the most confident first; `shown` are those before a pair is chosen."""
    shown = set(worst_mistakes(evaluation).tolist())
    predictions, confidence = evaluation.predictions, evaluation.confidence
    return [
        {
            "image": data_uri(evaluation.images[index, 0]),
            "index": index,
            "shown": index in shown,
            "true": classes[evaluation.labels[index]],
            "predicted": classes[predictions[index]],
            "confidence": confidence[index].item(),
            "likeliest": [classes[at] for at in evaluation.logits[index].topk(2).indices],
        }
        for index in worst_mistakes(evaluation, len(predictions), OF_A_PAIR).tolist()
    ]


def _pictures(class_images: Tensor) -> list[str]:
    """What the model looks for in each class, as data URIs.

    Where ink can also count against a class, purple counts for it and orange against it.
    """
    shares = class_images / class_images.abs().max().clamp(min=1e-9)
    if shares.min() >= 0:
        pixels = (shares * 255).byte()
    else:
        pixels = torch.from_numpy(255 - colormaps["PuOr"](0.5 + 0.5 * shares.numpy(), bytes=True)[..., :3])
    return [data_uri(image) for image in pixels]


def _write_predictions(path: Path, classes: list[str], evaluation: Evaluation) -> None:
    """A row for each test image, in the order of the test split; digits, not positions in the model's classes."""
    table = pd.DataFrame(evaluation.probabilities.numpy(), columns=[f"p{digit}" for digit in classes])
    table.insert(0, "label", np.array(classes)[evaluation.labels])
    table.insert(1, "prediction", np.array(classes)[evaluation.predictions])
    table.insert(2, "confidence", evaluation.confidence.numpy())
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index_label="index", float_format="%.6f", lineterminator="\n")


def print_summary(folder: RunFolder, metrics: Metrics) -> None:
    """Print accuracy, loss and time of the run in `folder`, and where report and model are; `metrics` have `onnx`."""
    assert metrics.onnx is not None
    data, onnx = metrics.dataset, metrics.onnx
    refused = [row.test_refused for row in metrics.refusals if row.least_energy == metrics.least_energy]
    epochs = f"{metrics.epochs} epoch{'s' * (metrics.epochs > 1)}"
    split = f"  on {'the ' * data.test_split.startswith('official')}{data.test_split}"
    split = textwrap.fill(split, 80, subsequent_indent="  ")
    rows = {
        "model": f"{metrics.model}, {metrics.parameters:,} parameters",
        "data": f"{data.name}: {data.train:,} train, {data.val:,} validation, {data.test:,} test",
        "test accuracy": f"{100 * metrics.test_accuracy:.2f} %\n{split}",
        "test loss": f"{metrics.test_loss:.4f}, ECE {100 * metrics.test_ece:.2f} %",
        "refused": f"{100 * refused[0]:.2f} % of the test digits, as no digit" if refused else "",
        "validation": "" if metrics.val_accuracy is None else f"{100 * metrics.val_accuracy:.2f} %, again in 32-bit",
        "fit": f"{metrics.fit_seconds:.1f} s, {epochs}" if metrics.epochs else "",
        "ONNX": f"{onnx.bytes / 1e3:,.0f} kB, largest difference from the checkpoint {onnx.max_abs_diff:.0e}",
    }
    print("\n" + "\n".join(f"{name:<15}{text}" for name, text in rows.items() if text))
    for file in (folder.page, folder.onnx):
        print(folder.shown / file.relative_to(folder.path))
    if find_spec("digits_reader"):
        of_digits = isinstance(data.classes[0], int)  # the page to draw on knows no others
        next_step = "to draw for it: digits serve" if of_digits else "to read with it: digits read"
        print(next_step, folder.shown)
    print("to see its curves: make tensorboard")
