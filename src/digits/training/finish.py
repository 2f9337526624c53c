"""What follows the fit: the best checkpoint is tested once, exported and reported; and the same for an old run."""

from hydra.utils import instantiate
from omegaconf import DictConfig

from digits.data.datamodule import DigitsData
from digits.record import Metrics, OnnxFile, RunRecord
from digits.reporting.evaluation import Evaluation, evaluate
from digits.reporting.metrics import measure
from digits.reporting.report import write_report
from digits.reporting.tracking import log_results, log_settings, loggers_of
from digits.run_folder import RunFolder
from digits.training.checkpoints import load_model, read_checkpoint
from digits.training.export import export_onnx, onnx_metadata
from digits.training.run import Run
from plain_errors import ConfigError


def finish(run: Run, config: DictConfig, data: DigitsData) -> Metrics:
    """Test the best checkpoint of a fitted run, export it and write the report.

    Args:
        run: still open; its record has the history of the fit; its loggers get the results too.
        config: that of the run.
        data: already set up.

    Returns:
        What metrics.json holds.
    """
    best = run.folder.best
    with run.phase("test"):
        evaluation = evaluate(load_model(best), data, config.trainer)
    with run.phase("export"):
        onnx = export_onnx(evaluation, run.folder.onnx, onnx_metadata(evaluation, run.record, best))
    with run.phase("report"):
        metrics = metrics_of(run.folder, evaluation, run.record, onnx)
        write_report(run.folder, metrics, evaluation, run.record)
        log_results(run.loggers.values(), run.folder, metrics, evaluation, run.record)
    return metrics


def metrics_of(folder: RunFolder, evaluation: Evaluation, record: RunRecord, onnx: OnnxFile | None = None) -> Metrics:
    """What metrics.json holds: `onnx` are facts of the exported file, None for those that it already holds."""
    kept_epoch = read_checkpoint(folder.best).get("epoch")
    return measure(evaluation, folder.best, record, onnx or folder.metrics().onnx, kept_epoch)


def finish_trial(folder: RunFolder) -> Metrics:
    """Test, export and report a search's best trial, which until then was only fitted."""
    config = folder.config()
    with Run(folder) as run:
        run.loggers = loggers_of(config, run.record.tracked)
        log_settings(run.loggers.values(), run.record)
        return finish(run, config, data_of(config))


def evaluate_again(folder: RunFolder) -> tuple[Evaluation, RunRecord]:
    """Test a finished run's best checkpoint again, with the run's own config, not with today's defaults.

    Returns:
        The evaluation, and the run's record.

    Raises:
        ConfigError: the folder is not that of a finished run.
        DataError, ModelFileError: its data or its checkpoint are not what they should be.
    """
    paths = (folder.record_file, folder.metrics_file)
    missing = [str(path.relative_to(folder.path)) for path in paths if not path.exists()]
    if missing:
        raise ConfigError(f"{folder}: {', '.join(missing)} missing, wanted the folder of a finished run")
    record, config = folder.record(), folder.config()
    return evaluate(load_model(folder.best), data_of(config), config.trainer), record


def evaluate_on(folder: RunFolder, config: DictConfig) -> tuple[Evaluation, DigitsData]:
    """Test a run's best checkpoint on the data of another config; ConfigError: these have other classes."""
    model, data = load_model(folder.best), data_of(config)
    if (known := model.hparams["classes"]) != data.classes:
        raise ConfigError(f"{data.name}: its classes are {data.classes}, wanted those that {folder} knows, {known}")
    return evaluate(model, data, {"limit_val_batches": 0}), data


def data_of(config: DictConfig) -> DigitsData:
    """The data that a config names, set up."""
    data: DigitsData = instantiate(config.data, _convert_="all")
    data.prepare_data()
    data.setup()
    return data
