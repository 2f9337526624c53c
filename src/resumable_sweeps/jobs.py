"""The numbered folders of jobs: who works in them, and how far they are."""

import shutil
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from plain_errors import ConfigError
from resumable_sweeps.project import JobState, Project

ENDED = ("finished", "pruned", "failed")


@dataclass
class Jobs:
    """The jobs of one sweep or search.

    Attributes:
        total: how many there will be.
        metric: what they are compared by; the highest accuracy, or the lowest loss, is the best.
    """

    project: Project
    folder: Path
    total: int
    metric: str

    def state(self, number: int) -> JobState:
        """How far one job is."""
        return self.project.state(self.folder / str(number))

    def lock(self, number: int) -> FileLock:
        """What a parallel launcher's process holds as it runs a job. It may outlive its driver for a moment."""
        (self.folder / ".locks").mkdir(exist_ok=True)
        return FileLock(self.folder / ".locks" / f"{number}.job")

    def delete(self, number: int) -> None:
        """Delete the folder of a job, once no process works in it any more."""
        with self.lock(number):
            if (self.folder / str(number)).exists():
                shutil.rmtree(self.folder / str(number))

    def print_end(self, number: int, name: str, end: str = "") -> None:
        """Print how a job ended (its value or `end`), how many jobs have ended, and about how long the others take."""
        states = [self.state(each) for each in range(max(self.total, number + 1))]
        ended = [state for state in states if state.status in ENDED]
        value, seconds = states[number].value(self.metric), sum(states[number].seconds.values())
        words = [f"{len(ended)} of {self.total}   #{number} {name}", end or self._shown(value), f"{seconds:.1f} s"]
        if not end and value is not None and value == self._best(states):
            words.append("best so far")
        mean = (seconds + sum(sum(state.seconds.values()) for state in ended)) / (1 + len(ended))
        at_once = 1 + sum(state.status == "running" for state in states)
        if left := mean * (self.total - len(ended)) / at_once:
            words.append(f"about {left:.0f} s left")
        say("   ".join(words))

    def _shown(self, value: float | None) -> str:
        if value is None:
            return "dry run or not validated"
        return f"val {100 * value:.2f} %" if self.metric == "val/accuracy" else f"{self.metric} {value:.4f}"

    def _best(self, states: list[JobState]) -> float | None:
        values = [state.value(self.metric) for state in states if state.status == "finished"]
        best = min if self.metric == "val/loss" else max
        return best((value for value in values if value is not None), default=None)


def say(line: str) -> None:
    """Print a line. In a terminal it is broken between words, which the terminal itself would not do."""
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
        line = textwrap.fill(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    print(line, flush=True)


def free_lock(path: Path) -> FileLock | None:
    """Take a lock, which is kept while the object lives and released even by SIGKILL; None if it is not free."""
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock


def make(folder: Path) -> None:
    """Make a folder of a sweep; ConfigError if that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"hydra.sweep.dir: cannot make {folder} ({error.strerror}); choose a folder that can be written"
        ) from error
