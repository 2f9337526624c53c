"""The test results in TensorBoard, beside the curves of the training."""

from collections.abc import Iterable

from lightning.pytorch.loggers import Logger, TensorBoardLogger

from digits.record import Metrics
from digits.reporting import figures
from digits.reporting.evaluation import Evaluation

RESULTS = {"test_accuracy", "test_loss", "test_ece", "val_accuracy", "fit_seconds"}  # shown in the hparams tab


def log_results(loggers: Iterable[Logger], metrics: Metrics, evaluation: Evaluation, step: int) -> None:
    """Add graph, images, precision-recall curves and the hparams tab's row to each TensorBoard logger of `loggers`."""
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
        settings = {"model": metrics.model, "seed": metrics.seed, **evaluation.model.hparams}
        results = metrics.model_dump(include=RESULTS, by_alias=True, exclude_none=True)
        logger.log_hyperparams(settings, {f"hparams/{name}": value for name, value in results.items()})
        logger.finalize("success")
