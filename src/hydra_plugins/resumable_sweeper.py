"""What -m does. Hydra imports this file in every command and finds sweepers nowhere else, so the rest comes later."""

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ResumableSweeper(Sweeper):
    """A search where the config has one, else a sweep over each combination of values. The same command continues it.

    Args:
        project: a resumable_sweeps.project.Project: how a job is checked, run and reported.
    """

    def __init__(self, project: Any) -> None:
        self.project = project

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from resumable_sweeps.driver import Driver

        self.driver = Driver(self.project, hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> None:
        print("checking all jobs …", flush=True)  # which imports what the project needs
        if self.driver.config.get("search"):
            from resumable_sweeps.search import run_search as run  # imports Optuna, which a sweep does not need
        else:
            from resumable_sweeps.grid import run_sweep as run
        with self.driver.interruptible():
            run(self.driver, arguments)
