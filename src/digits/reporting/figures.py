"""The figures of the report, drawn with matplotlib: as PNG files, or as SVG in the colours of the page."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from digits.files import atomic_path
from digits.record import Epoch, Metrics
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
    "lines.markersize": 3,
}


@contextmanager
def drawing(width: float, height: float, **style: Any) -> Iterator[tuple[Figure, Axes]]:
    """A figure of so many inches with one pair of axes."""
    with rc_context(STYLE | style):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.add_subplot()


def confusion_matrix(metrics: Metrics) -> Figure:
    """Rows are true digits, columns predicted ones. A cell's text is its count, its shade the share of its row."""
    classes, counts = list(metrics.per_class), metrics.confusion_matrix
    shares = [[count / max(1, sum(row)) for count in row] for row in counts]
    with drawing(6.4, 6, **{"axes.grid": False}) as (figure, axes):
        axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.4, 0, 1))  # linear, one mistake in a hundred would be white
        for true, row in enumerate(counts):
            for predicted, count in enumerate(row):
                if count:
                    colour = "white" if shares[true][predicted] > 0.2 else INK
                    axes.text(predicted, true, str(count), ha="center", va="center", color=colour, fontsize=9)
        axes.set_xticks(range(len(classes)), classes)
        axes.set_yticks(range(len(classes)), classes)
        axes.set(xlabel="predicted", ylabel="true", title=f"{metrics.model}: {metrics.test_accuracy:.2%} correct")
    return figure


def mistakes(metrics: Metrics, evaluation: Evaluation) -> Figure:
    """The images of the worst mistakes."""
    classes = list(metrics.per_class)
    worst = worst_mistakes(evaluation)
    columns = 8
    rows = max(1, -(-len(worst) // columns))
    with rc_context(STYLE):
        figure = Figure(figsize=(columns * 1.2, rows * 1.5 + 0.4), layout="constrained")
        title = f"{metrics.model}: worst mistakes (true → predicted, confidence)"
        figure.suptitle(title if len(worst) else "no mistakes")
        for axes in figure.subplots(rows, columns, squeeze=False).flat:
            axes.axis("off")
        for axes, index in zip(figure.axes, worst.tolist(), strict=False):
            true, predicted = classes[evaluation.labels[index]], classes[evaluation.predictions[index]]
            axes.imshow(evaluation.images[index, 0], cmap="gray_r", vmin=0, vmax=255)
            axes.set_title(f"{true} → {predicted}  {evaluation.confidence[index]:.1%}", fontsize=9)
    return figure


def curves(history: list[Epoch]) -> list[Figure]:
    """Losses and validation accuracy over epochs; nothing without epochs. An epoch may have no value."""
    if not history:
        return []
    drawn = []
    for title, scale, colours in (
        ("loss (nats)", "log", {"train_loss": SECOND, "val_loss": ACCENT}),
        ("validation accuracy", "linear", {"val_accuracy": ACCENT}),
    ):
        with drawing(4.4, 3) as (figure, axes):
            for key, colour in colours.items():
                values = {epoch: getattr(row, key) for epoch, row in enumerate(history, start=1)}
                points = {epoch: value for epoch, value in values.items() if value is not None}
                axes.plot(list(points), list(points.values()), "o-", color=colour, label=key.replace("_", "/"))
            axes.set(xlabel="epoch", title=title, yscale=scale)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axes.legend()
        drawn.append(figure)
    return drawn


def reliability(metrics: Metrics) -> Figure:
    """Accuracy against confidence. On the diagonal, they are equal."""
    rows = metrics.reliability
    accuracies = [row.accuracy for row in rows]
    with drawing(4, 3.4) as (figure, axes):
        axes.plot([0, 1], [0, 1], "--", color=FAINT)
        width = rows[0].high - rows[0].low
        axes.bar([row.low for row in rows], accuracies, width, align="edge", color=ACCENT, alpha=0.3)
        axes.plot([row.confidence for row in rows], accuracies, "o", color=ACCENT, markersize=4)
        axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
    return figure


def cost(points: list[tuple[str, float, float]], label: str) -> Figure:
    """Test errors of several runs against a cost with its unit; down and to the left is better.

    `points` are for each run its name, its cost and its test accuracy in 0..1.
    """
    with drawing(4.4, 3.4) as (figure, axes):
        for name, spent, share_correct in points:
            place = (max(spent, 1e-3), max(100 * (1 - share_correct), 1e-2))
            axes.plot(*place, "o", color=ACCENT, markersize=5)
            axes.annotate(name, place, xytext=(5, 3), textcoords="offset points", fontsize=8)
        axes.set(xscale="log", yscale="log", xlabel=label, ylabel="test errors (%)")
        axes.margins(x=0.25, y=0.15)
    return figure


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure to `path` atomically."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)


def svg(figure: Figure) -> Markup:
    """A figure as an <svg> element that takes its colours from the page around it."""
    text = io.StringIO()
    with rc_context(STYLE):
        no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))  # equal figures give equal files
        figure.savefig(text, format="svg", transparent=True, metadata=no_metadata)
    element = text.getvalue()
    element = element[element.index("<svg") :]
    for colour, variable in PAGE_COLOURS.items():
        element = element.replace(colour, variable)
    return Markup(element)
