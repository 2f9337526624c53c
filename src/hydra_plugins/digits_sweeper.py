"""Hydra looks for sweepers in this package only."""

from pathlib import Path

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from digits.cli import tell
from digits.errors import DigitsError
from digits.sweeping.grid import delete_job, read_record, stretches, unfinished


class GridOrSearch(Sweeper):
    """Does those jobs of a sweep's folder that have not finished; digits.launch has checked them."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take the folder, and what launches the jobs."""
        self.told, self.folder = config, Path(config.hydra.sweep.dir)
        self.launch = Plugins.instance().instantiate_launcher(hydra_context, task_function, config).launch

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        """Do the jobs, each under its own number."""
        if self.told.get("sweep"):
            self._search(arguments)
        else:
            for first, jobs in unfinished(self.folder):
                self._launch(first, jobs)
        return []  # what the jobs came to is in their folders

    def _search(self, arguments: list[str]) -> None:
        """Trials, as many at a time as the launcher has processes, until there are as many as there should be."""
        from digits.sweeping.search_report import outcome
        from digits.sweeping.space import search_of, trial_overrides  # Optuna, which a grid does without
        from digits.sweeping.study import Search

        plain, space = search_of(arguments)
        search = Search.of(self.told, self.folder)
        while trials := search.next_trials(self._at_once(), space):
            jobs = {t.number: trial_overrides(plain, t.params) for t in trials if not search.has_ended(t.number)}
            for numbers in stretches(sorted(jobs)):
                self._launch(numbers[0], [jobs[number] for number in numbers])
            for trial in trials:
                print(outcome(search, search.tell(trial.number)), flush=True)

    def _at_once(self) -> int:
        if "n_jobs" not in self.told.hydra.launcher:
            return 1
        from joblib import effective_n_jobs

        return effective_n_jobs(self.told.hydra.launcher.n_jobs)

    def _launch(self, first: int, jobs: list[list[str]]) -> None:
        """Where a process of the launcher dies, of memory perhaps, the jobs that it leaves are done one by one."""
        try:
            self.launch(jobs, initial_job_idx=first)
        except Exception as error:
            if len(jobs) == 1:
                tell(DigitsError(f"#{first}: {str(error).splitlines()[0]}"))
                return
            for number, job in enumerate(jobs, start=first):
                if read_record(self.folder / str(number)).get("status", "running") == "running":
                    delete_job(self.folder, number)
                    self._launch(number, [job])
