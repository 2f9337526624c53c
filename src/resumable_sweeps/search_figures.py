"""The figures of a search, in the project's style: how it went, and which values went together.

optuna.visualization does not draw them: its figures have a fixed style, which cannot be read on a dark page, and its
history leaves out pruned trials.
"""

import math
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from optuna.distributions import BaseDistribution, CategoricalDistribution

from resumable_sweeps.project import Style
from resumable_sweeps.trials import TrialRow

ACCENT, SECOND, FAINT = "C0", "C1", "C2"
LEAST = 1e-3  # a cost of 0 is drawn here, on a logarithmic axis


def history(style: Style, rows: list[TrialRow], unit: str) -> Figure:
    """The cost of each trial, and the lowest one so far."""
    complete = [row for row in rows if row.state == "complete"]
    pruned = [row for row in rows if row.state == "pruned" and row.value]
    lowest = [min((row.cost for row in complete if row.number <= at), default=math.nan) for at in range(len(rows))]
    with style.drawing(4.4, 3.2) as (figure, axes):
        axes.step(range(len(rows)), [max(cost, LEAST) for cost in lowest], where="post", color=ACCENT, linewidth=1)
        for some, marker, colour, label in ((complete, "o", ACCENT, "complete"), (pruned, "x", SECOND, "pruned")):
            if some:
                costs = [max(row.cost, LEAST) for row in some]
                axes.plot([row.number for row in some], costs, marker, color=colour, markersize=4, label=label)
        axes.set(yscale="log", xlabel="trial", ylabel=unit)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        style.plain_log(axes.yaxis, *axes.get_ylim())
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=8)
    return figure


def parallel(
    style: Style, complete: list[TrialRow], best: TrialRow, space: dict[str, BaseDistribution], unit: str
) -> Figure:
    """A line for each complete trial through its values to its cost: the best one, the better quarter, the rest."""
    ordered = sorted(complete, key=lambda row: row.cost)
    quarter = ordered[(len(ordered) - 1) // 4].cost
    low, high = (math.log(max(row.cost, LEAST)) for row in (ordered[0], ordered[-1]))
    with style.drawing(9, 3.6, **{"axes.grid": False}) as (figure, axes):
        for row in reversed(ordered):
            places = [_place(row.params[key], distribution) for key, distribution in space.items()]
            cost = (math.log(max(row.cost, LEAST)) - low) / ((high - low) or 1)
            colour = SECOND if row is best else ACCENT if row.cost <= quarter else FAINT
            axes.plot([*places, cost], color=colour, linewidth=2.5 if row is best else 1)
        ticks = [*map(_ticks, space.values()), {f"{math.exp(low):.3g}": 0.0, f"{math.exp(high):.3g}": 1.0}]
        for at, texts in enumerate(ticks):
            for text, place in texts.items():  # the two ends are written where no line passes
                side = {0.0: "top", 1.0: "bottom"}.get(place, "center")
                axes.text(at, 1.06 * place - 0.03, text, va=side, ha="center", fontsize=8)
        names = [key.rpartition(".")[2] for key in space]
        axes.set_xticks(range(len(space) + 1), [*names, unit.replace("validation ", "")])
        axes.tick_params(length=0, pad=12)
        axes.set(yticks=[], xlim=(-0.4, len(space) + 0.4), ylim=(-0.1, 1.1))
        axes.spines[:].set_visible(False)
    return figure


def _place(value: Any, distribution: Any) -> float:
    """Where a value lies in its range, 0 to 1."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices.index(value) / max(1, len(distribution.choices) - 1)
    low, high = distribution.low, distribution.high
    if distribution.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (value - low) / ((high - low) or 1)


def _ticks(distribution: Any) -> dict[str, float]:
    if isinstance(distribution, CategoricalDistribution):
        return {str(choice): _place(choice, distribution) for choice in distribution.choices}
    return {f"{distribution.low:.3g}": 0, f"{distribution.high:.3g}": 1}
