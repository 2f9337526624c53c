"""What TensorBoard shows of a run, and what MLflow and Weights & Biases keep of a finished one."""

from collections.abc import Iterable, Mapping
from typing import Any

from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from torch.utils.tensorboard.summary import hparams

from digits.record import Metrics, RunRecord
from digits.run_folder import RunFolder
from digits.settings import readable, settings_of

FIGURES = {"test_accuracy", "test_loss", "test_ece", "val_accuracy", "val_loss", "parameters", "fit_seconds"}
CHARTS = {"val/accuracy": "accuracy/val", "train/loss": "loss/train", "val/loss": "loss/val"}


class TensorBoard(TensorBoardLogger):
    """Shows accuracy and loss first, training beside validation; TensorBoard sorts by name."""

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Add a point to each chart. The epoch's number gets no chart."""
        named = {CHARTS.get(name, name if "/" in name else f"train/{name}"): value for name, value in metrics.items()}
        named.pop("train/epoch", None)
        super().log_metrics(named, step)


def log_settings(loggers: Iterable[Logger], record: RunRecord) -> None:
    """Add a fitted run's row to the hparams tab of TensorBoard; its figures come from the charts."""
    settings = readable(settings_of(record.config)) | {"model": record.model, "seed": record.config["seed"]}
    named = {key: value if isinstance(value, int | float | None) else str(value) for key, value in settings.items()}
    for logger in (each for each in loggers if isinstance(each, TensorBoardLogger)):
        for summary in hparams(named, {})[1:]:  # the first lists the settings: TensorBoard would use one run's for all
            logger.experiment._get_file_writer().add_summary(summary)
        logger.finalize("success")


def track_results(loggers: Iterable[Logger], folder: RunFolder, metrics: Metrics, record: RunRecord) -> None:
    """Hand the results in a run's folder to each MLflow and W&B logger of `loggers`; the others take none."""
    figures = metrics.model_dump(include=FIGURES, by_alias=True, exclude_none=True)
    settings = {"model": metrics.model, "seed": metrics.seed}
    # Lightning has already logged the settings of the model
    settings |= {key: value for key, value in settings_of(record.config).items() if not key.startswith("model.")}
    model, report = str(folder.onnx), str(folder.report)
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
