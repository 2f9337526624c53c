"""Estimate the colour of the paper on a picture, whose light may change slowly."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def flat_paper(colours: Floats) -> Floats | None:
    """The paper's colour if more than half of the picture has exactly this colour, as on a screen."""
    colour = np.median(colours[[0, -1]].reshape(-1, 3), axis=0)
    return colour if (colours == colour).all(axis=2).mean() > 0.5 else None


def paper_surface(colours: NDArray[np.floating]) -> Floats:
    """Fit a smooth surface to most of the colours, [H, W, 3], by iteratively reweighted least squares.

    Each term is a power of y times a power of x, so sums over all pixels are products of small matrices.
    """
    height, width = colours.shape[:2]
    y, x = (np.linspace(-1, 1, side) ** np.arange(5)[:, None] for side in (height, width))
    y_power, x_power = np.array([[0, 0, 1, 0, 1, 2], [0, 1, 0, 2, 1, 0]])  # of each term
    values = np.array(colours.transpose(2, 0, 1), np.float64, order="C")
    margin = max(1, round(0.08 * min(height, width)))
    border = np.ones((height, width), bool)
    border[margin:-margin, margin:-margin] = False
    surface = np.median(values[:, border], axis=1)[:, None, None]
    for scale in np.geomspace(0.3, 0.04, 8):  # wide first, so that dark corners count as paper; narrow in the end
        squared_distance = ((values - surface) ** 2).mean(axis=0)
        weights = 1 / (1 + squared_distance / scale**2) ** 2
        products = (y @ weights @ x.T)[y_power + y_power[:, None], x_power + x_power[:, None]]
        targets = (y[:3] @ (weights * values) @ x[:3].T)[:, y_power, x_power]
        terms = np.zeros((3, 3, 3))
        terms[:, y_power, x_power] = np.linalg.solve(products + 1e-6 * np.eye(6), targets.T).T
        surface = y[:3].T @ terms @ x[:3]
    return surface.transpose(1, 2, 0).astype(np.float32)
