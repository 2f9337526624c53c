"""The results of one run: as the files in report/, in the terminal and in TensorBoard."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
import yaml
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from matplotlib import colormaps

from digits.files import atomic_path, write_text
from digits.record import Metrics, RunRecord, write_metrics
from digits.reporting import figures
from digits.reporting.evaluation import Evaluation
from digits.reporting.metrics import worst_mistakes
from digits.reporting.pages import data_uri, render


def write_report(folder: Path, metrics: Metrics, evaluation: Evaluation, record: RunRecord) -> None:
    """Write report/ in a run's folder: its page, two figures, its metrics, which have `onnx`, and every prediction."""
    report = folder / "report"
    _write_predictions(report / "predictions.csv", list(metrics.per_class), evaluation)
    figures.save_png(figures.confusion_matrix(metrics), report / "confusion_matrix.png")
    figures.save_png(figures.mistakes(metrics, evaluation), report / "mistakes.png")
    write_metrics(folder, metrics)
    write_text(report / "index.html", _page(metrics, evaluation, record))


def _page(metrics: Metrics, evaluation: Evaluation, record: RunRecord) -> str:
    classes = list(metrics.per_class)
    class_images = _class_images(evaluation, classes)
    mistakes = [
        {
            "image": data_uri(evaluation.images[index, 0]),
            "index": index,
            "true": classes[evaluation.labels[index]],
            "predicted": classes[evaluation.predictions[index]],
            "confidence": evaluation.confidence[index].item(),
            "likeliest": [classes[at] for at in evaluation.logits[index].topk(2).indices] if class_images else [],
        }
        for index in worst_mistakes(evaluation).tolist()
    ]
    return render(
        "report.html.j2",
        metrics=metrics,
        record=record,
        classes=classes,
        wrong=int(evaluation.correct.logical_not().sum()),
        tested=len(evaluation.labels),
        mistakes=mistakes,
        class_images=class_images,
        config=yaml.safe_dump(record.config, sort_keys=False),
        curves=[figures.svg(curve) for curve in figures.curves(metrics.history)],
        reliability=figures.svg(figures.reliability(metrics)),
    )


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


def log_results(loggers: Iterable[Logger], metrics: Metrics, evaluation: Evaluation, step: int) -> None:
    """Add graph, images, curves and the test's figures to each TensorBoard logger of `loggers`."""
    for logger in loggers:
        if not isinstance(logger, TensorBoardLogger):
            continue
        writer = logger.experiment
        writer.add_graph(evaluation.model, evaluation.model.example_input_array)
        writer.add_figure("test/confusion_matrix", figures.confusion_matrix(metrics), step)
        writer.add_figure("test/mistakes", figures.mistakes(metrics, evaluation), step)
        for position, digit in enumerate(metrics.per_class):
            is_digit, probabilities = evaluation.labels == position, evaluation.probabilities[:, position]
            writer.add_pr_curve(f"precision_recall/{digit}", is_digit, probabilities, step)
        logger.log_metrics({"test/accuracy": metrics.test_accuracy, "test/loss": metrics.test_loss}, step)
        logger.finalize("success")


def print_summary(folder: Path, metrics: Metrics) -> None:
    """Print accuracy, loss and time of the run in `folder`, and where report and model are; `metrics` have `onnx`."""
    assert metrics.onnx is not None
    data, onnx = metrics.dataset, metrics.onnx
    if folder.is_relative_to(Path.cwd()):
        folder = folder.relative_to(Path.cwd())
    rows = {
        "model": f"{metrics.model}, {metrics.parameters:,} parameters",
        "data": f"{data.name}: {data.train:,} train, {data.val:,} validation, {data.test:,} test",
        "test accuracy": f"{metrics.test_accuracy:.2%}, on the following test split:\n  {data.test_split}",
        "test loss": f"{metrics.test_loss:.4f}, ECE {metrics.test_ece:.4f}",
        "validation": "" if metrics.val_accuracy is None else f"{metrics.val_accuracy:.2%}",
        "fit": f"{metrics.fit_seconds:.1f} s, {metrics.epochs} epochs" if metrics.epochs else "",
        "ONNX": f"{onnx.bytes / 1e3:,.0f} kB, largest difference from the checkpoint {onnx.max_abs_diff:.0e}",
    }
    print("\n" + "\n".join(f"{name:<15}{text}" for name, text in rows.items() if text))
    for file in ("report/index.html", "model.onnx"):
        print(folder / file)
