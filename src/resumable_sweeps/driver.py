"""The process of the command: it checks all jobs, and has Hydra's launcher run them in numbered folders."""

import copy
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from plain_errors import ConfigError, PlainError, each_once, print_error
from resumable_sweeps.job import Job
from resumable_sweeps.jobs import ENDED, Jobs
from resumable_sweeps.names import job_name
from resumable_sweeps.project import Project
from resumable_sweeps.slurm import Queue, on_slurm


class Driver:
    """Everything that a sweep and a search have in common. Call `check`, then `begin`, then `run`.

    Attributes:
        config: of the command: it has all overrides but those that are swept.
        queue: of Slurm, once the jobs have a folder; None for other launchers.
    """

    def __init__(self, project: Project, context: HydraContext, task: TaskFunction, config: DictConfig) -> None:
        self.project, self.context, self.task, self.config = project, context, task, config

    def compose(self, overrides: list[str]) -> DictConfig:
        """The config of a job, as the launchers compose it."""
        return self.context.config_loader.load_sweep_config(self.config, overrides)

    def check(self, jobs: list[list[str]], others: Callable[[DictConfig], Iterable[str]]) -> list[DictConfig]:
        """The configs of jobs, given as overrides.

        Raises:
            ConfigError: with every mistake in them, also those that `others` finds.
        """
        configs = [self.compose(job) for job in jobs]
        lines = [[*self.project.mistakes(config), *others(config)] for config in configs]
        mistakes = each_once([*zip(jobs, lines, strict=True)])
        if self._given("hydra.sweep.subdir"):
            mistakes.append("hydra.sweep.subdir: the folder of a job is its number; leave this out")
        if mistakes:
            raise ConfigError("\n".join(mistakes))
        return configs

    @property
    def chosen_folder(self) -> Path | None:
        """What the user gave as hydra.sweep.dir; else it is the folder in which to make one with a name."""
        return Path(self.config.hydra.sweep.dir) if self._given("hydra.sweep.dir") else None

    def begin(self, folder: Path, total: int, metric: str, is_search: bool) -> None:
        """Prepare to run jobs in a folder, which belongs to them already."""
        self.jobs = Jobs(self.project, folder, total, metric)
        quoted = str(folder).replace("'", "\\'")
        with read_write(self.config.hydra), open_dict(self.config.hydra):
            self.config.hydra.sweep.dir = str(folder)
            self.config.hydra.overrides.hydra.append(f"hydra.sweep.dir='{quoted}'")  # jobs are composed again
        job = Job(self.task, self.jobs, is_search)

        def launcher(**options: str) -> Launcher:
            node = copy.deepcopy(self.config)
            OmegaConf.update(node, "hydra.launcher", options)
            return Plugins.instance().instantiate_launcher(self.context, job, node)

        self.queue = Queue(folder, launcher) if on_slurm(self.config) else None
        self.launch: Callable[..., Any] = self.queue or launcher().launch

    def run(self, jobs: dict[int, list[str]], varied: Collection[str]) -> None:
        """Run jobs, given as overrides by number, which differ in the keys `varied`."""
        # a launcher numbers the jobs it is given upwards, so each call takes only consecutive ones
        for _, numbered in groupby(enumerate(sorted(jobs)), key=lambda pair: pair[1] - pair[0]):
            numbers = [number for _, number in numbered]
            try:
                names = (f"hydra.job.name='{job_name(jobs[number], varied)}'" for number in numbers)
                self.launch([[*jobs[number], name] for number, name in zip(numbers, names, strict=True)], numbers[0])
            except PlainError:  # Slurm refuses them
                raise
            except Exception as error:  # a process of the launcher died, perhaps for lack of memory
                if len(numbers) == 1:
                    print_error(PlainError(f"#{numbers[0]}: {str(error).splitlines()[0]}"))
                    continue
                for number in numbers:  # run one at a time, they need less memory
                    if self.jobs.state(number).status not in ENDED:
                        self.jobs.delete(number)
                        self.run({number: jobs[number]}, varied)

    def print_left_queue(self, number: int, name: str) -> None:
        """Print how a job on a cluster ended. Its own output goes into a file."""
        state = self.jobs.state(number)
        end = "" if state.status == "finished" else state.status
        self.jobs.print_end(number, name, end if state.status in ENDED else "lost; the same command runs it again")
        if state.error:
            print_error(PlainError(f"#{number}: {state.error}"))

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Say after Ctrl-C how to go on."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit) as end:
            interrupt = end.__context__ if isinstance(end, SystemExit) else end  # Lightning turns Ctrl-C into one
            if not isinstance(interrupt, KeyboardInterrupt):
                raise
            kind = "search" if self.config.get("search") else "sweep"
            raise type(interrupt)(f"the same command continues the {kind}") from None

    def _given(self, key: str) -> bool:
        return any(text.startswith(f"{key}=") for text in self.config.hydra.overrides.hydra)
