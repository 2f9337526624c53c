"""What loggers get of a run: its settings, figures and files, how it has ended, and what a resumed one goes on from."""

import csv
import logging
import sys
import warnings
from collections.abc import Iterable, Mapping
from functools import cached_property
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
from plain_errors import Pruned

FIGURES = {"test_accuracy", "test_loss", "test_ece", "val_accuracy", "val_loss", "parameters", "fit_seconds"}
CHARTS = {"val/accuracy": "accuracy/val", "train/loss": "loss/train", "val/loss": "loss/val"}
log = logging.getLogger(__name__)


class TensorBoard(TensorBoardLogger):
    """Shows accuracy and loss first, training beside validation; TensorBoard sorts by name."""

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Add a point to each chart. The epoch's number gets no chart."""
        named = {CHARTS.get(name, name if "/" in name else f"train/{name}"): value for name, value in metrics.items()}
        named.pop("train/epoch", None)
        super().log_metrics(named, step)


class MLflow(MLFlowLogger):
    """Logs each point once: a resumed run repeats those that followed its checkpoint, and MLflow keeps all it gets."""

    @cached_property
    def _known(self) -> dict[str, int]:  # the last step of each figure that the run had before this process
        return {}

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Add a point to each chart that has none at this step or later."""
        for name in metrics.keys() - self._known.keys():
            points = self.experiment.get_metric_history(str(self.run_id), name) or []  # None on ranks above 0
            self._known[name] = max((point.step for point in points), default=-1)
        super().log_metrics(
            {name: each for name, each in metrics.items() if step is None or step > self._known[name]}, step
        )


def loggers_of(config: DictConfig, tracked: Mapping[str, str], step: int | None = None) -> dict[str, Logger]:
    """The loggers of a run's config, by name. Those of a run that is resumed go on where its checkpoint was written.

    Args:
        config: the run's.
        tracked: the run's ids in MLflow and W&B, by the name of the logger; those that are missing are new there.
        step: what was logged at this step and later will be logged again; None if nothing will be.
    """
    loggers: dict[str, Logger] = {}
    for name, node in (config.get("logger") or {}).items():
        options = _going_on(located(node["_target_"]), tracked.get(name), step)
        logger = instantiate(node, **options, _convert_="all")
        if "run_id" in options and not _is_in_mlflow(logger, options["run_id"]):
            log.warning("MLflow has no run %s in %s: a new one begins", options["run_id"], node.get("tracking_uri"))
            logger = instantiate(node, _convert_="all")
        if isinstance(logger, CSVLogger):
            _keep_rows(logger, step)
        loggers[name] = logger
    return loggers


def _going_on(kind: type[Logger], identity: str | None, step: int | None) -> dict[str, Any]:
    """What a logger of a class needs to go on."""
    if issubclass(kind, TensorBoardLogger) and step is not None:
        return {"purge_step": step}  # in a new run too: TensorBoard takes only the second such mark for a restart
    if issubclass(kind, MLFlowLogger) and identity:
        return {"run_id": identity}
    if issubclass(kind, WandbLogger) and identity:
        return {"id": identity}
    return {}


def _is_in_mlflow(logger: MLFlowLogger, run_id: str) -> bool:
    """Whether MLflow can go on with a run: it may have been deleted, or be in the store of another folder."""
    from mlflow.exceptions import MlflowException  # an extra

    try:
        run = logger.experiment.get_run(run_id)
    except MlflowException:
        return False
    return run is None or run.info.lifecycle_stage == "active"  # Lightning answers None on ranks above 0


def begin_tracking(loggers: Mapping[str, Logger]) -> dict[str, str]:
    """Begin the run in MLflow and W&B, or go on with it; return its ids there by the names of the loggers."""
    tracked = {}
    for name, logger in loggers.items():
        if isinstance(logger, MLFlowLogger):
            tracked[name] = str(logger.run_id)
            logger.experiment.update_run(logger.run_id, status="RUNNING")
        elif isinstance(logger, WandbLogger):
            tracked[name] = str(logger.experiment.id)
    return tracked


@rank_zero_only
def end_tracking(loggers: Iterable[Logger], error: BaseException | None) -> None:
    """Tell MLflow and W&B how the run has ended. In W&B the next job of a sweep would otherwise go on with it."""
    stopped = isinstance(error, KeyboardInterrupt | Pruned)
    for logger in loggers:
        if isinstance(logger, MLFlowLogger):
            logger.finalize("FINISHED" if error is None else "KILLED" if stopped else "FAILED")
    if "wandb" in sys.modules:
        sys.modules["wandb"].finish(exit_code=0 if error is None else 255 if stopped else 1)  # W&B's own codes


@rank_zero_only
def _keep_rows(logger: CSVLogger, step: int | None) -> None:
    """Write the rows before `step` again: Lightning deletes the metrics.csv of a folder that exists."""
    file = Path(logger.log_dir) / ExperimentWriter.NAME_METRICS_FILE
    if not file.exists():
        return
    with file.open(newline="") as lines:
        rows = [{name: value for name, value in row.items() if value} for row in csv.DictReader(lines)]
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Experiment logs directory .* exists and is not empty"
        )  # the file is in `rows`
        writer = logger.experiment
    writer.metrics = [row for row in rows if step is None or int(row["step"]) < step]
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
            continue
        rest = model | {key: settings[key] for key in settings if not key.startswith("model.")}  # Lightning logs those
        if isinstance(logger, MLFlowLogger):  # it refuses new values, which a resumed run may have
            logger.experiment.update_run(logger.run_id, status="RUNNING")  # Lightning ends it after the fit
            known = logger.experiment.get_run(logger.run_id).data.params
            rest = {key: value for key, value in rest.items() if key not in known}
        logger.log_hyperparams(rest)


def log_results(
    loggers: Iterable[Logger], folder: RunFolder, metrics: Metrics, evaluation: Evaluation, record: RunRecord
) -> None:
    """Hand the results in a run's folder to each logger of TensorBoard, MLflow and W&B; others take none."""
    model, report, step = str(folder.onnx), str(folder.report), record.history[-1].step
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            _draw(logger, folder, metrics, evaluation, step)
        elif isinstance(logger, MLFlowLogger):
            logger.experiment.log_artifact(logger.run_id, model)
            logger.experiment.log_artifacts(logger.run_id, report, "report")
        elif isinstance(logger, WandbLogger):
            logger.experiment.log_artifact(model, name=f"model-{logger.version}", type="model")
            logger.experiment.log_artifact(report, name=f"report-{logger.version}", type="report")
        _log_figures(logger, metrics.model_dump(include=FIGURES, by_alias=True, exclude_none=True), step)


