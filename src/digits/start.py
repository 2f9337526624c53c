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

from digits.config import check
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
    is_new, choices = cfg.resume is None, hydra.runtime.choices
    if is_new:
        label = cfg.run_label or cfg.name or choices["experiment"] or choices["model"]
        cfg.run_label = str(label).replace("/", "-")  # a folder of TensorBoard
    with ExitStack() as stack:
        if rank() > 0 and (several or FOLDER in os.environ):
            folder = _folder_of_rank_0(several)
            cfg = cfg if is_new else resumed(folder, _written(hydra))
            cfg.run_folder = str(folder.path.absolute())
            _log_into(folder, is_quiet=True)
            yield cfg, folder
            return
        try:
            if is_new:
                folder = _new_folder(cfg, hydra, several)
            else:
                folder = RunFolder(cfg.resume)
                cfg = resumed(folder, _written(hydra))
                folder.hold()  # before the files are looked at: who holds it may still write them
                stack.enter_context(left_as_it_was(folder))
                _check(cfg, several)
            _write(cfg, hydra, folder, is_new)
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


def _folder_of_rank_0(several: bool) -> RunFolder:
    """The folder that rank 0 has claimed; this process ends if there is none."""
    path = share_folder() if several else os.environ[FOLDER]
    if not path:  # rank 0 has said why
        sys.exit(ConfigError.exit_code)
    return RunFolder(path)


def _check(cfg: DictConfig, several: bool) -> None:
    """Refuse a config with all its mistakes, as digits.config.check."""
    if not several and not is_distributed(cfg.trainer):
        forget_rank()  # before the check, which imports Lightning
    check(cfg)


def _new_folder(cfg: DictConfig, hydra: HydraConf, several: bool) -> RunFolder:
    """Check the config of a new run and claim a folder for it. That of a job has been made for it."""
    if hydra.mode == RunMode.MULTIRUN:
        cfg.run_folder, cfg.run_label = hydra.runtime.output_dir, hydra.job.name
    elif hydra.run.dir != ".":  # Hydra's own key for the folder
        cfg.run_folder = hydra.run.dir
    _check(cfg, several)
    is_job = hydra.mode == RunMode.MULTIRUN
    folder = RunFolder(cfg.run_folder) if is_job else RunFolder.claim(cfg.run_folder, hydra.runtime.choices["model"])
    folder.hold()
    return folder


def _write(cfg: DictConfig, hydra: HydraConf, folder: RunFolder, is_new: bool) -> None:
    """Write into a run's folder what the run is, and begin its log."""
    choices, sources, overrides = hydra.runtime.choices, hydra.runtime.config_sources, _written(hydra)
    before = folder.record()
    cfg.run_folder = str(folder.path.absolute())
    record = RunRecord.begun(
        overrides=overrides if is_new else [*folder.overrides(), *others(overrides)],
        config_dir=next((each.path for each in sources if each.provider == "command-line"), before.config_dir),
        name=cfg.name,
        tags=list(cfg.tags),
        model=choices["model"] if is_new else before.model,
        experiment=choices["experiment"] if is_new else before.experiment,
        tracked=before.tracked,
        config=masked(OmegaConf.to_container(cfg, resolve=True)),
    )
    files = {"config": OmegaConf.to_yaml(cfg), "overrides": OmegaConf.to_yaml(OmegaConf.create(record.overrides))}
    if is_new:
        files["hydra"] = OmegaConf.to_yaml(OmegaConf.create({"hydra": hydra}))
    folder.write_config(**files)
    folder.write_record(record)  # last: it says that the run has begun
    _log_into(folder, is_quiet=hydra.mode == RunMode.MULTIRUN)


def _written(hydra: HydraConf) -> list[str]:
    """The overrides of the command as the user wrote them: ${oc.env:TOKEN} stays a name."""
    overrides: Any = OmegaConf.to_container(hydra.overrides.task)
    return overrides


def _log_into(folder: RunFolder, is_quiet: bool) -> None:
    """Log into the run's train.log and, unless it is one of many, in plain words to the terminal."""
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
