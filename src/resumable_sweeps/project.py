"""What sweeps and searches need of a project. Any object with these methods will do; it need not import this."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from hydra.types import TaskFunction
from omegaconf import DictConfig


class JobState(Protocol):
    """What the folder of a job says of it."""

    status: Any  # not begun, running, finished, pruned or failed
    error: str | None  # why it failed or was pruned, in one line
    command: str
    started: str
    seconds: dict[str, float]  # by part
    config: dict[str, Any]  # with which it ran; empty if it has not begun

    def value(self, metric: str) -> float | None:
        """The metric of what the job keeps; None without validation."""


class Project(Protocol):
    """A project whose task trains by a composed config. An object of it travels to the processes of jobs."""

    @property
    def style(self) -> Any:
        """How figures look: drawing(width, height), plain_log(axis, low, high) and svg(figure).

        The colours C0, C1 and C2 are an accent, a second one, and a faint one.
        """

    def render(self, template: str, package: str, **facts: Any) -> str:
        """Fill in a template of a package, which may include the project's page.css, wide.css and sort.js."""

    def mistakes(self, config: DictConfig) -> list[str]:
        """A line for each mistake in the composed config of one job."""

    def mistakes_in_node(self, path: str, node: Any, *, allowed: tuple[str, ...]) -> Iterable[str]:
        """A line for each value that the class of a _target_ refuses; its name must begin with one of `allowed`."""

    def facts(self, config: Mapping[Any, Any]) -> dict[str, Any]:
        """What the result of a job depends on, by dotted keys, from a composed config or that of a job's state."""

    def state(self, folder: Path) -> JobState:
        """How far the job in a folder is, which need not exist."""

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