def log_trial(loggers: Iterable[Logger], record: RunRecord) -> None:
    """Hand the validation figures of a search's trial, those of its best epoch, to each logger. It is not tested."""
    figures = {name: value for name in ("val/accuracy", "val/loss") if (value := record.value(name)) is not None}
    for logger in loggers:
        _log_figures(logger, figures, record.history[-1].step)


def _log_figures(logger: Logger, figures: Mapping[str, float], step: int) -> None:
    """Log figures of the epoch that was kept after all others: tables of runs show the last value of each figure."""
    if isinstance(logger, TensorBoardLogger):
        logger.log_metrics({name: value for name, value in figures.items() if "/" in name}, step)
        logger.finalize("success")
    elif isinstance(logger, MLFlowLogger):
        MLFlowLogger.log_metrics(logger, figures, step)  # also where the last epoch has a point
    elif isinstance(logger, WandbLogger):
        logger.experiment.summary.update(figures)


def _draw(logger: TensorBoardLogger, folder: RunFolder, metrics: Metrics, evaluation: Evaluation, step: int) -> None:
    """Add graph, curves and the pictures in report/."""
    writer = logger.experiment
    writer.add_graph(evaluation.model, evaluation.model.example_input_array)
    for file in (folder.confusion_matrix, folder.mistakes):
        with Image.open(file) as picture:
            writer.add_image(f"test/{file.stem}", np.asarray(picture.convert("RGB")), step, dataformats="HWC")
    for position, digit in enumerate(metrics.per_class):
        is_digit, probabilities = evaluation.labels == position, evaluation.probabilities[:, position]
        writer.add_pr_curve(f"precision_recall/{digit}", is_digit, probabilities, step)
