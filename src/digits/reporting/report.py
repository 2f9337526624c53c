"""The report of one run: a page, its pictures, its numbers, every prediction."""

import base64
import csv
import io
import json
from pathlib import Path
from typing import Any

import torch
import yaml
from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from matplotlib import colormaps
from PIL import Image
from torch import Tensor

from digits.files import atomic_path, write_text
from digits.reporting import figures
from digits.reporting.evaluation import Evaluation
from digits.reporting.metrics import worst_mistakes

GALLERY = 40


def write_report(folder: Path, metrics: dict[str, Any], evaluation: Evaluation, record: dict[str, Any]) -> None:
    """Write report/ in a run's folder.

    Args:
        folder: the run's.
        metrics: as measure() gives them, with `onnx`.
        evaluation: what they were measured on.
        record: run.json.
    """
    report = folder / "report"
    _write_predictions(report / "predictions.csv", metrics, evaluation)
    figures.save_png(figures.confusion_matrix(metrics), report / "confusion_matrix.png")
    figures.save_png(figures.mistakes(metrics, evaluation, GALLERY), report / "mistakes.png")
    write_text(report / "metrics.json", json.dumps(metrics, indent=2, allow_nan=False))
    write_text(report / "index.html", _page(metrics, evaluation, record))


def _page(metrics: dict[str, Any], evaluation: Evaluation, record: dict[str, Any]) -> str:
    classes = list(metrics["per_class"])
    ideals = _ideals(evaluation.model.class_images())
    mistakes = [
        {
            "image": data_uri(evaluation.images[index, 0]),
            "index": index,
            "true": classes[evaluation.labels[index]],
            "predicted": classes[evaluation.predictions[index]],
            "confidence": evaluation.probabilities[index].max().item(),
            "hesitated": [(classes[at], ideals[at]) for at in evaluation.logits[index].topk(2).indices]
            if ideals
            else [],
        }
        for index in worst_mistakes(evaluation, GALLERY).tolist()
    ]
    environment = Environment(loader=PackageLoader("digits.reporting", ""), autoescape=True, trim_blocks=True)
    history = metrics["history"]
    return environment.get_template("report.html.j2").render(
        metrics=metrics,
        record=record,
        classes=classes,
        wrong=int((evaluation.predictions != evaluation.labels).sum()),
        tested=len(evaluation.labels),
        mistakes=mistakes,
        ideals=dict(zip(classes, ideals, strict=False)),
        config=yaml.safe_dump(record["config"], sort_keys=False),
        curves=[Markup(figures.svg(draw(history))) for draw in (figures.losses, figures.accuracy) if history],
        reliability=Markup(figures.svg(figures.reliability(metrics))),
    )


def _write_predictions(path: Path, metrics: dict[str, Any], evaluation: Evaluation) -> None:
    """A row a picture, in the order of the test split; digits, not positions."""
    classes = list(metrics["per_class"])
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "label", "prediction", "confidence", *(f"p{digit}" for digit in classes)])
        rows = zip(
            evaluation.labels.tolist(),
            evaluation.predictions.tolist(),
            evaluation.probabilities.tolist(),
            strict=True,
        )
        for index, (label, prediction, probabilities) in enumerate(rows):
            shares = [f"{share:.6f}" for share in (max(probabilities), *probabilities)]
            writer.writerow([index, classes[label], classes[prediction], *shares])


def _ideals(images: Tensor | None) -> list[str]:
    """Pictures of what a model looks for: ink as ink, or purple what speaks for a digit and orange what against."""
    if images is None:
        return []
    if images.min() >= 0:
        return [data_uri((image * 255).byte()) for image in images]
    colours = colormaps["PuOr"](0.5 + 0.5 * (images / images.abs().max()).numpy(), bytes=True)
    return [data_uri(torch.from_numpy(255 - colour[..., :3])) for colour in colours]


def data_uri(image: Tensor) -> str:
    """Uint8 [28, 28] or [28, 28, 3], ink 255, as a picture of dark ink on light paper."""
    file = io.BytesIO()
    Image.fromarray((255 - image).numpy()).save(file, format="png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
