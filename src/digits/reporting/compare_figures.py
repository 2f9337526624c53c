"""The plots of a comparison: errors against costs, a numbered dot for each row of its table."""

import math
from typing import Any

from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from digits.reporting.figures import ACCENT, FAINT, drawing, plain_log

LINE: dict[str, Any] = {"arrowstyle": "-", "color": FAINT, "shrinkA": 0, "shrinkB": 3}  # from a dot to its number


def costs(rows: list[tuple[float, float, float]]) -> list[Figure]:
    """The errors of the rows of a table against seconds to fit, and against milliseconds for one image.

    `rows` have these costs and the validation errors in percent, infinite if there are none. One dot gives no figure.
    """
    known = {number: row for number, row in enumerate(rows, start=1) if math.isfinite(row[2])}
    labels = ("seconds to fit", "milliseconds for one image") if len(known) > 1 else ()
    return [_cost({n: (row[at], row[2]) for n, row in known.items()}, label) for at, label in enumerate(labels)]


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
