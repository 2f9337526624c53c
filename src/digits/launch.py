"""What happens between Hydra and train(): the config is checked, a run folder claimed, a sweep summed up."""

import os
from itertools import count
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict, read_write

from digits.cli import stop, tell
from digits.config import jobs_of, mistakes_in
from digits.errors import ConfigError

FIRST_FILE = {"run": "run.json", "sweep": "multirun.yaml"}  # written by the run, by Hydra's sweeper


class Launch(Callback):
    """Hydra callback of every run and sweep. Hydra swallows exceptions here, so what is wrong leaves by SystemExit."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse a wrong config; else make the run's folder, one that no other run has."""
        if _is_child():  # of a parent that has done both
            return
        _refuse(mistakes_in(config))
        _claim_folder(config, "run")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse a sweep if any of its jobs is wrong, before the first one starts."""
        from digits.trainer import is_distributed

        mistakes = []
        for overrides in jobs_of(list(config.hydra.overrides.task)):
            job = compose("train", overrides, return_hydra_config=True)
            mistakes += mistakes_in(job)
            if is_distributed(job.trainer):
                mistakes.append(
                    "trainer: a sweep trains each job on one device; take trainer=default trainer.devices=1, "
                    "or run the jobs one by one without -m"
                )
        _refuse(mistakes)
        _claim_folder(config, "sweep")

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Tell what went wrong; one job of a sweep lets the others run."""
        if job_return.status != JobStatus.FAILED:
            return
        if config.hydra.mode != RunMode.MULTIRUN:
            stop(job_return._return_value)
        tell(job_return._return_value)
        job_return.status, job_return.return_value = JobStatus.COMPLETED, None

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print one table of all jobs; exit with 1 if any failed."""
        from digits.reporting.sweep import print_sweep

        if not print_sweep(Path(config.hydra.sweep.dir)):
            raise SystemExit(1)


def _is_child() -> bool:
    return any(int(os.environ.get(name, 0)) > 0 for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))


def _refuse(mistakes: list[str]) -> None:
    if mistakes:
        stop(ConfigError("\n".join(dict.fromkeys(mistakes))))


def _claim_folder(config: DictConfig, kind: str) -> None:
    """Make hydra.`kind`.dir this process's own; a name that the user did not choose gives way if it is taken."""
    key = f"hydra.{kind}.dir"
    wanted = Path(config.hydra[kind].dir)
    chosen = any(text.startswith(f"{key}=") for text in config.hydra.overrides.hydra)
    for number in count(1):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / FIRST_FILE[kind]).touch(exist_ok=False)  # of two processes, one succeeds
            break
        except FileExistsError as error:
            if folder.is_dir() and not chosen:
                continue
            _refuse([f"{key}: {folder} is taken ({error.strerror}); choose a name that is free"])
        except OSError as error:
            _refuse([f"{key}: cannot make {folder} ({error.strerror}); choose a folder that can be written"])
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra[kind].dir = str(folder)
        config.hydra.overrides.hydra.append(f"{key}='{folder}'")  # the jobs of a sweep compose anew
