"""Accuracy against seconds of training, for light pages and dark ones."""

import re
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from digits.reporting.figures import STYLE, save_png

# Those of the report's page (page.css): paper, ink, soft, line, accent.
THEMES = {
    "speed.png": ("#ffffff", "#1b1f24", "#5b6470", "#d5d9e0", "#2563eb"),
    "speed-dark.png": ("#14171b", "#e8eaed", "#9aa4b1", "#363d47", "#6ea8fe"),
}
SHOWN = (97.5, 98, 98.5, 99, 99.2, 99.4, 99.6, 99.7, 99.8)  # % of the test digits right


def draw(record: dict[str, Any], folder: Path) -> None:
    """Write speed.png and speed-dark.png.

    Args:
        record: what benchmark.json holds.
        folder: to write them into.
    """
    for name, theme in THEMES.items():
        save_png(speed(record, *theme), folder / name)


def speed(record: dict[str, Any], paper: str, ink: str, soft: str, line: str, accent: str) -> Figure:
    """References as lines with a dot after each epoch, ours as points with a standard deviation up and down."""
    colours = {"figure.facecolor": paper, "axes.facecolor": paper, "axes.edgecolor": line, "grid.color": line}
    colours |= dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), ink)
    with rc_context(STYLE | colours | {"axes.axisbelow": True, "xtick.minor.size": 0}):
        figure = Figure(figsize=(8.2, 4.6), layout="constrained")
        axes = figure.add_subplot()
        for name, runs in record["curves"].items():
            epochs = list(zip(*runs, strict=False))  # seeds need not take equally many
            seconds = [median(run["seconds"] for run in epoch) for epoch in epochs]
            accuracy = [mean(run["accuracy"] for run in epoch) for epoch in epochs]
            axes.plot(seconds, [_errors(each) for each in accuracy], "o-", color=soft, linewidth=1, markersize=3.5)
            seen = next((at for at, each in enumerate(accuracy) if 100 * each >= SHOWN[0]), -1)
            spot = (seconds[seen], _errors(accuracy[seen]))
            axes.annotate(name, spot, (6, -3), textcoords="offset points", color=soft, va="top", fontsize=9)
        for name, runs in record["points"].items():
            accuracies, second = [run["test"] for run in runs], median(run["fit"] for run in runs)
            middle, spread = mean(accuracies), stdev(accuracies) if len(runs) > 1 else 0.0
            span = [[_errors(middle) - _errors(middle + spread)], [_errors(middle - spread) - _errors(middle)]]
            axes.errorbar(second, _errors(middle), span, fmt="o", color=accent, linewidth=1, markersize=5.5)
            spot = (second, _errors(middle))
            axes.annotate(_short(name), spot, (7, 0), textcoords="offset points", color=accent, va="center", fontsize=9)
        axes.set(xscale="log", yscale="log", xlabel="seconds of training", ylabel="test digits right, %")
        axes.set_ylim(_errors(SHOWN[0] / 100), _errors(SHOWN[-1] / 100))  # errors, the fewest on top
        axes.set_yticks([_errors(each / 100) for each in SHOWN], [f"{each:g}" for each in SHOWN])
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda second, _: f"{second:g}"))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_minor_locator(NullLocator())
        first, last = axes.get_xlim()
        axes.set_xlim(first, last * 2)  # room for the last name
    return figure


def _errors(accuracy: float) -> float:
    """Percent wrong; never quite none, which has no place on a logarithmic axis."""
    return max(100 * (1 - accuracy), 0.01)


def _short(name: str) -> str:
    """The name of a recipe without the keys it is told with."""
    return re.sub(r"trainer\.max_epochs=(\d+)", r"in \1 epochs", re.sub("(experiment|model)=", "", name))
