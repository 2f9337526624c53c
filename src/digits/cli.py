"""The frame around every command: what goes wrong ends in one plain line and the right exit code."""

import errno
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn, TypeGuard

from digits.errors import ConfigError, DigitsError, Terminated

CONFIGS = Path(__file__).parents[2] / "configs"


# Read before plain_errors sets it; the other ranks of a run inherit it from rank 0 and leave the telling to it.
WANTS_TRACEBACK = os.environ.get("HYDRA_FULL_ERROR") == "1" and int(os.environ.get("LOCAL_RANK", 0)) == 0


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn what goes wrong inside into one line on stderr and an exit code.

    HYDRA_FULL_ERROR=1 in the environment adds the traceback.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # or Hydra prints in its own way and exits with 1
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has seen enough, like head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except Exception as error:
        stop(explained(error))
    except (KeyboardInterrupt, SystemExit) as end:
        interrupt = end.__context__ if isinstance(end, SystemExit) else end  # Lightning makes a SystemExit of Ctrl-C
        if not isinstance(interrupt, KeyboardInterrupt):
            raise
        word, code = ("terminated", 143) if isinstance(interrupt, Terminated) else ("interrupted", 130)
        how = "the same command goes on with the sweep" if _is_sweep() else str(interrupt)
        print("; ".join(filter(None, [word, how])), file=sys.stderr)
        sys.exit(code)


def stop(error: Exception) -> NoReturn:
    """Tell what went wrong and leave with its exit code."""
    tell(error)
    sys.exit(getattr(error, "exit_code", 1))


def tell(error: Exception) -> None:
    """Print an error as people should see it."""
    if WANTS_TRACEBACK:
        traceback.print_exception(error)
    if isinstance(error, DigitsError):
        text = str(error)
    elif is_disk_full(error):
        text = f"{error.filename or 'the disk'}: {error.strerror}; make room and give the same command again"
    elif isinstance(error, OSError) and error.filename:
        text = f"{error.filename}: {error.strerror}"
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror
    else:
        text = f"{type(error).__name__}: {error} (HYDRA_FULL_ERROR=1 shows where)"
    print(f"error: {text}", file=sys.stderr)


def is_disk_full(error: object) -> TypeGuard[OSError]:
    """Whether nothing more can be written, or no more by this user."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def explained(error: Exception) -> Exception:
    """Of an error of Hydra's make one that names every mistake in the overrides, not only the first."""
    if "hydra" not in sys.modules:
        return error
    from hydra import initialize_config_dir
    from hydra._internal.utils import get_args_parser
    from hydra.core.config_search_path import SearchPathQuery
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException, OverrideParseException
    from omegaconf.errors import OmegaConfBaseException

    if not isinstance(error, HydraException | OmegaConfBaseException):
        return error
    from digits.config import in_one_line, jobs_of, mistakes_in_overrides, override_mistake  # --help is quicker without

    words, _ = get_args_parser().parse_known_args()
    GlobalHydra.instance().clear()  # where Hydra has not ended yet
    try:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            if words.config_dir:
                loader = GlobalHydra.instance().config_loader()
                path = loader.get_search_path()
                path.prepend("command-line", f"file://{Path(words.config_dir).absolute()}", SearchPathQuery("schema"))
                loader.repository.initialize_sources(path)  # type: ignore[attr-defined]
            jobs = jobs_of(words.overrides) if _is_sweep() else [words.overrides]
            mistakes = [line for job in jobs for line in mistakes_in_overrides(job)]
    except ConfigError as ranges:
        mistakes = [str(ranges)]
    except OverrideParseException as unreadable:
        mistakes = [override_mistake(str(unreadable.override), unreadable)]
    except HydraException as unsweepable:
        mistakes = [in_one_line(unsweepable)]
    told = ConfigError("\n".join(dict.fromkeys(mistakes)) or in_one_line(error))
    told.__cause__ = error
    return told


def _is_sweep() -> bool:
    return "-m" in sys.argv or "--multirun" in sys.argv


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise Terminated
