"""From a composed config to a run in a folder of its own: the checks, the folder, the config files, the log."""

import logging.config
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
    hydra, several = HydraConfig.get(), started_processes() > 1
    with ExitStack() as stack:
        stack.callback(_finish_wandb)
        if rank() > 0 and (several or FOLDER in os.environ):
            folder = _folder_of_rank_0(several)
            if cfg.resume is not None:
                cfg = resumed(folder, _written(hydra))
            yield cfg, _logged(cfg, folder)
            return
        try:
            if cfg.resume is not None:
                folder = RunFolder(cfg.resume)
                cfg = resumed(folder, _written(hydra))
                stack.enter_context(left_as_it_was(folder))
            elif hydra.mode == RunMode.MULTIRUN:
                cfg.run_folder, cfg.run_label = hydra.runtime.output_dir, hydra.job.name
            elif hydra.run.dir != ".":  # Hydra's own key for the folder
                cfg.run_folder = hydra.run.dir
            if not several and not is_distributed(cfg.trainer):
                forget_rank()
            folder = _claimed(cfg, hydra)
        except ConfigError as error:
            if several:
                print_error(error)  # first: the end of any process ends this one too
                share_folder("")
                sys.exit(error.exit_code)
            raise
        os.environ[FOLDER] = str(folder.path)
        if several:
            share_folder(str(folder.path))
        yield cfg, folder


def _finish_wandb() -> None:
    """End the run of W&B, which would otherwise continue in the next job."""
    if "wandb" in sys.modules:
        sys.modules["wandb"].finish()


def _folder_of_rank_0(several: bool) -> RunFolder:
    """The folder that rank 0 has claimed; this process ends if there is none."""
    path = share_folder() if several else os.environ[FOLDER]
    if not path:  # rank 0 has said why
        sys.exit(ConfigError.exit_code)
    return RunFolder(path)


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
