"""Means of arms over users and seeds, resampled: what the interval of a number takes that is made of several arms.

R resamples, U users of a dataset, S seeds of an arm.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.reporting.columns import stored_as
from experiments.reporting.comparison import N_RESAMPLES
from experiments.reporting.repeats import Repeats, require_same_users

_SEED = 0


class Resampling:
    """Draws of users, the same for all arms of a dataset, and of seeds, the same for all arms with as many.

    Args:
        arm: any arm of the dataset: whose users are drawn.
    """

    def __init__(self, arm: Repeats) -> None:
        self.arm = arm
        n_users = len(arm.users)
        drawn = np.random.default_rng(_SEED).integers(0, n_users, (N_RESAMPLES, n_users))
        counts = [np.bincount(of_one, minlength=n_users) for of_one in drawn]
        self._times = np.array(counts, np.float32)  # [R, U] how often each is drawn
        self._means: dict[tuple[str, str], NDArray[np.float64] | None] = {}

    def means(self, arm: Repeats, metric: str) -> NDArray[np.float64] | None:
        """Return the mean of a metric in every resample, [R]; None for a metric that has no value per user.

        Raises:
            BadInput: the arm was tested on other users.
        """
        require_same_users(arm, self.arm)
        key = arm.arm, metric
        if key not in self._means:
            seeds = [arm.of_seed(stored_as(metric), place) for place in range(len(arm.runs))]
            known = [values for values in seeds if values is not None]
            self._means[key] = self._resampled(known) if len(known) == len(seeds) else None
        return self._means[key]

    def _resampled(self, seeds: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        values = np.array(seeds, np.float32).T  # [U, S], NaN where undefined
        defined = np.isfinite(values)
        total = self._times @ np.where(defined, values, np.float32(0))  # [R, S]
        means = total.astype(np.float64) / np.maximum(self._times @ defined.astype(np.float32), 1)
        S = len(seeds)
        drawn = np.random.default_rng([_SEED, S]).integers(0, S, (N_RESAMPLES, S))
        return np.asarray(np.take_along_axis(means, drawn, 1).mean(1))


def interval(differences: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % percentile interval of resampled differences [R]."""
    low, high = np.quantile(differences, [0.025, 0.975])
    return float(low), float(high)
