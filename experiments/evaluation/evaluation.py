"""What an evaluation found: values per user first, means and standard errors from them.

U users, n places.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

from experiments.evaluation.diagnostics import InterestSummary
from experiments.evaluation.groups import Group
from experiments.evaluation.metrics import definition, subset_definition


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    Attributes:
        users: [U] int64, index of each user in the log, in the order given.
        items: [U, n_max] int32, what was recommended, best first, 0 = nothing.
        per_user: metric -> [U] float64; NaN where the user has no value (no target in the subset, a list too short).
        overall: metrics of all lists together (coverage, tail_coverage, gini).
        groups: means of the main metrics by groups of users.
        live_k: [U] int64, live interests of each user; None for a method without interests.
        interests: summary of the interests; None for a method without.
        seconds: what `extraction` of the interests and `retrieval` by them took for all users together; it depends on
            the machine.
    """

    users: NDArray[np.int64]
    items: NDArray[np.int32]
    per_user: dict[str, NDArray[np.float64]]
    overall: dict[str, float]
    groups: tuple[Group, ...]
    live_k: NDArray[np.int64] | None
    interests: InterestSummary | None
    seconds: dict[str, float] = field(default_factory=dict)

    def means(self) -> dict[str, float]:
        """Return every metric by its full name; one that no user has a value for is absent."""
        count, mean, _ = self._moments
        per_user = zip(self.per_user, count, mean, strict=True)
        return {name: float(m) for name, n, m in per_user if n} | self.overall

    def standard_errors(self) -> dict[str, float]:
        """Return sd / sqrt(n) over the n >= 2 users who have a value, for each metric with a value per user."""
        count, _, error = self._moments
        per_user = zip(self.per_user, count, error, strict=True)
        return {name: float(e) for name, n, e in per_user if n > 1}

    def definitions(self) -> dict[str, str]:
        """Return one line for each family (`recall@n`) and subset (`:novel`) that was measured."""
        lines, subsets = {}, {}
        for name in (*self.per_user, *self.overall):
            family, at, rest = name.partition("@")
            lines[f"{family}@n" if at else family] = definition(family)
            if subset := rest.partition(":")[2]:
                subsets[f":{subset}"] = subset_definition(subset)
        return lines | subsets

    @cached_property
    def _moments(self) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Users with a value, mean and standard error of each metric, in the order of `per_user`."""
        return _moments(np.array([*self.per_user.values()]).reshape(len(self.per_user), len(self.users)))


@njit(cache=True, nogil=True)
def _moments(values: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Count, average and give the standard error of the numbers in each row of `values` [M, U], NaN left out."""
    count = np.zeros(len(values), np.int64)
    mean = np.full(len(values), np.nan)
    error = np.full(len(values), np.nan)
    for m in range(len(values)):
        total = 0.0
        for value in values[m]:
            if not np.isnan(value):
                count[m] += 1
                total += value
        if count[m] > 0:
            mean[m] = total / count[m]
        if count[m] > 1:
            squares = 0.0
            for value in values[m]:
                if not np.isnan(value):
                    squares += (value - mean[m]) ** 2
            error[m] = np.sqrt(squares / (count[m] - 1) / count[m])
    return count, mean, error
