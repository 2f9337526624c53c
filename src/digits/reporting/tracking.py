"""What TensorBoard shows of a run, and what MLflow and Weights & Biases keep of a finished one."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from hydra.utils import instantiate
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig
from PIL import Image
from torch.utils.tensorboard.summary import hparams

from digits.record import Metrics, RunRecord
from digits.reporting.evaluation import Evaluation
from digits.run_folder import RunFolder
from digits.schema import located
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


def loggers_of(config: DictConfig, step: int | None = None) -> dict[str, Logger]:
    """The loggers of a run's config, by name. Those of a run that is resumed go on where its checkpoint was written.

    Args:
        config: the run's.
        step: what was logged at this step and later will be logged again; None if nothing will be.
    """
    loggers: dict[str, Logger] = {}
    for name, node in (config.get("logger") or {}).items():
        options = _going_on(located(node["_target_"]), step)
        loggers[name] = logger = instantiate(node, **options, _convert_="all")
        if isinstance(logger, CSVLogger):
            _keep_rows(logger, step)
    return loggers


def _going_on(kind: type[Logger], step: int | None) -> dict[str, Any]:
    """What a logger of a class needs to go on."""
    if issubclass(kind, TensorBoardLogger) and step is not None:
        return {"purge_step": step}  # in a new run too: TensorBoard takes only the second such mark for a restart
    return {}


@rank_zero_only
def _keep_rows(logger: CSVLogger, step: int | None) -> None:
    """Write the rows before `step` again: Lightning deletes the metrics.csv of a folder that exists."""
    file = Path(logger.log_dir) / ExperimentWriter.NAME_METRICS_FILE
    if not file.exists():
        return
    with file.open(newline="") as lines:
        rows = [{name: value for name, value in row.items() if value} for row in csv.DictReader(lines)]
    logger.experiment.metrics = [row for row in rows if step is None or int(row["step"]) < step]
    logger.save()


def log_settings(loggers: Iterable[Logger], record: RunRecord) -> None:
    """Hand the settings of a fitted run to each logger; in TensorBoard they become a row of the hparams tab."""
    settings, model = settings_of(record.config), {"model": record.model, "seed": record.config["seed"]}
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):  # the figures of the row come from the charts
            row = {
                key: value if isinstance(value, int | float | None) else str(value)
                for key, value in (readable(settings) | model).items()
            }
            for part in hparams(row, {})[1:]:  # the first lists the settings: TensorBoard would use one run's for all
                logger.experiment._get_file_writer().add_summary(part)
            logger.finalize("success")
        else:  # Lightning has already logged the settings of the model
            logger.log_hyperparams(model | {key: settings[key] for key in settings if not key.startswith("model.")})


def log_results(
    loggers: Iterable[Logger], folder: RunFolder, metrics: Metrics, evaluation: Evaluation, record: RunRecord
) -> None:
    """Hand the results in a run's folder to each logger of TensorBoard, MLflow and W&B; others take none."""
    figures = metrics.model_dump(include=FIGURES, by_alias=True, exclude_none=True)
    model, report = str(folder.onnx), str(folder.report)
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            _draw(logger, folder, metrics, evaluation, record.history[-1].step)
        elif isinstance(logger, MLFlowLogger):
            logger.log_metrics(figures)
            logger.experiment.log_artifact(logger.run_id, model)
            logger.experiment.log_artifacts(logger.run_id, report, "report")
        elif isinstance(logger, WandbLogger):
            logger.experiment.summary.update(figures)
            logger.experiment.log_artifact(model, name=f"model-{logger.version}", type="model")
            logger.experiment.log_artifact(report, name=f"report-{logger.version}", type="report")


def _draw(logger: TensorBoardLogger, folder: RunFolder, metrics: Metrics, evaluation: Evaluation, step: int) -> None:
    """Add graph, curves, the test's figures and the pictures in report/."""
    writer = logger.experiment
    writer.add_graph(evaluation.model, evaluation.model.example_input_array)
    for file in (folder.confusion_matrix, folder.mistakes):
        with Image.open(file) as picture:
            writer.add_image(f"test/{file.stem}", np.asarray(picture.convert("RGB")), step, dataformats="HWC")
    for position, digit in enumerate(metrics.per_class):
        is_digit, probabilities = evaluation.labels == position, evaluation.probabilities[:, position]
        writer.add_pr_curve(f"precision_recall/{digit}", is_digit, probabilities, step)
    logger.log_metrics({"test/accuracy": metrics.test_accuracy, "test/loss": metrics.test_loss}, step)
    logger.finalize("success")
