"""What a run ends with: its best checkpoint tested once, exported, reported."""

from collections.abc import Iterable
from typing import Any

from lightning.pytorch.loggers import Logger

from digits.data.datamodule import DigitsData
from digits.reporting.evaluation import evaluate
from digits.reporting.metrics import measure
from digits.reporting.report import write_report
from digits.reporting.tensorboard import log_results
from digits.training.checkpoints import load_model
from digits.training.export import export_onnx, onnx_metadata
from digits.training.run import Run


def conclude(run: Run, data: DigitsData, loggers: Iterable[Logger], step: int) -> dict[str, Any]:
    """Test the best checkpoint of a run that has been fitted, export it and write the report.

    Args:
        run: under way.
        data: set up.
        loggers: of them TensorBoard's are told.
        step: how many the fit took.

    Returns:
        metrics.json.
    """
    best = run.folder / "checkpoints" / "best.ckpt"
    with run.phase("test"):
        evaluation = evaluate(load_model(best), data, run.record["config"]["trainer"])
        metrics = measure(evaluation, best, run.record)
    with run.phase("export"):
        metrics["onnx"] = export_onnx(evaluation, run.folder / "model.onnx", onnx_metadata(metrics, run.record))
    with run.phase("report"):
        write_report(run.folder, metrics, evaluation, run.record)
        log_results(loggers, metrics, evaluation, step)
    return metrics
