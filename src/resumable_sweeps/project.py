"""What sweeps and searches need of a project. Any object with these methods will do; it need not import this."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from hydra.types import TaskFunction
from omegaconf import DictConfig


class JobState(Protocol):
    """What the folder of a job says of it.

    Attributes:
        status: not begun, running, finished, pruned or failed.
        error: why it failed or was pruned, in one line.
        command, started: of the process that began it.
        seconds, fit_seconds: how long all of it took, and only setup and fit.
    """

    status: str
    error: str | None
    command: str
    started: str
    seconds: float
    fit_seconds: float

    def value(self, metric: str) -> float | None:
        """The metric of what the job keeps; None without validation."""

    def facts(self) -> dict[str, Any]:
        """As Project.facts, of the config that the job ran with."""


class Style(Protocol):
    """How the project draws. The colours C0, C1 and C2 are an accent, a second one, and a faint one."""

    def drawing(self, width: float, height: float, **style: Any) -> AbstractContextManager[tuple[Any, Any]]:
        """A figure and its axes; width and height are in inches."""

    def plain_log(self, axis: Any, low: float, high: float) -> None:
        """Plain numbers on a logarithmic axis."""

    def svg(self, figure: Any) -> str:
        """The figure as an element of a page."""


class Project(Protocol):
    """A project whose `task` trains by a composed config. An object of it travels to the processes of jobs."""

    style: Style

    def mistakes(self, config: DictConfig) -> list[str]:
        """A line for each mistake in the composed config of one job."""

    def mistakes_in_node(self, path: str, node: Any, *, allowed: tuple[str, ...]) -> Iterable[str]:
        """A line for each value that the class of a _target_ refuses; its name must begin with one of `allowed`."""

    def facts(self, config: DictConfig) -> dict[str, Any]:
        """What the result of a job depends on, by dotted keys."""

    def state(self, folder: Path) -> JobState:
        """How far the job in a folder is; `not begun` without a folder."""

    def command(self, config: DictConfig, folder: Path, name: str) -> list[str] | None:
        """The words of a command that runs a job in processes of its own; None if it runs in this one."""

    def run(self, task: TaskFunction, config: DictConfig, folder: Path, name: str) -> None:
        """Run a job in this process, with its files in a folder. Its name has its swept values."""

    def explained(self, error: Exception) -> Exception:
        """An exception of a job as one that a user understands."""

    def summarise(self, folder: Path, values: Mapping[str, list[str]]) -> None:
        """Print a table of a sweep's finished jobs and write a page. The jobs differ in the `values` of these keys."""

    def finish(self, trial: Path) -> dict[str, str]:
        """Do for the best trial of a search what is done for no other, and return its results by name."""

    def render(self, template: str, *, package: str, **facts: Any) -> str:
        """Fill in a template of a package, which may include the project's page.css and wide.css."""
