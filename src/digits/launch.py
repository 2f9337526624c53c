"""What Hydra calls before and after jobs: check the config, claim a folder, print errors, sum up a sweep or search."""

import io
import sys
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict, read_write

from digits.config import explained, mistakes_in, resolved
from digits.training.ranks import forget_rank, is_distributed
from plain_errors import ConfigError, Pruned, StudyError, is_disk_full, print_error, stop
from resumable_sweeps.grid import begin_sweep, facts_of, jobs_of, read_jobs, search_name, smaller_sweep, sweep_name
from resumable_sweeps.jobs import begin_job, print_job
from resumable_sweeps.slurm import on_slurm


class Launch(Callback):
    """Hydra callback of every run, sweep and search. Hydra swallows exceptions here, so errors exit the process."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse a sweep or search if any of its jobs is wrong or its folder holds another one."""
        forget_rank()  # each job trains alone
        try:
            _set_folder(config, "sweep", _begin_multirun(config))
        except Exception as error:
            stop(explained(error))

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        if config.hydra.mode == RunMode.MULTIRUN:
            if not is_distributed(config.trainer):
                forget_rank()  # the rank that srun gave to the driver
            begin_job(Path(config.hydra.sweep.dir), config.hydra.job.num)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Print how the job ended. The other jobs of a sweep still run, unless none of them could write its results."""
        error = _error_of(job_return)
        if config.hydra.mode != RunMode.MULTIRUN or is_disk_full(error) or isinstance(error, StudyError):
            return stop(error) if error else None
        folder, job, search = Path(config.hydra.sweep.dir), config.hydra.job, config.get("search")
        total, metric = (search.trials, search.metric) if search else (len(read_jobs(folder)), "val/accuracy")
        end = "" if not error else f"{'' if isinstance(error, Pruned) else 'failed: '}{error}" if search else "failed"
        print_job(folder, job.num, total, job.name, metric, end)
        if error and not search:
            print_error(error)
        job_return.status, job_return.return_value = JobStatus.COMPLETED, None

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the results and write a page; exit with 1 if a job failed or a search has no complete trial."""
        from resumable_sweeps.report import report_search, report_sweep  # imports matplotlib and torch

        folder = Path(config.hydra.sweep.dir)
        try:
            if config.get("search"):
                report_search(folder, config)
            elif not report_sweep(folder):
                sys.exit(1)
        except Exception as error:
            stop(error)


def _refuse(mistakes: list[str]) -> None:
    if mistakes:
        raise ConfigError("\n".join(dict.fromkeys(mistakes)))


def _begin_multirun(config: DictConfig) -> Path:
    """Check all jobs, and claim the folder of the sweep or search."""
    overrides = list(config.hydra.overrides.task)
    jobs = jobs_of(overrides)
    configs = [compose("train", job, return_hydra_config=True) for job in jobs]
    _refuse(_mistakes_in_multirun(config, configs))
    folder = Path(config.hydra.sweep.dir)
    try:
        if config.get("search"):
            return _begin_search(config, folder, overrides)
        if not _is_chosen(config, "sweep"):
            smaller = smaller_sweep(folder, jobs)
            folder /= sweep_name(jobs)
            if smaller and not folder.exists():
                print(f"{smaller} has some of these jobs; hydra.sweep.dir={smaller} adds the others to it")
        begin_sweep(folder, jobs, [resolved(job) for job in configs])
    except OSError as error:
        raise _unwritable("sweep", folder, error) from error
    return folder


def _mistakes_in_multirun(config: DictConfig, configs: list[DictConfig]) -> list[str]:
    mistakes = [mistake for job in configs for mistake in mistakes_in(job)]
    if config.get("search") and any(is_distributed(job.trainer) for job in configs):
        mistakes.append("trainer: a search trains each trial on one device; take trainer=default trainer.devices=1")
    if config.get("search") and on_slurm(config) and str(config.search.storage or "sqlite").startswith("sqlite"):
        mistakes.append(
            "search.storage: got SQLite, which several machines cannot share; take postgresql+psycopg://USER@HOST/NAME"
        )
    if any((job.trainer.num_nodes or 1) > 1 for job in configs):
        mistakes.append("trainer.num_nodes: a job of a sweep trains on one machine; run it without -m, with srun")
    if not config.get("search") and any(job.get("search") for job in configs):
        mistakes.append("search: a command runs one search; run each of the others with its own command")
    if config.get("resume"):
        mistakes.append("resume: continues one run; leave -m out. The same command continues a sweep or a search")
    if any(text.startswith("hydra.sweep.subdir=") for text in config.hydra.overrides.hydra):
        mistakes.append("hydra.sweep.subdir: the folder of a job is its number; leave this out")
    return mistakes


def _begin_search(config: DictConfig, folder: Path, overrides: list[str]) -> Path:
    from resumable_sweeps.search import Search
    from resumable_sweeps.space import rehearse, search_of  # import Optuna

    plain, space = search_of(overrides)
    rehearse(config, space)
    if not _is_chosen(config, "sweep"):
        folder /= search_name(config.hydra.runtime.choices["search"], plain, space)
    plain_config = resolved(compose("train", plain, return_hydra_config=True))
    Search.of(config, folder).begin(facts_of(plain_config, space))
    return folder


def _error_of(job_return: JobReturn) -> Exception | None:
    """Why a job failed; None if it did not."""
    try:
        with redirect_stderr(io.StringIO()):  # Hydra prints the job's overrides
            _ = job_return.return_value
    except Exception as error:
        return explained(error)
    return None


def _is_chosen(config: DictConfig, kind: str) -> bool:
    return any(text.startswith(f"hydra.{kind}.dir=") for text in config.hydra.overrides.hydra)


def _unwritable(kind: str, folder: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"hydra.{kind}.dir: cannot make {folder} ({error.strerror}); choose a folder that can be written"
    )


def _set_folder(config: DictConfig, kind: str, folder: Path) -> None:
    quoted, choices = str(folder).replace("'", "\\'"), config.hydra.runtime.choices
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra[kind].dir = str(folder)
        config.hydra.job.name = str(config.name or choices.experiment or choices.model).replace("/", "-")
        config.hydra.overrides.hydra.append(f"hydra.{kind}.dir='{quoted}'")  # for the jobs, which are composed again
