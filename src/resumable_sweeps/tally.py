"""A line for each job that has ended."""

from dataclasses import dataclass
from pathlib import Path

from resumable_sweeps.project import JobState, Project

ENDED = ("finished", "pruned", "failed")


@dataclass
class Tally:
    """How far the jobs in a folder are, as their own folders say.

    Attributes:
        total: how many jobs there will be.
        metric: what they are compared by; the highest accuracy, or the lowest loss, is the best.
    """

    project: Project
    folder: Path
    total: int
    metric: str

    def state(self, number: int) -> JobState:
        """How far one job is."""
        return self.project.state(self.folder / str(number))

    def print_end(self, number: int, name: str, end: str = "") -> None:
        """Print how a job ended (its value or `end`), how many jobs have ended, and about how long the others take."""
        states = [self.state(each) for each in range(max(self.total, number + 1))]
        ended = [state for state in states if state.status in ENDED]
        words = [f"{len(ended)} of {self.total}   #{number} {name}", end or self._value(states[number])]
        words.append(f"{states[number].seconds:.1f} s")
        if not end and self._is_best(states[number], states):
            words.append("best so far")
        seconds = [states[number].seconds, *(state.seconds for state in ended)]
        at_once = 1 + sum(state.status == "running" for state in states)
        left = sum(seconds) / len(seconds) * (self.total - len(ended)) / at_once
        if left:
            words.append(f"about {left:.0f} s left")
        print("   ".join(words), flush=True)

    def _value(self, state: JobState) -> str:
        value = state.value(self.metric)
        if value is None:
            return "dry run or not validated"
        return f"val {100 * value:.2f} %" if self.metric == "val/accuracy" else f"{self.metric} {value:.4f}"

    def _is_best(self, state: JobState, states: list[JobState]) -> bool:
        values = [each.value(self.metric) for each in states if each.status == "finished"]
        known = [value for value in values if value is not None]
        best = min if self.metric == "val/loss" else max
        return bool(known) and state.value(self.metric) == best(known)
