"""Hydra looks for sweepers in this package only."""

from pathlib import Path

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from digits.sweep_folder import unfinished


class Grid(Sweeper):
    """Does those jobs of a sweep's folder that have not finished; digits.launch has numbered and checked them."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take the folder, and what launches the jobs."""
        self.folder = Path(config.hydra.sweep.dir)
        self.launch = Plugins.instance().instantiate_launcher(hydra_context, task_function, config).launch

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        """Do the jobs, each under its own number."""
        returns: list[JobReturn] = []
        for first, jobs in unfinished(self.folder):
            returns += self.launch(jobs, initial_job_idx=first)
        return returns
