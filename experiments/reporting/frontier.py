"""Is one curve above another where users have equally many vectors, or where accuracy is equal?

A curve's arms are points (what is equal, metric); between two neighbours it is a straight line, and outside its
points it is nothing: no value is extrapolated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from experiments.reporting.columns import LIVE_K, in_percent, percent_above, shown_as
from experiments.reporting.comparison import interval
from experiments.reporting.repeats import Repeats
from experiments.reporting.summary import Summary
from experiments.reporting.table import Table


def frontiers(summary: Summary, dataset: str) -> list[Table]:
    """Hold curves against each other over all that the study wants equal; no table where there is nothing to hold."""
    tables = (_frontier(summary, dataset, equal, curves) for equal, curves in summary.study.frontiers)
    return [table for table in tables if table is not None]


def _frontier(summary: Summary, dataset: str, equal: str, named: Mapping[str, Sequence[str]]) -> Table | None:
    """Hold each arm of the first curve against every other curve."""
    over = shown_as(equal)
    (first, ours), *others = ((name, summary.arms_of(dataset, arms)) for name, arms in named.items())
    rows: list[list[object]] = []
    for name, theirs in others:
        for metric, arm in product([name for name in summary.judged_upwards if name != over], ours):
            place, own = arm.mean(over), arm.mean(metric)
            curve = along(theirs, over, metric)
            if place is not None and own is not None and len(curve) > 1:
                places, values = points(curve, over, metric)
                there, within = at_equal_place(place, places, values), None
                if there is not None:
                    line, slope = _line(place, curve, places, values)
                    within = interval(arm, line, metric, over=over, slope=slope)
                row = [arm.arm, name, metric, place, own, there, percent_above(own, there)]
                row += in_percent(there, *(within or (None, None)))
                if over == LIVE_K:
                    fewest = fewest_vectors(own, places, values)
                    row += [fewest, None if fewest is None else 100 * (1 - place / fewest)]
                rows.append(row)
    if not rows:
        return None
    title = f"The frontier on {dataset}: how much higher the arms of '{first}' are than another curve "
    percents = ["higher %", "at least %", "at most %"]
    columns = ["arm", "against", "metric", over, "value", "at equal K" if over == LIVE_K else f"at equal {over}"]
    digits = dict.fromkeys(percents, 1)
    if over != LIVE_K:
        title += f"at equal {over}"
        return Table([*columns, *percents], rows, f"{title}; {_HOW}", digits)
    title += "at equally many vectors a user, and how many fewer it needs for an equal value"
    of_k = ["K at equal value", "fewer %"]
    return Table([*columns, *percents, *of_k], rows, f"{title}; {_HOW}", {**digits, LIVE_K: 2, of_k[0]: 2, of_k[1]: 0})


_HOW = "interpolated along the curve, blank beyond its ends, with a 95 % interval over users"


def along(arms: Sequence[Repeats], over: str, metric: str) -> list[Repeats]:
    """Return the arms that have a place and a value, in order of their places."""
    found = [(place, value, arm) for arm in arms if None not in (place := arm.mean(over), value := arm.mean(metric))]
    return [arm for _, _, arm in sorted(found, key=lambda point: point[:2])]


def points(curve: Sequence[Repeats], over: str, metric: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the place and the value of each arm of a curve."""
    table = np.array([(arm.mean(over), arm.mean(metric)) for arm in curve], np.float64)
    return table[:, 0], table[:, 1]


def at_equal_place(place: float, places: NDArray[np.float64], values: NDArray[np.float64]) -> float | None:
    """Return a curve's value at `place`; None beyond its ends.

    >>> at_equal_place(3.0, np.array([1.0, 2.0, 4.0]), np.array([0.1, 0.2, 0.4]))
    0.3
    >>> at_equal_place(5.0, np.array([1.0, 4.0]), np.array([0.1, 0.4])) is None
    True
    """
    inside = places[0] <= place <= places[-1]
    return round(float(np.interp(place, places, values)), 12) if inside else None


def _line(
    place: float, curve: Sequence[Repeats], places: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[list[tuple[Repeats, float]], float]:
    """The two arms of a curve between which a place lies, how much of its value there is each one's, and the slope."""
    right = min(max(int(np.searchsorted(places, place)), 1), len(curve) - 1)
    gap = float(places[right] - places[right - 1])
    share = float(place - places[right - 1]) / gap if gap > 0 else 0.0
    slope = float(values[right] - values[right - 1]) / gap if gap > 0 else 0.0
    return [(curve[right - 1], 1 - share), (curve[right], share)], slope


def fewest_vectors(value: float, curve_k: NDArray[np.float64], curve: NDArray[np.float64]) -> float | None:
    """Return the least number of vectors with which a curve is at `value` or above; None where it never is.

    >>> fewest_vectors(0.25, np.array([1.0, 2.0, 4.0]), np.array([0.1, 0.3, 0.2]))
    1.75
    >>> fewest_vectors(0.4, np.array([1.0, 2.0]), np.array([0.1, 0.3])) is None
    True
    """
    if curve[0] >= value:
        return float(curve_k[0])
    for i in range(1, len(curve)):
        if curve[i] >= value:
            share = (value - curve[i - 1]) / (curve[i] - curve[i - 1])
            return round(float(curve_k[i - 1] + share * (curve_k[i] - curve_k[i - 1])), 12)
    return None
