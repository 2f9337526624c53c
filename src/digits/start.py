"""From a composed config to a run in a folder of its own: the checks, the folder, the config files, the log."""

import logging.config
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from digits.config import mistakes_in
from digits.record import RunRecord
from digits.run_folder import RunFolder
from digits.secrets import masked
from digits.training.ranks import forget_rank, is_distributed, rank, share_folder, started_processes
from digits.training.resume import left_as_it_was, others, resumed
from plain_errors import ConfigError, print_error

TALKATIVE = ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.distributed", "onnxscript", "onnx_ir")
FOLDER = "DIGITS_RUN_FOLDER"  # in the environment: the processes that rank 0 starts find its folder there


@contextmanager
def started(cfg: DictConfig) -> Iterator[tuple[DictConfig, RunFolder]]:
    """Check a composed config and claim a folder; yield the run's config and folder, which this process holds.

    Of several processes that train one model, only rank 0 checks, claims and writes; the others get its folder.

    Raises:
        ConfigError: the config is wrong, or the folder cannot be had.
    """
    hydra = HydraConfig.get()
    try:
        if cfg.resume is not None:
            folder = RunFolder(cfg.resume)
            cfg = resumed(folder, _written(hydra))
            with left_as_it_was(folder):
                yield cfg, _shared(cfg, hydra)
        else:
            if hydra.run.dir != ".":  # Hydra's own key for the folder
                cfg.run_folder = hydra.run.dir
            yield cfg, _shared(cfg, hydra)
    finally:
        if "wandb" in sys.modules:  # otherwise its run would continue in the next job
            sys.modules["wandb"].finish()


def _shared(cfg: DictConfig, hydra: HydraConf) -> RunFolder:
    """The folder of all processes of this run, which rank 0 claims."""
    started_together = started_processes() > 1
    if not started_together and not is_distributed(cfg.trainer):
        forget_rank()
    if rank() > 0:
        named = share_folder() if started_together else os.environ[FOLDER]
        if not named:  # rank 0 has said why
            sys.exit(ConfigError.exit_code)
        return _logged(cfg, RunFolder(named))
    try:
        folder = _claimed(cfg, hydra)
    except ConfigError as error:
        if started_together:
            print_error(error)  # first: the end of any process ends this one too
            share_folder("")
            sys.exit(error.exit_code)
        raise
    os.environ[FOLDER] = str(folder.path)
    if started_together:
        share_folder(str(folder.path))
    return folder


def _claimed(cfg: DictConfig, hydra: HydraConf) -> RunFolder:
    """Check the config, take a folder for the run, and write into it what the run is."""
    is_job, overrides = hydra.mode == RunMode.MULTIRUN, _written(hydra)
    mistakes = mistakes_in(cfg)
    if cfg.get("search") and not is_job:
        mistakes.append("search: a search runs many trials, so it needs -m: python train.py -m search=…")
    if mistakes:
        raise ConfigError("\n".join(dict.fromkeys(mistakes)))
    choices, sources = hydra.runtime.choices, hydra.runtime.config_sources
    record = RunRecord.begun(
        overrides=overrides,
        config_dir=next((each.path for each in sources if each.provider == "command-line"), None),
        name=cfg.name,
        tags=list(cfg.tags),
        model=choices["model"],
        experiment=choices["experiment"],
    )
    if cfg.resume is not None:
        folder = RunFolder(cfg.resume)
        before = folder.record()
        record.overrides, record.config_dir = [*folder.overrides(), *others(overrides)], before.config_dir
        record.model, record.experiment = before.model, before.experiment
    else:
        folder = RunFolder(cfg.run_folder) if is_job else RunFolder.claim(cfg.run_folder, choices["model"])
    folder.hold()
    cfg.run_folder = str(folder.path.absolute())
    cfg.run_label = cfg.run_label or cfg.name or record.experiment or record.model
    record.config = masked(OmegaConf.to_container(cfg, resolve=True))
    files = {"config": OmegaConf.to_yaml(cfg), "overrides": OmegaConf.to_yaml(OmegaConf.create(record.overrides))}
    if cfg.resume is None:
        files["hydra"] = OmegaConf.to_yaml(OmegaConf.create({"hydra": hydra}))
    folder.write_config(**files)
    folder.write_record(record)  # last: it says that the run has begun
    return _logged(cfg, folder, is_quiet=is_job)


def _written(hydra: HydraConf) -> list[str]:
    """The overrides of the command as the user wrote them: ${oc.env:TOKEN} stays a name."""
    overrides: Any = OmegaConf.to_container(hydra.overrides.task)
    return overrides


def _logged(cfg: DictConfig, folder: RunFolder, is_quiet: bool = True) -> RunFolder:
    """Log into the run's train.log and, unless it is one of many, in plain words to the terminal."""
    cfg.run_folder = str(folder.path.absolute())
    level = "ERROR" if is_quiet else "INFO"
    console = {"class": "logging.StreamHandler", "formatter": "plain", "level": level, "stream": "ext://sys.stdout"}
    file = {"class": "logging.FileHandler", "formatter": "full", "filename": str(folder.log)}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "plain": {"format": "%(message)s"},
                "full": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
            },
            "handlers": {"console": console, "file": file},
            "root": {"level": "INFO", "handlers": ["console", "file"]},
            "loggers": {
                **{name: {"level": "WARNING"} for name in TALKATIVE},
                "digits.training.callbacks": {"handlers": ["file"], "propagate": False},  # Progress prints another line
            },
        }
    )
    logging.captureWarnings(is_quiet)  # into train.log
    return folder
