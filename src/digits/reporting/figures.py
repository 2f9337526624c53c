"""The report's pictures, drawn with matplotlib: as PNG on paper, as SVG that takes the page's colours."""

import io
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from digits.files import atomic_path
from digits.reporting.evaluation import Evaluation
from digits.reporting.metrics import worst_mistakes

# Colours that stand for the page's own in an SVG; each turns up nowhere else.
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


def confusion_matrix(metrics: dict[str, Any]) -> Figure:
    """Rows true, columns predicted; counts written, share of the row as shade."""
    classes, counts = list(metrics["per_class"]), metrics["confusion_matrix"]
    with rc_context(STYLE | {"axes.grid": False}):
        figure = Figure(figsize=(6.4, 6), layout="constrained")
        axes = figure.add_subplot()
        shares = [[count / max(1, sum(row)) for count in row] for row in counts]
        axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.4, 0, 1))  # else a mistake in a hundred is white
        for true, row in enumerate(counts):
            for predicted, count in enumerate(row):
                if count:
                    colour = "white" if shares[true][predicted] > 0.2 else INK
                    axes.text(predicted, true, count, ha="center", va="center", color=colour, fontsize=9)
        axes.set_xticks(range(len(classes)), classes)
        axes.set_yticks(range(len(classes)), classes)
        axes.set(
            xlabel="predicted",
            ylabel="true",
            title=f"{metrics['model']}: {metrics['test/accuracy']:.2%} right",
        )
    return figure


def mistakes(metrics: dict[str, Any], evaluation: Evaluation, most: int = 40) -> Figure:
    """The wrong answers that the model was surest of."""
    classes = list(metrics["per_class"])
    worst = worst_mistakes(evaluation, most)
    columns = 8
    rows = max(1, -(-len(worst) // columns))
    with rc_context(STYLE):
        figure = Figure(figsize=(columns * 1.2, rows * 1.5 + 0.4), layout="constrained")
        figure.suptitle(
            f"{metrics['model']}: worst mistakes (true → predicted, confidence)" if len(worst) else "no mistakes"
        )
        grid = figure.subplots(rows, columns, squeeze=False).flat
        for axes in grid:
            axes.axis("off")
        for axes, index in zip(figure.axes, worst.tolist(), strict=False):
            true, predicted = evaluation.labels[index], evaluation.predictions[index]
            confidence = evaluation.probabilities[index].max().item()
            axes.imshow(evaluation.images[index, 0], cmap="gray_r", vmin=0, vmax=255)
            axes.set_title(f"{classes[true]} → {classes[predicted]}  {confidence:.1%}", fontsize=9)
    return figure


def losses(history: list[dict[str, float]]) -> Figure:
    """Training and validation loss over epochs."""
    return _curves(history, {"train/loss": SECOND, "val/loss": ACCENT}, "loss (nats)", yscale="log")


def accuracy(history: list[dict[str, float]]) -> Figure:
    """Validation accuracy over epochs."""
    return _curves(history, {"val/accuracy": ACCENT}, "share of validation digits right")


def _curves(history: list[dict[str, float]], colours: dict[str, str], title: str, **axis: Any) -> Figure:
    with rc_context(STYLE):
        figure = Figure(figsize=(4.4, 3), layout="constrained")
        axes = figure.add_subplot()
        for name, colour in colours.items():
            rows = [row for row in history if name in row]
            axes.plot([row["epoch"] + 1 for row in rows], [row[name] for row in rows], "o-", color=colour, label=name)
        axes.set(xlabel="epoch", title=title, **axis)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.legend()
    return figure


def reliability(metrics: dict[str, Any]) -> Figure:
    """How often the model is right against how sure it says it is; on the diagonal is honest."""
    rows = metrics["reliability"]
    with rc_context(STYLE):
        figure = Figure(figsize=(4, 3.4), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], "--", color=FAINT)
        width = rows[0]["to"] - rows[0]["from"]
        axes.bar(
            [row["from"] for row in rows],
            [row["accuracy"] for row in rows],
            width,
            align="edge",
            color=ACCENT,
            alpha=0.3,
        )
        axes.plot(
            [row["confidence"] for row in rows],
            [row["accuracy"] for row in rows],
            "o",
            color=ACCENT,
            markersize=4,
        )
        axes.set(xlabel="confidence", ylabel="share right", xlim=(0, 1), ylim=(0, 1.02))
    return figure


def cost(rows: list[dict[str, Any]], key: str) -> Figure:
    """Errors against what they cost: seconds to fit, or milliseconds a picture; down and to the left is better."""
    names = {"fit_seconds": "seconds to fit", "milliseconds": "milliseconds a picture"}
    with rc_context(STYLE):
        figure = Figure(figsize=(4.4, 3.4), layout="constrained")
        axes = figure.add_subplot()
        for row in rows:
            place = (max(row[key], 1e-3), max(100 * (1 - row["accuracy"]), 1e-2))
            axes.plot(*place, "o", color=ACCENT, markersize=5)
            axes.annotate(row["name"], place, xytext=(5, 3), textcoords="offset points", fontsize=8)
        axes.set(xscale="log", yscale="log", xlabel=names[key], ylabel="test errors (%)")
        axes.margins(x=0.25, y=0.15)
    return figure


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure to `path` atomically."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)


def svg(figure: Figure) -> str:
    """A figure as an <svg> element that takes its colours from the page around it."""
    text = io.StringIO()
    with rc_context(STYLE):
        figure.savefig(
            text, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    element = text.getvalue()
    element = element[element.index("<svg") :]
    for colour, variable in PAGE_COLOURS.items():
        element = element.replace(colour, variable)
    return element
