"""Is one curve above another where users have equally many vectors, or where accuracy is equal?

A curve's arms are points (what is equal, metric). Whoever may choose among them takes none that costs more than
another and has less, so a curve is worth at each place the best that it has at no more cost: no more vectors, or no
less accuracy. Between two of the points that are left lies a straight line; where a curve has nothing so cheap it is
nothing, and nothing is extrapolated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.reporting.columns import LIVE_K, better, in_percent, percent_above, shown_as, stored_as
from experiments.reporting.repeats import N_RESAMPLES, Repeats, require_same_users
from experiments.reporting.summary import Summary
from experiments.reporting.table import Table

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Envelope:
    """The best that a curve's P points have at no more cost than each place, in R resamples or as measured (R = 1).

    Attributes:
        cost: [R, P], ascending.
        best: [R, P], never falling. Who costs no less than another and has no more lies where that one does.
    """

    cost: Values
    best: Values

    @classmethod
    def of(cls, cost: Values, value: Values) -> Envelope:
        """Make it of points in any order, cost and value [R, P]."""
        order = np.lexsort((-value, cost))
        cost, value = np.take_along_axis(cost, order, 1), np.take_along_axis(value, order, 1)
        kept = np.ones(value.shape, bool)
        kept[:, 1:] = value[:, 1:] > np.maximum.accumulate(value, axis=1)[:, :-1]
        last = np.maximum.accumulate(np.where(kept, np.arange(value.shape[1]), 0), axis=1)
        return cls(np.take_along_axis(cost, last, 1), np.take_along_axis(value, last, 1))

    def at(self, cost: Values) -> Values:
        """Return the best at no more than a cost [R], [R]; what the cheapest point has where nothing is so cheap.

        >>> curve = Envelope.of(np.array([[4.0, 1.0, 2.0]]), np.array([[0.1, 0.2, 0.4]]))
        >>> [round(float(curve.at(np.array([place]))[0]), 3) for place in (0.5, 1.5, 2.0, 9.0)]
        [0.2, 0.3, 0.4, 0.4]
        """
        last = self.cost.shape[1] - 1
        left = np.clip((self.cost <= cost[:, None]).sum(1) - 1, 0, last)[:, None]
        right = np.minimum(left + 1, last)
        x, x_2 = (np.take_along_axis(self.cost, place, 1)[:, 0] for place in (left, right))
        y, y_2 = (np.take_along_axis(self.best, place, 1)[:, 0] for place in (left, right))
        gap = np.where(x_2 > x, x_2 - x, 1.0)
        return np.asarray(y + (y_2 - y) * np.clip((cost - x) / gap, 0.0, 1.0))

    def cheapest(self, value: float) -> float | None:
        """Return the least cost at which the measured curve has `value`; None where it never has.

        >>> curve = Envelope.of(np.array([[1.0, 2.0, 4.0]]), np.array([[0.1, 0.3, 0.2]]))
        >>> curve.cheapest(0.25), curve.cheapest(0.4)
        (1.75, None)
        """
        cost, best = self.cost[0], self.best[0]
        if best[-1] < value:
            return None
        right = int((best >= value).argmax())
        if right == 0:
            return float(cost[0])
        share = (value - best[right - 1]) / (best[right] - best[right - 1])
        return round(float(cost[right - 1] + share * (cost[right] - cost[right - 1])), 12)


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
        for metric in (metric for metric in summary.judged_upwards if metric != over):
            curve = _Curve.of(theirs, over, metric)
            if curve is not None:
                rows += [[arm.arm, name, *row] for arm in ours if (row := curve.against(arm))]
    if not rows:
        return None
    title = f"The frontier on {dataset}: how much higher the arms of '{first}' are than the best of another curve "
    percents = ["higher %", "at least %", "at most %"]
    columns = ["arm", "against", "metric", over, "value", "with no more K" if over == LIVE_K else f"at no less {over}"]
    digits = dict.fromkeys(percents, 1)
    if over != LIVE_K:
        title += f"at no less {over}"
        return Table([*columns, *percents], rows, f"{title}; {_HOW}", digits)
    title += "with no more vectors a user, and how many fewer it needs for an equal value"
    of_k = ["K at equal value", "fewer %"]
    return Table([*columns, *percents, *of_k], rows, f"{title}; {_HOW}", {**digits, LIVE_K: 2, of_k[0]: 2, of_k[1]: 0})


_HOW = (
    "interpolated between a curve's points, blank where it has none so good, with a 95 % interval over users and "
    "seeds, each row by itself"
)


@dataclass(frozen=True)
class _Curve:
    """Arms of which the best is taken, as measured and resampled.

    Attributes:
        over: what is equal; metric: what is compared.
        measured: of the arms' means.
        resampled: of their resampled means; None for a metric without values per user.
        users: whose users they were tested on.
    """

    over: str
    metric: str
    measured: Envelope
    resampled: Envelope | None
    users: Repeats

    @classmethod
    def of(cls, arms: Sequence[Repeats], over: str, metric: str) -> _Curve | None:
        """Make it of the arms that have a place and a value; None of less than two."""
        arms = [arm for arm in arms if None not in (arm.mean(over), arm.mean(metric))]
        if len(arms) < 2:
            return None
        sign = _sign(over)
        places, values = ([[arm.mean(name) for arm in arms]] for name in (over, metric))
        measured = Envelope.of(sign * np.array(places, np.float64), np.array(values, np.float64))
        for arm in arms[1:]:
            require_same_users(arms[0], arm)
        drawn = [arm.resampled(metric) for arm in arms]
        known = [values for values in drawn if values is not None]
        resampled = None
        if len(known) == len(arms):
            costs = [sign * _places(arm, over) for arm in arms]
            resampled = Envelope.of(np.stack(costs, 1), np.stack(known, 1))
        return cls(over, metric, measured, resampled, arms[0])

    def against(self, arm: Repeats) -> list[object] | None:
        """Hold an arm against the curve: the row of the table; None where the arm has no place or no value."""
        place, own = arm.mean(self.over), arm.mean(self.metric)
        if place is None or own is None:
            return None
        from experiments.evaluation.significance import percentile_interval

        cost, there = _sign(self.over) * place, None
        within: Sequence[float | None] = (None, None)
        if self.measured.cost[0, 0] <= cost:
            there = round(float(self.measured.at(np.array([cost]))[0]), 12)
            require_same_users(arm, self.users)
            values = arm.resampled(self.metric)
            if self.resampled is not None and values is not None:
                costs = _sign(self.over) * _places(arm, self.over)
                within = percentile_interval(values - self.resampled.at(costs))
        row: list[object] = [self.metric, place, own, there, percent_above(own, there), *in_percent(there, *within)]
        if self.over == LIVE_K:
            fewest = self.measured.cheapest(own)
            row += [fewest, None if fewest is None else 100 * (1 - place / fewest)]
        return row


def _sign(over: str) -> float:
    """1 where more of what is equal costs more, as of vectors; -1 where more of it is better."""
    return -float(better(over)) or 1.0


def _places(arm: Repeats, over: str) -> Values:
    """An arm's place in every resample, [R]: as measured, where it has no value per user."""
    drawn = arm.resampled(stored_as(over))
    return np.full(N_RESAMPLES, arm.mean(over), np.float64) if drawn is None else drawn
