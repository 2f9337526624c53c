"""What the jobs of sweeps and searches are in this project: how one is checked, run, looked at and reported."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import TaskFunction
from omegaconf import DictConfig

from digits.config import mistakes_in, refusal, resolved
from digits.record import RunRecord
from digits.run_folder import RunFolder
from digits.schema import located, mistakes_in_node
from digits.settings import flat, settings_of
from digits.threads import prepare_threads
from digits.training.ranks import forget_rank, is_distributed

TRAIN = Path(__file__).parents[2] / "train.py"
DIFFERENT_EACH_TIME = ("ms/image", "images/s")  # columns of the table


class DigitJobs:
    """Given to the sweeper by configs/hydra/sweeper/resumable.yaml.

    Methods import what imports PyTorch: the threads come first, in the driver and in each process of a launcher.
    """

    explained = staticmethod(refusal)
    mistakes_in_node = staticmethod(mistakes_in_node)

    def __init__(self) -> None:
        forget_rank()  # each job trains alone
        prepare_threads()

    @property
    def style(self) -> Any:
        """The style of the project's pages."""
        from digits.reporting import figures

        return figures

    def render(self, template: str, package: str, **facts: Any) -> str:
        """A page in the look of the project's pages."""
        from digits.reporting.pages import render

        return render(template, package, **facts)

    def mistakes(self, config: DictConfig) -> list[str]:
        """Mistakes in the config of one job, also those that only a job can have."""
        mistakes = mistakes_in(config)
        if (config.trainer.num_nodes or 1) > 1:
            mistakes.append("trainer.num_nodes: a job of a sweep trains on one machine; run it without -m, with srun")
        if config.resume:
            mistakes.append("resume: continues one run; leave -m out. The same command continues a sweep or a search")
        return mistakes + (_mistakes_in_trial(config, knows_model=not mistakes) if config.get("search") else [])

    def facts(self, config: Mapping[Any, Any]) -> dict[str, Any]:
        """Settings, seed and callbacks. Each job has a folder of its own, so its name is left out."""
        plain: Mapping[str, Any] = resolved(config) if isinstance(config, DictConfig) else config
        facts = settings_of(plain) | flat({"seed": plain["seed"], "callbacks": plain["callbacks"] or {}})
        own = plain["run_folder"]
        inside = {key for key, value in facts.items() if isinstance(value, str) and value.startswith(f"{own}/")}
        return facts | {key: facts[key].replace(own, "${run_folder}", 1) for key in inside}

    def state(self, folder: Path) -> RunRecord:
        """What run.json says."""
        return RunFolder(folder).record()

    def command(self, config: DictConfig, folder: Path, name: str) -> list[str] | None:
        """For a model on several devices: train.py, which starts the other ranks itself."""
        if not is_distributed(config.trainer):
            return None
        forget_rank()
        run = RunFolder(folder)
        if run.last.exists():  # a cluster has put the job back into its queue
            return [sys.executable, str(TRAIN), f"resume={folder}"]
        run.record_file.unlink(missing_ok=True)
        given = HydraConfig.get().overrides.task
        return [sys.executable, str(TRAIN), *given, f"run_folder='{folder}'", f"run_label='{name}'"]

    def run(self, task: TaskFunction, config: DictConfig, folder: Path, name: str) -> None:
        """Train in this process. Where its files go and what it is called, digits.start reads from Hydra's config."""
        forget_rank()  # that srun gave to the driver
        task(config)

    def summarise(self, folder: Path, values: Mapping[str, list[str]]) -> None:
        """A row for each setting, its seeds together; the comparison of the runs goes to index.html."""
        from digits.reporting.compare import find_runs, print_table, write_page

        runs, left_out = find_runs([folder])
        if not runs:
            return
        page, title = folder / "index.html", f"Sweep over {', '.join(values) or folder.name}"
        for section in write_page(runs, left_out, page, title, self.state(folder / "0").command, swept=values):
            print_table(section, without=DIFFERENT_EACH_TIME)
        print(f"page: {page}")

    def finish(self, trial: Path) -> dict[str, str]:
        """Test, export and report a trial that was only fitted."""
        from digits.training.finish import finish_trial

        run = RunFolder(trial)
        metrics = run.metrics() if run.record().reported else finish_trial(run)
        return {"test accuracy": f"{100 * metrics.test_accuracy:.2f} %"}


def _mistakes_in_trial(config: DictConfig, knows_model: bool) -> list[str]:
    mistakes = []
    if is_distributed(config.trainer):
        mistakes.append("trainer: a search trains each trial on one device; take trainer=default trainer.devices=1")
    if knows_model and config.search.metric == "val/loss" and located(config.model._target_).fitted_once:
        mistakes.append("search.metric: got val/loss, which this model logs before it is calibrated; take val/accuracy")
    if not config.data.get("val_size", 1):
        mistakes.append("data.val_size: got 0, wanted validation digits: a search compares trials on them")
    if config.trainer.get("fast_dev_run"):
        mistakes.append("trainer.fast_dev_run: a dry run has no value that a search could compare; leave this out")
    return mistakes
