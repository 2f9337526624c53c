"""What a launcher runs for each job, here or in a process of its own: get ready, run the task, say how it ended."""

import multiprocessing
import os
import threading
import time
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

from filelock import FileLock
from hydra.core.hydra_config import HydraConfig
from hydra.types import TaskFunction
from omegaconf import DictConfig

from plain_errors import Pruned, StudyError, is_disk_full, print_error, stop
from resumable_sweeps.apart import run_apart
from resumable_sweeps.jobs import Jobs, free_lock, say
from resumable_sweeps.slurm import claim_job

# By this process: the lock of its GPU until it ends, that of its job until the next job.
_held: dict[str, FileLock] = {}


@dataclass
class Job:
    """The task of a sweep. If it fails, the other jobs still run, unless none of them could write its results.

    Attributes:
        task: of the project.
        is_search: a failed trial is named in its line only; of a job that failed, the error goes to stderr.
    """

    task: TaskFunction
    jobs: Jobs
    is_search: bool

    def __call__(self, config: DictConfig) -> None:
        """Run the job that a composed config describes."""
        job = HydraConfig.get().job
        get_ready(self.jobs, job.num)
        say(f"begins   #{job.num} {job.name}")
        error = self._error(config, self.jobs.folder / str(job.num), job.name)
        if error is None or isinstance(error, Pruned):
            self.jobs.print_end(job.num, job.name, str(error or ""))
        elif is_disk_full(error) or isinstance(error, StudyError):
            stop(error)
        elif self.is_search:
            self.jobs.print_end(job.num, job.name, f"failed: {error}")
        else:
            self.jobs.print_end(job.num, job.name, "failed")
            print_error(error, f"#{job.num} {job.name}")

    def _error(self, config: DictConfig, folder: Path, name: str) -> Exception | None:
        """Run the task; return why it failed, or None."""
        project = self.jobs.project
        try:
            command = project.command(config, folder, name)
            if command:
                run_apart(command)
            else:
                project.run(self.task, config, folder, name)
        except Exception as error:
            return project.explained(error)
        return None


def get_ready(jobs: Jobs, number: int) -> None:
    """Make this process ready for a job.

    In the driver's own process there is nothing to lock. The launcher gives each process its share of the cores.
    """
    claim_job(jobs.folder, number)
    if driver := multiprocessing.parent_process():
        _end_with(driver.pid)
        if "job" in _held:
            _held["job"].release()
        _held["job"] = jobs.lock(number)
        _held["job"].acquire()
        choose_gpu(jobs.folder)


@cache
def _end_with(driver: int | None) -> None:
    """End this process when its driver ends. A killed driver cannot do that, and the next one starts the job again."""

    def watch() -> None:
        while os.getppid() == driver:
            time.sleep(0.1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@cache
def choose_gpu(folder: Path) -> None:
    """Let this process see one GPU: one that the fewest processes of the sweep use."""
    import torch  # only where jobs run side by side, and then the task needs it

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = visible.split(",") if visible else [str(index) for index in range(torch.cuda.device_count())]
    for place, gpu in product(range(os.cpu_count() or 1), gpus):  # the first place on each GPU comes first
        lock = free_lock(folder / ".locks" / f"gpu-{gpu}.{place}")
        if lock:
            os.environ["CUDA_VISIBLE_DEVICES"] = gpu
            _held[lock.lock_file] = lock
            return
