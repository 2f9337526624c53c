"""The report of one run: its page, two figures, its metrics and every prediction."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from matplotlib import colormaps

from digits.files import atomic_path, write_text
from digits.record import Metrics, RunRecord, write_metrics
from digits.reporting import figures
from digits.reporting.evaluation import Evaluation
from digits.reporting.metrics import worst_mistakes
from digits.reporting.pages import data_uri, render

GALLERY = 40  # wrong predictions that the report shows


@dataclass(frozen=True)
class Mistake:
    """A test image with a wrong prediction: as a data URI, and with its index in the test split.

    `likeliest` are the two most probable digits; it is empty where the model has no class images.
    """

    image: str
    index: int
    true: str
    predicted: str
    confidence: float
    likeliest: list[str]


def write_report(folder: Path, metrics: Metrics, evaluation: Evaluation, record: RunRecord) -> None:
    """Write report/ in a run's folder.

    Args:
        folder: of the run.
        metrics: as measure() returns them, with `onnx`.
        evaluation: what they were measured on.
        record: of the run.
    """
    report = folder / "report"
    _write_predictions(report / "predictions.csv", list(metrics.per_class), evaluation)
    figures.save_png(figures.confusion_matrix(metrics), report / "confusion_matrix.png")
    figures.save_png(figures.mistakes(metrics, evaluation, GALLERY), report / "mistakes.png")
    write_metrics(folder, metrics)
    write_text(report / "index.html", _page(metrics, evaluation, record))


def _page(metrics: Metrics, evaluation: Evaluation, record: RunRecord) -> str:
    classes = list(metrics.per_class)
    class_images = _class_images(evaluation, classes)
    return render(
        "report.html.j2",
        metrics=metrics,
        record=record,
        classes=classes,
        wrong=int(evaluation.correct.logical_not().sum()),
        tested=len(evaluation.labels),
        mistakes=_mistakes(evaluation, classes, bool(class_images)),
        class_images=class_images,
        config=yaml.safe_dump(record.config, sort_keys=False),
        curves=[figures.svg(curve) for curve in figures.curves(metrics.history)],
        reliability=figures.svg(figures.reliability(metrics)),
    )


def _mistakes(evaluation: Evaluation, classes: list[str], has_class_images: bool) -> list[Mistake]:
    return [
        Mistake(
            image=data_uri(evaluation.images[index, 0]),
            index=index,
            true=classes[evaluation.labels[index]],
            predicted=classes[evaluation.predictions[index]],
            confidence=evaluation.confidence[index].item(),
            likeliest=[classes[at] for at in evaluation.logits[index].topk(2).indices] if has_class_images else [],
        )
        for index in worst_mistakes(evaluation, GALLERY).tolist()
    ]


def _class_images(evaluation: Evaluation, classes: list[str]) -> dict[str, str]:
    """What the model looks for in each class, as data URIs; empty where that is no image.

    Where ink can also count against a class, purple counts for it and orange against it.
    """
    images = evaluation.model.class_images()
    if images is None:
        return {}
    if images.min() >= 0:
        pixels = (images * 255).byte()
    else:
        colours = colormaps["PuOr"](0.5 + 0.5 * (images / images.abs().max()).numpy(), bytes=True)
        pixels = torch.from_numpy(255 - colours[..., :3])
    return {digit: data_uri(image) for digit, image in zip(classes, pixels, strict=True)}


def _write_predictions(path: Path, classes: list[str], evaluation: Evaluation) -> None:
    """A row for each test image, in the order of the test split; digits, not positions in the model's classes."""
    digits = torch.tensor([int(digit) for digit in classes])
    labels, predictions = digits[evaluation.labels], digits[evaluation.predictions]
    columns = torch.arange(len(labels)), labels, predictions, evaluation.confidence, evaluation.probabilities
    header = ",".join(["index", "label", "prediction", "confidence", *(f"p{digit}" for digit in classes)])
    formats = ["%d"] * 3 + ["%.6f"] * (1 + len(classes))
    with atomic_path(path) as temporary:
        np.savetxt(temporary, np.column_stack(columns), formats, delimiter=",", header=header, comments="")
