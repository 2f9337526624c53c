"""What the test showed, in TensorBoard beside the curves."""

from collections.abc import Iterable
from typing import Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger

from digits.reporting import figures
from digits.reporting.evaluation import Evaluation


def log_results(loggers: Iterable[Logger], metrics: dict[str, Any], evaluation: Evaluation, step: int) -> None:
    """Add graph, images, precision-recall curves and the hparams tab's row to each TensorBoard logger of `loggers`."""
    for logger in loggers:
        if not isinstance(logger, TensorBoardLogger):
            continue
        writer = logger.experiment
        writer.add_graph(evaluation.model, evaluation.model.example_input_array)
        writer.add_figure("test/confusion_matrix", figures.confusion_matrix(metrics), step)
        writer.add_figure("test/mistakes", figures.mistakes(metrics, evaluation), step)
        for position, digit in enumerate(metrics["per_class"]):
            writer.add_pr_curve(
                f"precision_recall/{digit}",
                evaluation.labels == position,
                evaluation.probabilities[:, position],
                step,
            )
        results = ("test/accuracy", "test/loss", "test/ece", "val/accuracy", "fit_seconds")
        settings = {"model": metrics["model"], "seed": metrics["seed"], **evaluation.model.hparams}
        logger.log_hyperparams(
            settings, {f"hparams/{name}": metrics[name] for name in results if metrics[name] is not None}
        )
        logger.finalize("success")
