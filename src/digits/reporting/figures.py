"""The figures of the report, drawn with matplotlib: as PNG files, or as SVG in the colours of the page."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cycler import cycler
from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from atomic_files import atomic_path
from digits.record import Metrics
from digits.reporting.evaluation import Evaluation
from digits.reporting.metrics import worst_mistakes

# Each of these colours is replaced by a colour of the page in an SVG; no other part of a figure has it.
INK, ACCENT, SECOND, FAINT = "#1b1f24", "#2563eb", "#d97706", "#c9ced6"
PAGE_COLOURS = {INK: "var(--ink)", ACCENT: "var(--accent)", SECOND: "var(--second)", FAINT: "var(--line)"}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "digits",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "text.parse_math": False,  # a label may have a $
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "axes.prop_cycle": cycler(color=[ACCENT, SECOND, FAINT]),
    "lines.markersize": 3,
}


@contextmanager
def drawing(width: float, height: float, **style: Any) -> Iterator[tuple[Figure, Axes]]:
    """A figure with one pair of axes; width and height are in inches."""
    with rc_context(STYLE | style):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.add_subplot()


def plain_log(axis: Axis, low: float, high: float) -> None:
    """Plain numbers on a logarithmic axis: 1, 2, 5, 10; every tenth over a wide range, even steps over a short one."""
    ratio = high / low
    steps = LogLocator(subs=(1, 2, 5) if ratio < 300 else (1,)) if ratio > 6 else MaxNLocator(5, steps=[1, 2, 5, 10])
    axis.set_major_locator(steps)
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))
    axis.set_minor_locator(NullLocator())


def confusion_matrix(metrics: Metrics) -> Figure:
    """Rows are true digits, columns predicted ones. A cell's text is its count, its shade the share of its row."""
    classes, counts = list(metrics.per_class), metrics.confusion_matrix
    shares = [[count / max(1, sum(row)) for count in row] for row in counts]
    side = max(6, 0.4 * len(classes))  # inches
    with drawing(side + 0.4, side, **{"axes.grid": False}) as (figure, axes):
        axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.4, 0, 1))  # on a linear scale, 1 % would be white
        for true, row in enumerate(counts):
            for predicted, count in enumerate(row):
                if count:
                    colour = "white" if shares[true][predicted] > 0.2 else INK
                    axes.text(predicted, true, str(count), ha="center", va="center", color=colour, fontsize=9)
        axes.set_xticks(range(len(classes)), classes)
        axes.set_yticks(range(len(classes)), classes)
        axes.set(
            xlabel="predicted digit",
            ylabel="true digit",
            title=f"{metrics.model}: {100 * metrics.test_accuracy:.2f} % correct",
        )
    return figure


def mistakes(metrics: Metrics, evaluation: Evaluation) -> Figure:
    """The images of the worst mistakes."""
    classes, predictions, confidence = list(metrics.per_class), evaluation.predictions, evaluation.confidence
    worst = worst_mistakes(evaluation)
    columns, height = 8, 1.2  # of a cell, with its text, in widths of an image
    rows = max(1, -(-len(worst) // columns))
    title = f"{metrics.model}: worst mistakes, at most three of a pair (true → predicted, confidence)"
    with drawing(columns * 1.2, rows * height * 1.2 + 0.4) as (figure, axes):  # one pair of axes: forty take a second
        for position, index in enumerate(worst.tolist()):
            true, predicted = classes[evaluation.labels[index]], classes[predictions[index]]
            left, top = position % columns, position // columns * height
            extent = (left + 0.05, left + 0.95, top + height, top + height - 0.9)
            axes.imshow(evaluation.images[index, 0], cmap="gray_r", vmin=0, vmax=255, extent=extent)
            text = f"{true} → {predicted}  {100 * confidence[index]:.1f} %"
            axes.text(left + 0.5, top + height - 0.95, text, ha="center", fontsize=9)
        axes.set(xlim=(0, columns), ylim=(rows * height, 0), title=title if len(worst) else "no mistakes")
        axes.axis("off")
    return figure


def curves(metrics: Metrics) -> list[Figure]:
    """Loss, accuracy and learning rate over epochs, with a line at the epoch that was kept.

    An epoch may have no value. A line with fewer than two values is left out, and a chart without lines, as for a model
    fitted in one pass.
    """
    figures = []
    for title, scale, unit, series in (
        ("loss (nats)", "log", 1, {"training": ("train_loss", SECOND), "validation": ("val_loss", ACCENT)}),
        (
            "accuracy (%)",
            "linear",
            100,
            {"training": ("train_accuracy", SECOND), "validation": ("val_accuracy", ACCENT)},
        ),
        ("learning rate", "linear", 1, {"": ("learning_rate", ACCENT)}),
    ):
        values = {label: [getattr(row, key) for row in metrics.history] for label, (key, _) in series.items()}
        values = {label: each for label, each in values.items() if len(each) - each.count(None) > 1}
        if not values:
            continue
        with drawing(3.1, 2.7) as (figure, axes):  # three of them are as wide as the page
            for label, each in values.items():
                points = [(epoch, unit * value) for epoch, value in enumerate(each, start=1) if value is not None]
                axes.plot(*zip(*points, strict=True), "o-", color=series[label][1], label=label)
            if metrics.kept_epoch is not None:
                axes.axvline(metrics.kept_epoch + 1, linestyle="--", color=INK, linewidth=1)
            axes.set(xlabel="epoch", title=title, yscale=scale)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            if scale == "log":
                axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_formatter("{x:g}")
            if any(values):
                axes.legend(fontsize=9)
        figures.append(figure)
    return figures


def reliability(metrics: Metrics) -> Figure:
    """Accuracy against confidence, both in percent. On the diagonal they are equal. A bar's number counts images."""
    rows = metrics.reliability
    with drawing(4.6, 3.6) as (figure, axes):
        axes.plot([0, 100], [0, 100], "--", color=INK, linewidth=0.8)
        for row in rows:
            left, right, height = 100 * row.low, 100 * row.high, 100 * row.accuracy
            axes.bar(left, height, right - left, align="edge", color=ACCENT, alpha=0.3)
            axes.plot(100 * row.confidence, height, "o", color=ACCENT, markersize=4)
            foot = 2 if height > 25 else height + 4  # the number is in the bar, or above a low bar
            axes.text((left + right) / 2, foot, f"{row.count:,}", rotation=90, ha="center", va="bottom", fontsize=8)
        axes.set(xlabel="confidence (%)", ylabel="accuracy (%)", xlim=(0, 100), ylim=(0, 102))
    return figure


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure to `path` atomically."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)


def svg(figure: Figure, words: str = "") -> Markup:
    """A figure as an <svg> element that takes its colours from the page around it; `words` say what it shows."""
    text = io.StringIO()
    with rc_context(STYLE):
        no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))  # equal figures give equal files
        figure.savefig(text, format="svg", transparent=True, metadata=no_metadata)
    element = text.getvalue()
    element = element[element.index("<svg") :]
    for colour, variable in PAGE_COLOURS.items():
        element = element.replace(colour, variable)
    if words:
        element = element.replace("<svg", f'<svg role="img" aria-label="{escape(words)}"', 1)
    return Markup(element)
