"""The trials of a search: which there are, which process runs which of them, and how each ended."""

import math
import random
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import optuna
from filelock import FileLock
from hydra.utils import instantiate
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from plain_errors import ConfigError, StudyError
from resumable_sweeps.jobs import Jobs, free_lock, make
from resumable_sweeps.names import changes, short
from resumable_sweeps.space import Space, suggest
from resumable_sweeps.study import EXHAUSTED, NAME, Journal, Study

FACTS = "search"  # the attribute of a study that holds its facts
STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


@dataclass(frozen=True)
class TrialRow:
    """One trial, as the study and its folder describe it. The value of a pruned trial is its last one."""

    number: int
    state: str  # complete, pruned, failed or running
    cost: float  # lower is better: errors in percent, or the loss in nats; infinite without a value
    value: str  # the metric as people read it, an accuracy in percent; empty without a value
    params: dict[str, Any]  # the value of each key that is searched
    epochs: int
    seconds: float
    error: str  # why it failed, in one line

    @property
    def settings(self) -> str:
        """The values of the keys searched, in one line."""
        return " ".join(f"{key}={short(value)}" for key, value in self.params.items())


class Trials:
    """The trials in a folder, trial n in the folder n. Several processes may work on them at once.

    Args:
        jobs: in the folder; they know the total and the metric.
        sampler, pruner: their configs.
    """

    def __init__(self, jobs: Jobs, sampler: dict[str, Any], pruner: dict[str, Any] | None) -> None:
        self.jobs, self.folder = jobs, jobs.folder
        self.sampler, self.pruner = sampler, pruner
        self.journal = Journal(self.folder)
        self.held: dict[int, FileLock] = {}  # of the trials this process runs

    def begin(self, facts: dict[str, Any]) -> None:
        """Make the study, or continue it if its `facts` have not changed.

        Raises:
            ConfigError: something else is in the folder.
            StudyError: its study cannot be read, or is that of another search.
        """
        names = [path.name for path in self.folder.glob("[!.]*")]
        if names and not (self.journal.file.exists() or self.journal.former.exists()):
            raise ConfigError(
                f"hydra.sweep.dir: {self.folder} holds no search ({max(names)} is there); choose a new folder, or the "
                "one of this search"
            )
        make(self.folder / ".locks")
        with self.journal.lock:
            self.journal.convert()
            if not self.journal.storage.get_all_studies():
                direction = StudyDirection.MINIMIZE if self.jobs.metric == "val/loss" else StudyDirection.MAXIMIZE
                optuna.create_study(storage=self.journal.storage, study_name=NAME, direction=direction)
            study = self.journal.study()
            if not study.trials and FACTS not in study.user_attrs:
                study.set_user_attr(FACTS, facts)
        found = changes(study.user_attrs.get(FACTS, {}), facts)  # a study of another program has no facts
        if found:
            raise StudyError(
                f"hydra.sweep.dir: {self.folder} holds another search: {'; '.join(found)}; choose another folder"
            )

    def next(self, most: int, space: Space, queued: Collection[int] = ()) -> list[Trial]:
        """Take at most `most` trials for this process: first those of a killed process, then new ones up to the total.

        The folder of a killed process's trial is deleted, unless the trial has ended or is `queued` on a cluster.
        """
        taken: list[Trial] = []
        with self.journal.lock:
            study = self._study(0)
            known = study.get_trials(deepcopy=False)
            for trial in known:
                if len(taken) < most and trial.state == TrialState.RUNNING and self._take(trial.number):
                    taken.append(Trial(self._study(trial.number), self.journal.trial_id(trial.number)))
                    suggest(taken[-1], space)  # the process may have been killed before it had chosen all values
                    if not self.has_ended(trial.number) and trial.number not in queued:
                        self.jobs.delete(trial.number)
            begun = sum(trial.state != TrialState.WAITING for trial in known)
            left = 0 if EXHAUSTED in study.user_attrs else self.jobs.total - begun
            for number in range(len(known), len(known) + min(left, most - len(taken))):
                taken.append(self._study(number).ask(fixed_distributions={**space}))
                self._take(taken[-1].number)
        return taken

    def tell(self, number: int) -> FrozenTrial:
        """Write into the study how a trial ended, and release its lock."""
        job = self.jobs.state(number)
        value = job.value(self.jobs.metric) if job.status == "finished" else None
        state = TrialState.PRUNED if job.status == "pruned" else TrialState.FAIL
        with self.journal.lock:
            trial = self._study(number).tell(number, value, state if value is None else TrialState.COMPLETE)
            self.held.pop(number).release()
        return trial

    def has_ended(self, number: int) -> bool:
        """Whether a trial needs no other run, even if its process was killed before it could tell the study."""
        return self.jobs.state(number).status in ("finished", "pruned")

    def row_of(self, trial: FrozenTrial) -> TrialRow:
        """Put together what the study and the folder of a trial say."""
        job = self.jobs.state(trial.number)
        value = trial.value if trial.value is not None else next(reversed(trial.intermediate_values.values()), None)
        cost, text = math.inf, ""
        if value is not None and self.jobs.metric == "val/accuracy":
            cost, text = 100 * (1 - value), f"{100 * value:.2f} %"
        elif value is not None:
            cost, text = value, f"{value:.4f}"
        error = job.error or ("no epoch of it was validated" if job.status == "finished" else "killed")
        return TrialRow(
            number=trial.number,
            state=STATES.get(trial.state, "running"),
            cost=cost,
            value=text,
            params=trial.params,
            epochs=len(trial.intermediate_values),
            seconds=sum(job.seconds.values()),
            error=error if trial.state == TrialState.FAIL else "",
        )

    def _take(self, number: int) -> bool:
        lock = free_lock(self.folder / ".locks" / str(number))
        if lock:
            self.held[number] = lock
        return lock is not None

    def _study(self, number: int) -> Study:
        """The study as trial `number` sees it.

        The sampler's seed is mixed with the number: what it proposes then depends on the trials before, and not on how
        often the search was continued.
        """
        node = dict(self.sampler)
        # all trials share one quasi-random sequence
        if node.get("seed") is not None and not node["_target_"].endswith("QMCSampler"):
            node["seed"] = random.Random(f"{node['seed']} {number}").getrandbits(32)
        sampler = instantiate(node, _convert_="all")
        # made anew for each trial: Hyperband also chooses what the sampler sees
        pruner = instantiate(self.pruner, _convert_="all") if self.pruner else None
        return self.journal.study(sampler, pruner)
