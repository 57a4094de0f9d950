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
    axes.figure.draw_without_rendering()
    pixels_per_point = axes.figure.dpi / 72
    offsets = pixels_per_point * np.array([(dx, dy) for dx, dy, _ in _PLACES])
    facing_left = np.array([side == "left" for *_, side in _PLACES])[:, None]
    frame = axes.get_window_extent().extents
    taken: list[NDArray[np.float64]] = []
    for point in labels:
        x, y = axes.transData.transform((point.x, point.y))
        right, up = axes.transData.transform((point.x + point.across, point.y + point.up))
        across, up = max(right - x, RADIUS), max(up - y, RADIUS)
        taken.append(np.array([x - across, y - RADIUS, x + across, y + RADIUS]))
        taken.append(np.array([x - RADIUS, y - up, x + RADIUS, y + up]))
    for point in (label for label in labels if label.text):
        at = (point.x, point.y)
        text = axes.annotate(
            point.text, at, (0, 0), textcoords="offset points", va="center", fontsize=9, color=point.color
        )
        text.set_in_layout(False)  # or the axes would shrink under the texts that are measured already
        measured = text.get_window_extent(axes.figure.canvas.get_renderer())  # at the point, to its right
        to_the_left = measured.extents - np.array([measured.width, 0, measured.width, 0])
        boxes = np.where(facing_left, measured.extents, to_the_left) + np.tile(offsets, 2)  # [places, 4]
        outside = np.maximum(0, frame[:2] - boxes[:, :2]).sum(1) + np.maximum(0, boxes[:, 2:] - frame[2:]).sum(1)
        best = int((np.arange(len(_PLACES)) + 200 * outside + _overlap(boxes, np.array(taken))).argmin())
        dx, dy, side = _PLACES[best]
        text.set_position((dx, dy))
        text.set_ha(side)
        taken.append(boxes[best])
        if abs(dy) > 12 or abs(dx) > 12:
            tip = np.asarray(axes.transData.transform(at)) + offsets[best]
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


def _overlap(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area in pixels that each of `boxes` [P, 4] (x0, y0, x1, y1) shares with `others` [T, 4], in all, [P]."""
    shared = np.minimum(boxes[:, None, 2:], others[:, 2:]) - np.maximum(boxes[:, None, :2], others[:, :2])
    areas: NDArray[np.float64] = np.maximum(0, shared).prod(-1).sum(1)
    return areas
