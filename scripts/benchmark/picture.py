"""Accuracy against seconds of training, for light pages and dark ones."""

import re
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter

Runs = list[list[dict[str, Any]]]  # of each run a dict an epoch; of ours the last one alone
# Those of the report's page (page.css): paper, ink, soft, line, accent.
THEMES = {
    "speed.png": ("#ffffff", "#1b1f24", "#5b6470", "#d5d9e0", "#2563eb"),
    "speed-dark.png": ("#14171b", "#e8eaed", "#9aa4b1", "#363d47", "#6ea8fe"),
}
SHOWN = (97.5, 98, 98.5, 99, 99.2, 99.4, 99.6, 99.7, 99.8)  # % of the test digits right


def draw(trained: dict[str, Runs], folder: Path) -> None:
    """Write speed.png and speed-dark.png into `folder`; runs with a `=` in their name are ours."""
    for name, (paper, ink, soft, line, accent) in THEMES.items():
        style: dict[Any, Any] = dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), ink)
        style |= {"figure.facecolor": paper, "axes.facecolor": paper, "axes.edgecolor": line, "grid.color": line}
        with rc_context(style | {"axes.grid": True, "axes.spines.top": False, "axes.spines.right": False}):
            speed(trained, soft, accent).savefig(folder / name, dpi=130)


def speed(trained: dict[str, Runs], soft: str, accent: str) -> Figure:
    """References as lines with a dot after each epoch, ours as points with a standard deviation up and down."""
    figure = Figure(figsize=(8.2, 4.6), layout="constrained")
    axes = figure.add_subplot(xscale="log", yscale="log", xlabel="seconds of training", ylabel="test digits right, %")
    for name, runs in trained.items():
        epochs = list(zip(*runs, strict=False))  # seeds need not take equally many
        seconds = [median(run["seconds"] for run in epoch) for epoch in epochs]
        percent = [mean(run["percent"] for run in epoch) for epoch in epochs]
        colour, spread = (accent, 0.0) if "=" in name else (soft, 0.0)
        if "=" in name and len(runs) > 1:
            spread = stdev(run["percent"] for run in epochs[-1])
        axes.plot(seconds, [wrong(each) for each in percent], "o-", color=colour, linewidth=1, markersize=4.5)
        axes.vlines(
            seconds, [wrong(each + spread) for each in percent], [wrong(each - spread) for each in percent], colour
        )
        label = re.sub(r"trainer\.max_epochs=(\d+)", r"in \1 epochs", re.sub("(experiment|model)=", "", name))
        first = next((at for at, each in enumerate(percent) if each >= SHOWN[0]), -1)
        axes.annotate(f"  {label}", (seconds[first], wrong(percent[first])), color=colour, va="top", fontsize=9)
    axes.set_ylim(wrong(SHOWN[0]), wrong(SHOWN[-1]))  # the fewest mistakes on top
    axes.set_yticks([wrong(each) for each in SHOWN], [f"{each:g}" for each in SHOWN])
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlim(right=axes.get_xlim()[1] * 2)  # room for the last name
    return figure


def wrong(percent: float) -> float:
    """Percent wrong; never quite none, which has no place on a logarithmic axis."""
    return max(100 - percent, 0.01)
