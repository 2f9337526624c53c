"""Hydra looks for sweepers in this package only."""

from pathlib import Path

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from digits.sweeping.grid import run_sweep


class SweepOrSearch(Sweeper):
    """Runs what is left of a sweep or a search; digits.launch has checked it and claimed its folder."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.composed = config
        self.launch = Plugins.instance().instantiate_launcher(hydra_context, task_function, config).launch

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        folder = Path(self.composed.hydra.sweep.dir)
        kind = "search" if self.composed.get("search") else "sweep"
        try:
            if kind == "search":
                from digits.sweeping.search import run_search  # imports Optuna, which a sweep does without

                run_search(self.launch, folder, self.composed, arguments)
            else:
                run_sweep(self.launch, folder)
        except (KeyboardInterrupt, SystemExit) as end:
            interrupt = end.__context__ if isinstance(end, SystemExit) else end  # Lightning makes one of Ctrl-C
            if not isinstance(interrupt, KeyboardInterrupt):
                raise
            raise type(interrupt)(f"the same command continues the {kind}") from None
        return []
