"""A finished run, opened again: by its own config and checkpoint, never by today's defaults."""

import json
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import OmegaConf

from digits.checkpoints import load_model
from digits.data.datamodule import DigitsData
from digits.errors import ConfigError
from digits.evaluation import Evaluation, evaluate
from digits.reporting.metrics import measure


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
    config = OmegaConf.load(paths[1])
    config.run_folder = str(folder)  # Hydra knew it then; it may have moved
    data: DigitsData = instantiate(config.data, _convert_="all")
    data.prepare_data()
    data.setup()
    best = folder / "checkpoints" / "best.ckpt"
    settings = OmegaConf.to_container(config.trainer, resolve=True)
    assert isinstance(settings, dict)
    evaluation = evaluate(load_model(best), data, {str(key): value for key, value in settings.items()})
    return {**measure(evaluation, best, record), "onnx": before["onnx"]}, evaluation, record
