"""One run, from a checked config to a report, step by step."""

import logging
import os
from collections.abc import Iterable
from pathlib import Path

import torch
from hydra.utils import instantiate
from lightning import Callback, seed_everything
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig

from digits.data.datamodule import DigitsData
from digits.models.classifier import Classifier
from digits.models.network import Network
from digits.record import Dataset
from digits.reporting.report import print_summary
from digits.reporting.tracking import begin_tracking, log_settings, log_trial, loggers_of
from digits.run_folder import RunFolder
from digits.threads import usable_cores
from digits.training.callbacks import History, KeepSigterm, Progress, SeedEveryEpoch, early_stop
from digits.training.checkpoints import check_resumable, checkpoints_in, last_whole, load_model
from digits.training.finish import data_of, finish
from digits.training.run import Run
from digits.training.trainer import Trainer
from plain_errors import ConfigError

log = logging.getLogger(__name__)


def train(cfg: DictConfig, folder: RunFolder, prints: bool) -> float | None:
    """Build, fit, test the best checkpoint, export it, report it. A trial of a search ends with the fit.

    Args:
        cfg: as composed from configs/train.yaml, checked.
        folder: where the run's files go.
        prints: whether to print what happens; jobs of a sweep and other ranks are silent.

    Returns:
        val/accuracy of the best checkpoint; None for a trial, in a dry run, and on ranks above 0.
    """
    with Run(folder) as run:
        with run.phase("setup"):
            seed_everything(cfg.seed, workers=True, verbose=False)
            data = data_of(cfg)
            model = model_of(cfg, data)
            history = History()
            callbacks = [SeedEveryEpoch(cfg.seed), history, KeepSigterm()]
            callbacks += checkpoints_in(folder, cfg.monitor, model.fitted_once)
            callbacks += (instantiate(cfg.get("callbacks"), _convert_="all") or {}).values()
            if prints:
                callbacks.append(Progress(history, cfg.trainer.enable_progress_bar))
            checkpoint, step = begin_from(cfg, folder, model, callbacks)
            run.loggers = loggers_of(cfg, run.record.tracked, step)
            trainer = trainer_for(model, cfg.trainer, callbacks, [*run.loggers.values()])
            if trainer.is_global_zero and not trainer.fast_dev_run:
                run.record.tracked = begin_tracking(run.loggers)
            run.record.data, run.record.precision = Dataset.model_validate(data.facts()), str(trainer.precision)
            if prints:
                announce(model, trainer)

        with run.phase("fit"):
            fit(trainer, model, data, checkpoint)
        if trainer.fast_dev_run or not trainer.is_global_zero:
            return None
        run.record.history, run.record.early_stop = history.rows, early_stop(trainer, history.rows)
        if run.record.early_stop:
            log.info(run.record.early_stop)
        log_settings(run.loggers.values(), run.record)
        if cfg.get("search"):
            log_trial(run.loggers.values(), run.record)
            return None
        log.info("testing the best epoch, then writing model.onnx and the report")
        metrics = finish(run, cfg, data)

    if prints:
        print_summary(folder, metrics)
    return metrics.val_accuracy


def model_of(cfg: DictConfig, data: DigitsData) -> Classifier:
    """The untrained model of a config, and its teacher.

    Raises:
        ConfigError: the teacher knows other digits.
        ModelFileError: the teacher's folder holds no finished run.
    """
    from_data = {"classes": data.classes} | ({"non_digits": True} if data.non_digits else {})
    model: Classifier = instantiate(cfg.model, **from_data, _convert_="all")
    if isinstance(model, Network) and (folder := model.hparams["teacher"]):
        teacher = load_model(RunFolder(folder).best)
        if (known := teacher.hparams["classes"]) != data.classes:
            raise ConfigError(f"model.teacher: {folder} knows the digits {known}, wanted one that knows {data.classes}")
        model.answers = teacher.answers_to
    return model


def trainer_for(model: Classifier, config: DictConfig, callbacks: list[Callback], loggers: list[Logger]) -> Trainer:
    """The Trainer of a config, on the devices that the model can use."""
    if not loggers:  # without a logger LearningRateMonitor raises an error
        callbacks = [each for each in callbacks if not isinstance(each, LearningRateMonitor)]
    return instantiate(
        config, callbacks=callbacks, logger=loggers, enable_progress_bar=False, **model.placement, _convert_="all"
    )


def begin_from(
    cfg: DictConfig, folder: RunFolder, model: Classifier, callbacks: Iterable[Callback]
) -> tuple[str | None, int]:
    """The checkpoint that training continues from, the config's or this run's own last one, and its step.

    None and 0 for a new run. The folder of a config without a checkpoint has a last one at this point only if a
    cluster has put the job back into its queue.
    """
    checkpoint = cfg.ckpt_path or (str(folder.last) if folder.last.exists() else None)
    if checkpoint == str(folder.last):
        checkpoint = str(last_whole(folder))
    return checkpoint, 0 if checkpoint is None else check_resumable(Path(checkpoint), model, callbacks)


def announce(model: Classifier, trainer: Trainer) -> None:
    """Print parameters, devices and precision, and whether this process may use only some of the machine's cores.

    A closed form has its parameters only after the fit.
    """
    size = "" if model.fitted_once else f"{model.parameter_count():,} parameters   "
    cores, every = usable_cores(), os.cpu_count() or 1
    fewer = f", {cores} of {every} cores" if cores < every else ""
    print(f"{size}{trainer.world_size} x {trainer.strategy.root_device}, {trainer.precision}{fewer}", flush=True)


def fit(trainer: Trainer, model: Classifier, data: DigitsData, ckpt_path: str | None) -> None:
    """Train, and leave the group of processes afterwards: the test needs only one."""
    try:
        trainer.fit(model, data, ckpt_path=ckpt_path, weights_only=True)
    except SystemExit as stop:  # Lightning turns Ctrl-C into it
        interrupt = stop.__context__
        if isinstance(interrupt, KeyboardInterrupt):
            folder = RunFolder(trainer.default_root_dir)
            how = f"continue with: python train.py resume={folder.shown}" if folder.last.exists() else ""
            raise type(interrupt)(how) from None
        raise
    if trainer.fast_dev_run:
        log.info("dry run: one batch of training and one of validation passed; nothing is kept")
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
