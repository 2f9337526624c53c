"""What is known of a search's trials, from the study and from their folders, and how they are run."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from optuna.trial import FrozenTrial, TrialState

from digits.record import read_record
from digits.sweeping.jobs import Launch, launch_jobs
from digits.sweeping.search import Search
from digits.sweeping.space import search_of, trial_overrides

STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


@dataclass(frozen=True)
class TrialRow:
    """One trial.

    Attributes:
        value: the metric's; of a pruned trial the last one.
        params: the value of each key that is searched.
        seconds: of setup and fit.
        error: why it failed, in one line.
    """

    number: int
    state: str
    metric: str
    value: float | None
    params: dict[str, Any]
    epochs: int
    seconds: float
    error: str

    @property
    def cost(self) -> float:
        """What is to be low: errors in percent, or the loss in nats; infinite without a value."""
        if self.value is None:
            return math.inf
        return 100 * (1 - self.value) if self.metric == "val/accuracy" else self.value

    @property
    def value_text(self) -> str:
        """The value as people read it; an accuracy in percent."""
        if self.value is None:
            return ""
        return f"{self.value:.2%}" if self.metric == "val/accuracy" else f"{self.value:.4f}"

    @property
    def settings(self) -> str:
        """The values of the keys searched, in one line."""
        return " ".join(f"{key}={short(value)}" for key, value in self.params.items())

    @property
    def outcome(self) -> str:
        """One line on how the trial ended."""
        ends = {"complete": f"{self.metric} {self.value_text}", "pruned": f"pruned after {self.epochs} epochs"}
        return f"#{self.number} {ends.get(self.state, self.state)} ({self.seconds:.1f} s) {self.error or self.settings}"


def row_of(search: Search, trial: FrozenTrial) -> TrialRow:
    """Put together what the study and the folder of a trial say."""
    record = read_record(search.folder / str(trial.number))
    value = trial.value if trial.value is not None else next(reversed(trial.intermediate_values.values()), None)
    unvalidated = "no epoch of its history was validated; add callbacks=default"
    error = record.error or (unvalidated if record.status == "finished" else "killed")
    return TrialRow(
        number=trial.number,
        state=STATES.get(trial.state, "running"),
        metric=search.metric,
        value=value,
        params=trial.params,
        epochs=len(trial.intermediate_values),
        seconds=sum(record.seconds.get(phase, 0) for phase in ("setup", "fit")),
        error=error if trial.state == TrialState.FAIL else "",
    )


def run_search(launch: Launch, folder: Path, config: DictConfig, overrides: list[str]) -> None:
    """Run trials, as many at a time as the launcher has processes, up to the total."""
    plain, space = search_of(overrides)
    search = Search.of(config, folder)
    while trials := search.next_trials(_processes(config), space):
        waiting = [trial for trial in trials if not search.has_ended(trial.number)]
        launch_jobs(launch, folder, {trial.number: trial_overrides(plain, trial.params) for trial in waiting})
        for trial in trials:
            print(row_of(search, search.tell(trial.number)).outcome, flush=True)


def short(value: Any) -> str:
    """A value of a key, a number to four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _processes(config: DictConfig) -> int:
    if "n_jobs" not in config.hydra.launcher:
        return 1
    from joblib import effective_n_jobs

    return effective_n_jobs(config.hydra.launcher.n_jobs)
