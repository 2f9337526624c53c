"""Hydra's sweeper: what happens with -m. Imported in every command, so the rest is imported when it is needed."""

from typing import TYPE_CHECKING

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from resumable_sweeps.project import Project


class ResumableSweeper(Sweeper):
    """A search where the config has one, else a sweep over each combination of values. The same command continues it.

    Args:
        project: what knows how a job is checked, run and reported.
    """

    def __init__(self, project: "Project") -> None:
        self.project = project

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from resumable_sweeps.driver import Driver

        self.driver = Driver(self.project, hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> None:
        """Check all jobs, run what is left of them, and report.

        Raises:
            ConfigError: a job is wrong, or the folder holds something else.
            SystemExit: with code 1, if a job of a sweep failed.
        """
        kind = "search" if self.driver.config.get("search") else "sweep"
        try:
            if kind == "search":
                from resumable_sweeps.search import run_search  # imports Optuna, which a sweep does not need

                run_search(self.driver, arguments)
            else:
                from resumable_sweeps.grid import run_sweep

                run_sweep(self.driver, arguments)
        except (KeyboardInterrupt, SystemExit) as end:
            interrupt = end.__context__ if isinstance(end, SystemExit) else end  # Lightning turns Ctrl-C into one
            if not isinstance(interrupt, KeyboardInterrupt):
                raise
            raise type(interrupt)(f"the same command continues the {kind}") from None
