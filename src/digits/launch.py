"""What Hydra calls before and after a run: check the config, claim a folder, print errors."""

import io
import sys
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict, read_write

from digits.config import mistakes_in, plain_error
from digits.training.ranks import forget_rank, is_distributed, rank, share_folder, started_processes
from digits.training.resume import Before, resume, save_config
from plain_errors import ConfigError, PlainError, stop

_held: list[FileLock] = []  # until this process ends
_resumed: list[Before] = []


class Launch(Callback):
    """Hydra callback of every run. Hydra swallows exceptions here, so errors exit the process."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse a wrong config, or make a folder for the run that no other run has."""
        together = started_processes() > 1
        try:
            if together and rank() > 0:
                return _follow(config)
            if config.get("resume"):
                resume(config)  # each rank needs the run's own config
            if not together and not is_distributed(config.trainer):
                forget_rank()
            elif rank() > 0:
                return  # rank 0 has started this process, and does the rest
            chosen = {group: config.hydra.runtime.choices[group] for group in ("experiment", "model", "data")}
            print(
                "   ".join(f"{group} {name}" for group, name in chosen.items() if name), flush=True
            )  # printed before the check, which imports torch and lightning
            mistakes = mistakes_in(config)
            _refuse(mistakes)
            if not config.get("resume"):
                _set_folder(config, "run", _claim_run(config))
            _hold(Path(config.hydra.run.dir))
            if config.get("resume"):
                _resumed.append(Before(Path(config.resume)))
                save_config(config)
            if together:
                share_folder(config.hydra.run.dir)
            print(f"folder {config.hydra.run.dir}", flush=True)
        except Exception as error:
            if together and rank() == 0 and isinstance(error, ConfigError):
                share_folder("")
            stop(error)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Print why the run failed."""
        error = _error_of(job_return)
        if isinstance(error, PlainError):  # this command is refused; another one may resume the run
            for before in _resumed:
                before.restore()
        if config.hydra.mode != RunMode.MULTIRUN and error:
            stop(error)


def _hold(folder: Path) -> None:
    """Keep others from resuming the run until this process ends."""
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise ConfigError(f"resume: the run in {folder} still runs; wait for its end, or stop it first") from None
    _held.append(lock)


def _follow(config: DictConfig) -> None:
    """Use the folder of rank 0. Only rank 0 writes the config there."""
    folder = share_folder()
    if not folder:  # rank 0 has said why
        sys.exit(ConfigError.exit_code)
    if config.get("resume"):
        resume(config)
    _set_folder(config, "run", Path(folder))
    with read_write(config.hydra):
        config.hydra.output_subdir = None


def _refuse(mistakes: list[str]) -> None:
    if mistakes:
        raise ConfigError("\n".join(dict.fromkeys(mistakes)))


def _claim_run(config: DictConfig) -> Path:
    """Make hydra.run.dir for this run alone; if the default name is taken, it gets a number."""
    wanted = folder = Path(config.hydra.run.dir)
    number = 1
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "run.json").touch(exist_ok=False)  # of two processes, one succeeds
            return folder
        except FileExistsError as error:
            if not folder.is_dir() or _is_chosen(config, "run"):
                raise ConfigError(f"hydra.run.dir: {folder} is taken ({error.strerror}); choose a free name") from error
        except OSError as error:
            raise _unwritable("run", folder, error) from error
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")


def _error_of(job_return: JobReturn) -> Exception | None:
    """Why a job failed; None if it did not."""
    try:
        with redirect_stderr(io.StringIO()):  # Hydra prints the job's overrides
            _ = job_return.return_value
    except Exception as error:
        return plain_error(error)
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
