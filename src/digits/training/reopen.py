"""A finished run, opened again: by its own config and checkpoint, never by today's defaults."""

import json
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from digits.data.datamodule import DigitsData
from digits.errors import ConfigError
from digits.reporting.evaluation import Evaluation, evaluate
from digits.reporting.metrics import measure
from digits.training.checkpoints import load_model
from digits.training.finish import conclude
from digits.training.run import Run


def evaluate_run(folder: Path) -> tuple[dict[str, Any], Evaluation, dict[str, Any]]:
    """Test a run's best checkpoint once more.

    Args:
        folder: of a run that got as far as its report.

    Returns:
        Its metrics, measured anew but for those of the ONNX file; what they were measured on; run.json.

    Raises:
        ConfigError: the folder is no run's, or its run did not get that far.
        DataError, ModelFileError: its data or its checkpoint are not what they should be.
    """
    paths = [folder / name for name in ("run.json", ".hydra/config.yaml", "report/metrics.json")]
    missing = [str(path.relative_to(folder)) for path in paths if not path.exists()]
    if missing:
        raise ConfigError(f"{folder}: {', '.join(missing)} missing, wanted the folder of a finished run")
    record, before = (json.loads(paths[at].read_text(encoding="utf-8")) for at in (0, 2))
    config = config_of(folder)
    best = folder / "checkpoints" / "best.ckpt"
    settings = OmegaConf.to_container(config.trainer, resolve=True)
    assert isinstance(settings, dict)
    trainer = {str(key): value for key, value in settings.items()}
    evaluation = evaluate(load_model(best), data_of(config), trainer)
    return {**measure(evaluation, best, record), "onnx": before["onnx"]}, evaluation, record


def conclude_trial(folder: Path) -> dict[str, Any]:
    """Make a whole run of a search's best trial: what train() leaves out for trials. Returns its metrics."""
    run, config = Run(folder, json.loads((folder / "run.json").read_text(encoding="utf-8"))), config_of(folder)
    with run:
        loggers = instantiate(config.logger, _convert_="all") or {}
        return conclude(run, data_of(config), loggers.values(), run.record["history"][-1]["step"])


def config_of(folder: Path) -> DictConfig:
    """The config a run was composed of."""
    config = OmegaConf.load(folder / ".hydra/config.yaml")
    assert isinstance(config, DictConfig)
    config.run_folder = str(folder)  # Hydra knew it then; it may have moved
    return config


def data_of(config: DictConfig) -> DigitsData:
    """The data it names, set up."""
    data: DigitsData = instantiate(config.data, _convert_="all")
    data.prepare_data()
    data.setup()
    return data
