"""Hydra looks for sweepers in this package only."""

import copy
from pathlib import Path

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from resumable_sweeps.grid import run_sweep
from resumable_sweeps.slurm import Queue, on_slurm


class SweepOrSearch(Sweeper):
    """Runs what is left of a sweep or a search; digits.launch has checked it and claimed its folder."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        def launcher(**options: str) -> Launcher:
            node = copy.deepcopy(config)
            OmegaConf.update(node, "hydra.launcher", options)
            return Plugins.instance().instantiate_launcher(hydra_context, task_function, node)

        self.composed = config
        self.queue = Queue(Path(config.hydra.sweep.dir), launcher) if on_slurm(config) else None
        self.launch = self.queue or launcher().launch

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        folder = Path(self.composed.hydra.sweep.dir)
        kind = "search" if self.composed.get("search") else "sweep"
        try:
            if kind == "search":
                from resumable_sweeps.search import run_search  # imports Optuna, which a sweep does not need

                run_search(self.launch, folder, self.composed, arguments, self.queue)
            else:
                run_sweep(self.launch, folder, self.queue)
        except (KeyboardInterrupt, SystemExit) as end:
            interrupt = end.__context__ if isinstance(end, SystemExit) else end  # Lightning turns Ctrl-C into one
            if not isinstance(interrupt, KeyboardInterrupt):
                raise
            raise type(interrupt)(f"the same command continues the {kind}") from None
        return []
