"""Every command runs inside `plain_errors`: an error or a signal becomes one plain line and an exit code.

0 good, 1 a fault of ours, 2 the command or config, 3 the data, 4 a checkpoint, a model file or the trials of a
search, 130 interrupted, 143 terminated.
"""

import atexit
import errno
import multiprocessing
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn, TypeGuard

# Read before plain_errors sets it. The other ranks of a run inherit it from rank 0, and only rank 0 prints.
WANTS_TRACEBACK = os.environ.get("HYDRA_FULL_ERROR") == "1" and int(os.environ.get("LOCAL_RANK", 0)) == 0


class PlainError(Exception):
    """A mistake in one plain line: what, got, wanted, what to do."""

    exit_code = 1


class ConfigError(PlainError):
    """The command or the config is wrong."""

    exit_code = 2


class DataError(PlainError):
    """The data is absent, damaged or not what it should be."""

    exit_code = 3


class ModelFileError(PlainError):
    """A checkpoint or an ONNX file is absent, damaged or of another model."""

    exit_code = 4


class StudyError(PlainError):
    """The trials of a search are damaged, or those of another search."""

    exit_code = 4


class Pruned(Exception):  # noqa: N818
    """A trial of a search was stopped early because other trials were better. This is no mistake."""


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived. Lightning then ends the run as it does after Ctrl-C."""


def in_one_line(error: BaseException) -> str:
    """The message of a library's error, which may have several lines."""
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())


def each_once(jobs: Sequence[tuple[Sequence[str], Iterable[str]]]) -> list[str]:
    """The mistakes of several jobs, each once. Where not all jobs have one, it names the values of a job that has it.

    Args:
        jobs: the overrides of each, and its mistakes, which begin with a key.
    """
    swept = {text for overrides, _ in jobs for text in overrides if not all(text in each for each, _ in jobs)}
    having: dict[str, list[Sequence[str]]] = {}
    for overrides, mistakes in jobs:
        for mistake in dict.fromkeys(mistakes):
            having.setdefault(mistake, []).append([text for text in overrides if text in swept])

    def told(mistake: str, job: Sequence[str]) -> str:
        pairs = [text.partition("=")[::2] for text in job]
        says = any(re.split("[:=]", mistake)[0] == key and value in mistake for key, value in pairs)
        return mistake if says or len(having[mistake]) == len(jobs) else f"{mistake} ({' '.join(job)})"

    return [told(mistake, found[0]) for mistake, found in having.items()]


def end_of(interrupt: KeyboardInterrupt) -> str:
    """What ended a command, and how to go on if the interrupt says so."""
    word = "terminated" if isinstance(interrupt, Terminated) else "interrupted"
    return "; ".join(filter(None, [word, str(interrupt)]))


@contextmanager
def plain_errors(explain: Callable[[Exception], Exception] = lambda error: error) -> Iterator[None]:
    """Turn an exception inside into one line on stderr and an exit code.

    HYDRA_FULL_ERROR=1 in the environment adds the traceback.

    Args:
        explain: turns a library's exception into one whose message a user understands.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # otherwise Hydra prints errors in its own way and exits with 1
    signal.signal(signal.SIGTERM, _terminate)
    threading.excepthook = _in_thread
    code: object = None
    atexit.register(lambda: _leave(code))  # the first one that is registered is the last one that is called
    try:
        with _told(explain):
            yield
        code = 0
    except SystemExit as end:
        code = end.code
        raise


@contextmanager
def _told(explain: Callable[[Exception], Exception]) -> Iterator[None]:
    try:
        yield
        print(end="", flush=True)  # does nothing where there is no standard output
    except BrokenPipeError:  # the program that reads our output has ended, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except Exception as error:
        stop(explain(error))
    except (KeyboardInterrupt, SystemExit) as end:
        interrupt = end.__context__ if isinstance(end, SystemExit) else end  # Lightning turns Ctrl-C into SystemExit
        if not isinstance(interrupt, KeyboardInterrupt):
            raise
        print(end_of(interrupt), file=sys.stderr)
        sys.exit(143 if isinstance(interrupt, Terminated) else 130)


def _leave(code: object) -> None:
    """End the process at once. Python would first free PyTorch's modules one by one, for up to three seconds.

    Python ends it where the code is no number, or where child processes are left: it ends those too.
    """
    if isinstance(code, int) and not multiprocessing.active_children():
        with suppress(OSError):  # the disk is full, and the error has been printed
            print(end="", flush=True)
        os._exit(code)


def stop(error: Exception) -> NoReturn:
    """Print an error and exit with its code."""
    print_error(error)
    sys.exit(getattr(error, "exit_code", 1))


def print_error(error: Exception, job: str = "") -> None:
    """Print an error in one line, which begins with the `job` that it is of."""
    if WANTS_TRACEBACK:
        traceback.print_exception(error)
    if isinstance(error, PlainError):
        text = str(error)
    elif is_disk_full(error):
        text = f"{error.filename or 'the disk'}: {error.strerror}; make room and run the same command again"
    elif isinstance(error, OSError) and error.filename:
        text = f"{error.filename}: {error.strerror}"
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror
    else:
        text = f"{type(error).__name__}: {error} (HYDRA_FULL_ERROR=1 shows where)"
    print(f"error: {f'{job}: ' if job else ''}{text}", file=sys.stderr)


def is_disk_full(error: object) -> TypeGuard[OSError]:
    """Whether the disk, or this user's share of it, is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _in_thread(end: threading.ExceptHookArgs) -> None:
    """Print what ended a thread. That the disk is full, TensorBoard's thread tells the main one, which prints it."""
    if not is_disk_full(end.exc_value):
        threading.__excepthook__(end)


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise Terminated
