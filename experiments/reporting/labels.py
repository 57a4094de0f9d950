"""Direct labels on a plot that do not lie on one another. matplotlib is imported by the caller alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PLACES: list[tuple[float, float, str]] = [
    (side * dx, dy, "left" if side > 0 else "right")
    for dy, dx, side in product(
        (0.0, 9.0, -9.0, 18.0, -18.0, 28.0, -28.0, 40.0, -40.0, 54.0, -54.0), (7.0, 22.0, 50.0, 85.0), (1, -1)
    )
]
"""Where a text may stand: points right and up of its point, and the side of the text that faces it."""

RADIUS = 12
"""Half the width in pixels of what a point covers."""


@dataclass(frozen=True)
class Label:
    """A text beside a point.

    Attributes:
        text: "" for a point that only keeps other texts away.
        x, y: the point, in the units of the axes.
        across, up: half the length of its error bars, likewise.
        color: of the text.
    """

    text: str
    x: float
    y: float
    across: float
    up: float
    color: str


def beside_points(axes: Any, labels: Sequence[Label]) -> None:
    """Write each text near its point, at the nearest place where it covers neither a text, a point nor the frame.

    Greedy, in the order given; a text far from its point gets a thin leader. Limits of the axes must be final.
    """
    canvas = axes.figure.canvas
    canvas.draw()
    pixels_per_point = axes.figure.dpi / 72
    frame = axes.get_window_extent()
    taken: list[tuple[float, float, float, float]] = []
    for point in labels:
        x, y = axes.transData.transform((point.x, point.y))
        right, up = axes.transData.transform((point.x + point.across, point.y + point.up))
        across, up = max(right - x, RADIUS), max(up - y, RADIUS)
        taken += [(x - across, y - RADIUS, x + across, y + RADIUS), (x - RADIUS, y - up, x + RADIUS, y + up)]
    for point in (label for label in labels if label.text):
        at = (point.x, point.y)
        text = axes.annotate(
            point.text, at, (0, 0), textcoords="offset points", va="center", fontsize=9, color=point.color
        )
        best: tuple[float, tuple[float, float, str], tuple[float, float, float, float]] | None = None
        for cost, (dx, dy, side) in enumerate(_PLACES):
            text.set_position((dx, dy))
            text.set_ha(side)
            box = text.get_window_extent(canvas.get_renderer())
            corners = (box.x0, box.y0, box.x1, box.y1)
            outside = max(0.0, frame.x0 - box.x0) + max(0.0, box.x1 - frame.x1)
            outside += max(0.0, frame.y0 - box.y0) + max(0.0, box.y1 - frame.y1)
            total = cost + 20 * outside + sum(_overlap(corners, other) for other in taken)
            if best is None or total < best[0]:
                best = (total, (dx, dy, side), corners)
        assert best is not None
        _, (dx, dy, side), corners = best
        text.set_position((dx, dy))
        text.set_ha(side)
        taken.append(corners)
        if abs(dy) > 12 or abs(dx) > 12:
            tip = np.asarray(axes.transData.transform(at)) + np.array([dx, dy]) * pixels_per_point
            end = axes.transData.inverted().transform(tip)
            line = {"color": point.color, "linewidth": 0.5, "alpha": 0.7}
            axes.plot([point.x, end[0]], [point.y, end[1]], **line, scalex=False, scaley=False, zorder=1)


def right_of_axes(axes: Any, heights: Sequence[float], texts: Sequence[str], colors: Sequence[str]) -> None:
    """Write each text in the right margin at its height, pushed apart where two would meet, with a thin leader."""
    pixels: NDArray[np.float64] = axes.transData.transform([(0, height) for height in heights])[:, 1]
    gap = 12 * axes.figure.dpi / 72
    bottom, top = axes.transAxes.transform([(0, 0), (0, 1)])[:, 1]
    for height, place, text, color in zip(heights, spread_apart(pixels, gap), texts, colors, strict=True):
        share = (place - bottom) / (top - bottom)
        axes.annotate(
            text,
            (1, height),
            (1.035, share),
            xycoords=("axes fraction", "data"),
            textcoords="axes fraction",
            va="center",
            fontsize=9,
            color=color,
            arrowprops={
                "arrowstyle": "-",
                "color": color,
                "linewidth": 0.6,
                "shrinkA": 1,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )


def spread_apart(places: NDArray[np.float64], gap: float) -> NDArray[np.float64]:
    """Move places [M] as little as needed (least squares) so that any two are at least `gap` apart, in their order.

    >>> spread_apart(np.array([0.0, 1.0, 9.0]), gap=4.0)
    array([-1.5,  2.5,  9. ])
    """
    order = np.argsort(places, kind="stable")
    blocks: list[tuple[float, int]] = []  # (mean of place - rank * gap, size): pool adjacent violators
    for rank, place in enumerate(places[order]):
        mean, size = float(place) - rank * gap, 1
        while blocks and blocks[-1][0] > mean:
            former, n = blocks.pop()
            mean, size = (former * n + mean * size) / (n + size), n + size
        blocks.append((mean, size))
    moved = np.concatenate([np.full(size, mean) for mean, size in blocks] or [np.zeros(0)])
    result = np.empty(len(places))
    result[order] = moved + gap * np.arange(len(places))
    return result


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> float:
    """Area in pixels that two boxes (x0, y0, x1, y1) share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)
