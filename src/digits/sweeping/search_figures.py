"""A search's pictures: how it went, which settings mattered, how they went together, what each trial took."""

import math
from typing import Any

import optuna
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator, ScalarFormatter
from optuna.distributions import BaseDistribution, CategoricalDistribution

from digits.reporting.figures import ACCENT, FAINT, INK, SECOND, STYLE

Rows = list[dict[str, Any]]  # as digits.sweeping.search_report has them: state, cost, params, seconds
ABOVE: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 3, "fontsize": 8}
COLOURS = {"complete": ACCENT, "pruned": SECOND, "failed": INK}


def history(rows: Rows, unit: str) -> Figure:
    """What each trial came to, and the best until then; lower is better."""
    with rc_context(STYLE):
        figure = Figure(figsize=(4.4, 3.2), layout="constrained")
        axes = figure.add_subplot()
        best = math.inf
        line = []
        for row in rows:
            best = min(best, row["cost"]) if row["state"] == "complete" else best
            line.append(best)
        axes.step(range(len(rows)), line, where="post", color=ACCENT, linewidth=1)
        for state, marker in (("complete", "o"), ("pruned", "x")):
            of = [row for row in rows if row["state"] == state and row["cost"] is not None]
            if of:
                axes.plot(
                    [row["number"] for row in of],
                    [max(row["cost"], 1e-3) for row in of],
                    marker,
                    color=COLOURS[state],
                    markersize=4,
                    label=state if state == "complete" else "pruned, where it stopped",
                )
        axes.set(yscale="log", xlabel="trial", ylabel=unit)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_minor_locator(NullLocator())
        axes.legend(**ABOVE)
    return figure


def importance(study: optuna.Study) -> Figure:
    """How much of the difference between good trials and the rest each setting makes (PED-ANOVA)."""
    shares = optuna.importance.get_param_importances(study)
    names = [_last(key) for key in reversed(shares)]
    with rc_context(STYLE | {"axes.grid": False}):
        figure = Figure(figsize=(4.4, 3.2), layout="constrained")
        axes = figure.add_subplot()
        bars = axes.barh(names, list(reversed(shares.values())), color=ACCENT, height=0.6)
        axes.bar_label(bars, fmt="{:.0%}", padding=3, fontsize=8)
        axes.set(xticks=[])
        axes.tick_params(length=0)
        axes.margins(x=0.15)
    return figure


def parallel(rows: Rows, best: dict[str, Any], space: dict[str, BaseDistribution], unit: str) -> Figure:
    """A line for each trial through its settings to what it came to: the best, its quarter of the trials, the rest."""
    good = sorted(row["cost"] for row in rows)[(len(rows) - 1) // 4]
    costs = [math.log(max(row["cost"], 1e-3)) for row in rows]
    lowest, highest = min(costs), max(costs)
    with rc_context(STYLE | {"axes.grid": False}):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        axes = figure.add_subplot()
        for row in sorted(rows, key=lambda row: -row["cost"]):
            places = [_place(row["params"][key], distribution) for key, distribution in space.items()]
            cost = (math.log(max(row["cost"], 1e-3)) - lowest) / ((highest - lowest) or 1)
            colour = SECOND if row is best else ACCENT if row["cost"] <= good else FAINT
            axes.plot([*places, cost], color=colour, linewidth=2.5 if row is best else 1)
        for at, distribution in enumerate(space.values()):
            for place, text in _ticks(distribution):
                axes.text(at, place, f" {text}", va="center", fontsize=8)
        for place, value in ((0, lowest), (1, highest)):
            axes.text(len(space), place, f" {math.exp(value):.3g}", va="center", fontsize=8)
        for at in range(len(space) + 1):
            axes.axvline(at, color=FAINT, linewidth=0.8, zorder=0)
        axes.set_xticks(range(len(space) + 1), [*map(_last, space), unit.replace("validation ", "")])
        axes.set(yticks=[], xlim=(-0.1, len(space) + 0.5))
        axes.spines[:].set_visible(False)
    return figure


def seconds(rows: Rows) -> Figure:
    """What each trial took."""
    with rc_context(STYLE):
        figure = Figure(figsize=(4.4, 3.2), layout="constrained")
        axes = figure.add_subplot()
        for state, colour in COLOURS.items():
            of = [row for row in rows if row["state"] == state]
            if of:
                axes.bar([row["number"] for row in of], [row["seconds"] for row in of], color=colour, label=state)
        axes.set(xlabel="trial", ylabel="seconds")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_axisbelow(True)
        axes.legend(**ABOVE)
    return figure


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _place(value: Any, distribution: BaseDistribution) -> float:
    """Where a setting stands in its range, 0 to 1."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices.index(value) / max(1, len(distribution.choices) - 1)
    low, high = distribution.low, distribution.high  # type: ignore[attr-defined]
    if distribution.log:  # type: ignore[attr-defined]
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (value - low) / ((high - low) or 1)


def _ticks(distribution: BaseDistribution) -> list[tuple[float, str]]:
    if isinstance(distribution, CategoricalDistribution):
        return [(_place(choice, distribution), str(choice)) for choice in distribution.choices]
    return [(0, f"{distribution.low:.3g}"), (1, f"{distribution.high:.3g}")]  # type: ignore[attr-defined]
