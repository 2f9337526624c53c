"""What MLflow and Weights & Biases keep of a finished run: settings, test figures, model.onnx and the report."""

from collections.abc import Iterable
from pathlib import Path

from lightning.pytorch.loggers import Logger, MLFlowLogger, WandbLogger

from digits.record import Metrics, RunRecord, settings_of

FIGURES = {"test_accuracy", "test_loss", "test_ece", "val_accuracy", "val_loss", "parameters", "fit_seconds"}


def track_results(loggers: Iterable[Logger], folder: Path, metrics: Metrics, record: RunRecord) -> None:
    """Hand the results in a run's folder to each MLflow and W&B logger of `loggers`; the others take none."""
    figures = metrics.model_dump(include=FIGURES, by_alias=True, exclude_none=True)
    settings = {"model": metrics.model, "seed": metrics.seed}
    # Lightning has logged the model's own
    settings |= {key: value for key, value in settings_of(record.config).items() if not key.startswith("model.")}
    model, report = str(folder / "model.onnx"), str(folder / "report")
    for logger in loggers:
        if isinstance(logger, MLFlowLogger):
            logger.log_hyperparams(settings)
            logger.log_metrics(figures)
            logger.experiment.log_artifact(logger.run_id, model)
            logger.experiment.log_artifacts(logger.run_id, report, "report")
        elif isinstance(logger, WandbLogger):
            logger.log_hyperparams(settings)
            logger.experiment.summary.update(figures)
            logger.experiment.log_artifact(model, name=f"model-{logger.version}", type="model")
            logger.experiment.log_artifact(report, name=f"report-{logger.version}", type="report")
