"""What happens between Hydra and train(): the config is checked, a folder claimed, a sweep summed up."""

import os
from itertools import count
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import InstantiationException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict, read_write

from digits.cli import explained, is_disk_full, stop, tell
from digits.config import jobs_of, mistakes_in, resolved
from digits.errors import ConfigError, DigitsError, StudyError
from digits.sweeping.grid import claim_sweep, read_record, sweep_name
from digits.sweeping.worker import begin_job


class Launch(Callback):
    """Hydra callback of every run and sweep. Hydra swallows exceptions here, so what is wrong leaves by SystemExit."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse a wrong config; else make the run's folder, one that no other run has."""
        if _is_child():  # of a parent that has done both
            return
        _refuse(mistakes_in(config))
        if config.get("sweep"):
            _refuse(["sweep: a search runs many trials, so it wants -m: python train.py -m sweep=…"])
        _claim_run(config)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse a sweep if any of its jobs is wrong or its folder is not for it, before the first one starts."""
        try:
            _begin_sweep(config)
        except Exception as error:
            stop(explained(error))

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Hold what a job has to itself while others run beside it."""
        if config.hydra.mode == RunMode.MULTIRUN:
            begin_job(Path(config.hydra.sweep.dir), config.hydra.job.num)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Tell what went wrong; one job of a sweep lets the others run, unless nothing can be written any more.

        Of a search's trials the sweeper tells how they end.
        """
        if job_return.status != JobStatus.FAILED:
            return
        error = job_return._return_value
        if isinstance(error, InstantiationException) and isinstance(error.__cause__, DigitsError):
            error = error.__cause__  # a constructor's own words; Hydra wraps them
        if config.hydra.mode != RunMode.MULTIRUN or is_disk_full(error) or isinstance(error, StudyError):
            stop(error)
        if not config.get("sweep"):
            tell(error)
        job_return.status, job_return.return_value = JobStatus.COMPLETED, None

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print what the jobs came to and write a page of it; exit with 1 if one failed, or if a search found none."""
        from digits.sweeping.grid_report import report_sweep
        from digits.sweeping.search_report import report_search  # matplotlib and torch

        try:
            good = report_search(config) if config.get("sweep") else report_sweep(Path(config.hydra.sweep.dir))
        except Exception as error:
            stop(error)
        if not good:
            raise SystemExit(1)


def _is_child() -> bool:
    return any(int(os.environ.get(name, 0)) > 0 for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))


def _refuse(mistakes: list[str]) -> None:
    if mistakes:
        stop(ConfigError("\n".join(dict.fromkeys(mistakes))))


def _claim_run(config: DictConfig) -> None:
    """Make hydra.run.dir this process's own; a name that the user did not choose gives way if it is taken."""
    wanted = Path(config.hydra.run.dir)
    for number in count(1):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "run.json").touch(exist_ok=False)  # of two processes, one succeeds
            break
        except FileExistsError as error:
            if folder.is_dir() and not _is_chosen(config, "run"):
                continue
            _refuse([f"hydra.run.dir: {folder} is taken ({error.strerror}); choose a name that is free"])
        except OSError as error:
            _refuse([_unwritable("run", folder, error)])
    _set_folder(config, "run", folder)


def _begin_sweep(config: DictConfig) -> None:
    from digits.training.trainer import is_distributed

    overrides = list(config.hydra.overrides.task)
    jobs = jobs_of(overrides)
    configs = [compose("train", job, return_hydra_config=True) for job in jobs]
    mistakes = [mistake for job in configs for mistake in mistakes_in(job)]
    if any(is_distributed(job.trainer) for job in configs):
        mistakes.append(
            "trainer: a sweep trains each job on one device; take trainer=default trainer.devices=1, "
            "or run the jobs one by one without -m"
        )
    if not config.get("sweep") and any(job.get("sweep") for job in configs):
        mistakes.append("sweep: one search a command; give the others a command each")
    if any(text.startswith("hydra.sweep.subdir=") for text in config.hydra.overrides.hydra):
        mistakes.append("hydra.sweep.subdir: the folder of a job is its number; leave this out")
    _refuse(mistakes)
    folder = Path(config.hydra.sweep.dir)
    try:
        if config.get("sweep"):
            folder = _begin_search(config, folder, overrides)
        else:
            folder = folder if _is_chosen(config, "sweep") else folder / sweep_name(jobs)
            numbers = claim_sweep(folder, jobs)
            _refuse_changed(folder, dict(zip(numbers, configs, strict=True)))
    except OSError as error:
        _refuse([_unwritable("sweep", folder, error)])
    _set_folder(config, "sweep", folder)


def _begin_search(config: DictConfig, folder: Path, overrides: list[str]) -> Path:
    """Make a search's folder and storage, or find in them the same search."""
    from digits.reporting.runs import flat, settings_of
    from digits.sweeping.space import search_name, search_of
    from digits.sweeping.study import Search

    plain, space = search_of(overrides)
    if not _is_chosen(config, "sweep"):
        folder /= search_name(config.hydra.runtime.choices["sweep"], plain, space)
    told = resolved(compose("train", plain, return_hydra_config=True))
    facts = settings_of(told) | {"seed": told["seed"], "callbacks": told["callbacks"]}
    facts = {key: str(value) for key, value in flat(facts).items()}
    searched = {key.lstrip("+"): f"searched in {distribution}" for key, distribution in space.items()}
    Search.of(config, folder).begin(facts | searched | {"sweep.metric": config.sweep.metric})
    return folder


def _refuse_changed(folder: Path, configs: dict[int, DictConfig]) -> None:
    """Refuse to go on with a sweep whose finished jobs were told something else than `configs` say now."""
    from digits.reporting.runs import flat, settings_of

    changed: dict[int, str] = {}
    for number, config in configs.items():
        record = read_record(folder / str(number))
        if record.get("status") == "finished":
            told = [record["config"], resolved(config, record["config"]["run_folder"])]
            then, now = (flat(settings_of(c) | {"callbacks": c["callbacks"], "seed": c["seed"]}) for c in told)
            for key in {**then, **now}:
                if then.get(key) != now.get(key):
                    changed.setdefault(number, f"{key} was {then.get(key)} and is now {now.get(key)}")
    if changed:
        number, how = next(iter(changed.items()))
        numbers = ", ".join(map(str, changed))
        _refuse(
            [
                f"hydra.sweep.dir: in {folder} finished jobs ({numbers}) differ from what they would be now: in job "
                f"{number} {how}; give another hydra.sweep.dir, or delete their folders to have them done again"
            ]
        )


def _is_chosen(config: DictConfig, kind: str) -> bool:
    return any(text.startswith(f"hydra.{kind}.dir=") for text in config.hydra.overrides.hydra)


def _unwritable(kind: str, folder: Path, error: OSError) -> str:
    return f"hydra.{kind}.dir: cannot make {folder} ({error.strerror}); choose a folder that can be written"


def _set_folder(config: DictConfig, kind: str, folder: Path) -> None:
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra[kind].dir = str(folder)
        config.hydra.overrides.hydra.append(f"hydra.{kind}.dir='{folder}'")  # the jobs of a sweep compose anew
