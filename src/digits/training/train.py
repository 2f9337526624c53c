"""One run, from a good config to a report. The whole story, top to bottom."""

import logging
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning import Callback, seed_everything
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from digits.data.datamodule import DigitsData
from digits.errors import ConfigError
from digits.models.classifier import Classifier
from digits.models.network import Network
from digits.reporting.summary import print_summary
from digits.sweeping.pruning import Pruning, objective
from digits.training.callbacks import History, KeepSigterm
from digits.training.checkpoints import check_resumable
from digits.training.finish import conclude
from digits.training.run import Run
from digits.training.trainer import Trainer

log = logging.getLogger(__name__)


def train(cfg: DictConfig) -> float | None:
    """Build, fit, test the best, export, report; a trial of a search ends with the fit.

    Args:
        cfg: as composed from configs/train.yaml, checked.

    Returns:
        val/accuracy of the best checkpoint, or what a search goes by; None on ranks above 0 and in a dry run.
    """
    config = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(config, dict)
    folder = Path(cfg.run_folder)
    best = folder / "checkpoints" / "best.ckpt"

    with Run(folder) as run:
        with run.phase("setup"):
            seed_everything(cfg.seed, workers=True, verbose=False)
            data: DigitsData = instantiate(cfg.data, _convert_="all")
            data.prepare_data()
            data.setup()
            model: Classifier = instantiate(cfg.model, classes=data.classes, _convert_="all")
            callbacks = instantiate(cfg.callbacks, _convert_="all") or {}
            loggers = instantiate(cfg.logger, _convert_="all") or {}
            search = config.get("sweep")
            own = [KeepSigterm(), *([Pruning(folder, cfg)] if search and isinstance(model, Network) else [])]
            trainer = trainer_for(model, cfg.trainer, [*callbacks.values(), *own], list(loggers.values()))
            if cfg.ckpt_path is not None:
                check_resumable(Path(cfg.ckpt_path), model)
            choices = HydraConfig.get().runtime.choices
            run.record |= {"model": choices["model"], "experiment": choices["experiment"], "config": config}
            run.record |= {"data": data.facts(), "precision": trainer.precision}

        with run.phase("fit"):
            fit(trainer, model, data, cfg.ckpt_path)
        if not trainer.is_global_zero:
            return None
        if trainer.fast_dev_run:
            log.info("dry run: a batch of training and of validation went through; nothing is kept")
            return None
        if not best.exists():
            raise ConfigError(f"callbacks: none of them kept {best}; add callbacks=default")
        run.record["history"] = next((each.rows for each in trainer.callbacks if isinstance(each, History)), [])

        if search:  # only the best of its trials is tested
            run.record["value"] = objective(run.record["history"], search["metric"])
            return run.record["value"]
        metrics = conclude(run, data, loggers.values(), trainer.global_step)

    print_summary(folder, metrics)
    return metrics["val/accuracy"]


def trainer_for(model: Classifier, config: DictConfig, callbacks: list[Callback], loggers: list[Logger]) -> Trainer:
    """The Trainer of a config, on the devices that the model can use."""
    return instantiate(config, callbacks=callbacks, logger=loggers, **model.placement, _convert_="all")


def fit(trainer: Trainer, model: Classifier, data: DigitsData, ckpt_path: str | None) -> None:
    """Train; leave several devices behind, as what follows needs one."""
    try:
        trainer.fit(model, data, ckpt_path=ckpt_path, weights_only=True)
    except SystemExit as stop:  # what Lightning makes of Ctrl-C
        interrupt = stop.__context__
        if isinstance(interrupt, KeyboardInterrupt):
            last = Path(trainer.default_root_dir) / "checkpoints" / "last.ckpt"
            raise type(interrupt)(f"go on with ckpt_path={last}" if last.exists() else "") from None
        raise
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
