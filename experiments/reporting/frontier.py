"""Is one curve above another where users have equally many vectors, and with how many fewer is it as high?

A curve's arms are points (mean live K, metric); between two neighbours it is a straight line, and outside its points it
is nothing: no value is extrapolated.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from experiments.reporting.columns import LIVE_K, better, percent_above
from experiments.reporting.repeats import Repeats
from experiments.reporting.summary import Summary
from experiments.reporting.table import Table


def frontier(summary: Summary, dataset: str) -> Table | None:
    """Hold each arm of the study's first curve against every other curve; None where there is nothing to hold."""
    run = {arm.arm: arm for arm in summary.datasets[dataset]}
    curves = {name: [run[arm] for arm in arms if arm in run] for name, arms in summary.study.frontier.items()}
    metrics = [name for name in summary.study.judged_by if name in summary.metrics and better(name) > 0]
    rows: list[list[object]] = []
    for (first, ours), (name, theirs) in product(list(curves.items())[:1], list(curves.items())[1:]):
        for metric, arm in product(metrics, ours):
            own_k, own = arm.mean(LIVE_K), arm.mean(metric)
            k, values = points(theirs, metric)
            if own_k is not None and own is not None and len(k) > 1:
                equal = at_equal_vectors(own_k, k, values)
                fewest = fewest_vectors(own, k, values)
                higher = percent_above(own, equal)
                fewer = None if fewest is None else 100 * (1 - own_k / fewest)
                rows.append([f"{first}: {arm.arm}", name, metric, own_k, own, equal, higher, fewest, fewer])
    if not rows:
        return None
    columns = ["arm", "against", "metric", LIVE_K, "value", "at equal K", "higher %", "K at equal value", "fewer %"]
    title = (
        f"The frontier on {dataset}: how much higher an arm is than the other curve at equally many vectors a user, "
    )
    title += "and how many fewer it needs for an equal value; interpolated along the curve, blank beyond its ends"
    return Table(columns, rows, title, {LIVE_K: 2, "higher %": 1, columns[7]: 2, "fewer %": 0})


def points(arms: Sequence[Repeats], metric: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return live K and the metric of the arms that have both, in order of live K."""
    found = [(k, value) for arm in arms if None not in (k := arm.mean(LIVE_K), value := arm.mean(metric))]
    table = np.array(sorted(found), np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def at_equal_vectors(k: float, curve_k: NDArray[np.float64], curve: NDArray[np.float64]) -> float | None:
    """Return a curve's value at `k`; None beyond its ends.

    >>> at_equal_vectors(3.0, np.array([1.0, 2.0, 4.0]), np.array([0.1, 0.2, 0.4]))
    0.3
    >>> at_equal_vectors(5.0, np.array([1.0, 4.0]), np.array([0.1, 0.4])) is None
    True
    """
    inside = curve_k[0] <= k <= curve_k[-1]
    return round(float(np.interp(k, curve_k, curve)), 12) if inside else None


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
            along = (value - curve[i - 1]) / (curve[i] - curve[i - 1])
            return round(float(curve_k[i - 1] + along * (curve_k[i] - curve_k[i - 1])), 12)
    return None
