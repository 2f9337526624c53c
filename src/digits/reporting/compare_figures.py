"""The plots of a comparison: errors against costs and settings, a numbered dot for each row; learning curves."""

import math
from typing import Any

from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

from digits.record import Epoch
from digits.reporting.figures import ACCENT, FAINT, drawing, plain_log

LINE: dict[str, Any] = {"arrowstyle": "-", "color": FAINT, "shrinkA": 0, "shrinkB": 3}  # from a dot to its number


def costs(rows: list[tuple[float, float, float]]) -> list[Figure]:
    """The errors of the rows of a table against seconds to fit, and against milliseconds for one image.

    `rows` have these costs and the validation errors in percent, infinite if there are none. One dot gives no figure.
    """
    known = {number: row for number, row in enumerate(rows, start=1) if math.isfinite(row[2])}
    labels = ("seconds to fit", "milliseconds for one image") if len(known) > 1 else ()
    return [_cost({n: (row[at], row[2]) for n, row in known.items()}, label) for at, label in enumerate(labels)]


COLOURS = [colormaps["tab10"](at) for at in (0, 1, 2, 3, 4, 5, 6, 8, 9)]  # without grey, which the grid has


def learning_curves(histories: list[list[Epoch]]) -> tuple[Figure, list[str]] | None:
    """Validation accuracy over epochs, a line for each row of the table that has two values or more.

    Returns:
        The figure, in which the line of row 3 has the id `curve-3`, and the CSS colour of each row's line, empty
        without one; None with less than two lines.
    """
    colours = []
    with drawing(7, 3.6) as (figure, axes):
        for number, history in enumerate(histories, start=1):
            points = [(row.epoch + 1, 100 * row.val_accuracy) for row in history if row.val_accuracy is not None]
            red, green, blue, _ = COLOURS[(number - 1) % len(COLOURS)]
            colours.append(f"rgb({red:.0%} {green:.0%} {blue:.0%})" if len(points) > 1 else "")
            if len(points) > 1:
                style = "o-" if number <= len(COLOURS) else "o--"
                (line,) = axes.plot(*zip(*points, strict=True), style, color=(red, green, blue))
                line.set_gid(f"curve-{number}")
        axes.set(xlabel="epoch", ylabel="validation accuracy (%)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return (figure, colours) if sum(map(bool, colours)) > 1 else None


def setting(name: str, points: list[tuple[float, float]]) -> Figure:
    """Validation accuracy in percent against a setting, a dot for each row of the table; `points` have both."""
    values = [value for value, _ in points]
    wide = 0 < 5 * min(values) < max(values)
    with drawing(3.6, 2.8) as (figure, axes):
        axes.plot(*zip(*points, strict=True), "o", color=ACCENT, markersize=5)
        axes.set(xlabel=name, ylabel="validation accuracy (%)", xscale="log" if wide else "linear")
        axes.margins(0.12)
        if wide:
            plain_log(axes.xaxis, *axes.get_xlim())
    return figure


def _cost(points: dict[int, tuple[float, float]], label: str) -> Figure:
    places = {number: (max(spent, 1e-3), max(errors, 1e-2)) for number, (spent, errors) in points.items()}
    with drawing(6, 4.2) as (figure, axes):
        axes.plot(*zip(*places.values(), strict=True), "o", color=ACCENT, markersize=5)
        axes.set(xscale="log", yscale="log", xlabel=label, ylabel="validation errors (%)")
        axes.margins(0.12)
        plain_log(axes.xaxis, *axes.get_xlim())
        plain_log(axes.yaxis, *axes.get_ylim())
        figure.draw_without_rendering()  # computes the layout, which places the dots
        dots = {number: axes.transData.transform(place) for number, place in places.items()}
        boxes = [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in dots.values()]
        for number, (x, y) in dots.items():
            offset = _free_place(x, y, boxes, axes.bbox)
            if offset:  # without free space, a dot gets no number
                away = 72 / figure.dpi * offset[0], 72 / figure.dpi * offset[1]
                line = LINE if math.hypot(*offset) > 20 else None
                text = axes.annotate(str(number), places[number], away, textcoords="offset points", arrowprops=line)
                text.set(ha="center", va="center", fontsize=9, in_layout=False)
    return figure


def _free_place(x: float, y: float, boxes: list[Bbox], inside: Bbox) -> tuple[float, float] | None:
    """Find the place nearest to a dot where its number covers nothing: the offset in pixels. Add its box to `boxes`."""
    for radius in range(12, 60, 6):
        for angle in range(0, 360, 30):
            right, up = radius * math.cos(math.radians(angle)), radius * math.sin(math.radians(angle))
            box = Bbox.from_bounds(x + right - 9, y + up - 8, 18, 16)
            if inside.contains(x + right, y + up) and not any(box.overlaps(other) for other in boxes):
                boxes.append(box)
                return right, up
    return None
