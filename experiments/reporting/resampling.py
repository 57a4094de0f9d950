"""Means of arms over users and seeds, resampled: what the interval of a number takes that is made of several arms.

R resamples, U users of a dataset, S seeds of an arm.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from baselines.errors import BadInput
from experiments.reporting.columns import stored_as
from experiments.reporting.repeats import Repeats

N_RESAMPLES = 1_000
_SEED = 0


class Resampling:
    """Draws of users, the same for all arms of a dataset, and of seeds, the same for all arms with as many.

    Args:
        users: ids of the test users, ascending, [U].
    """

    def __init__(self, users: NDArray[np.str_]) -> None:
        self.users = users
        rng = np.random.default_rng(_SEED)
        drawn = rng.integers(0, len(users), (N_RESAMPLES, len(users)))
        counts = [np.bincount(of_one, minlength=len(users)) for of_one in drawn]
        self._times = np.array(counts, np.float32)  # [R, U] how often each is drawn
        self._means: dict[tuple[str, str], NDArray[np.float64] | None] = {}

    def means(self, arm: Repeats, metric: str) -> NDArray[np.float64] | None:
        """Return the mean of a metric in every resample, [R]; None for a metric that has no value per user.

        Raises:
            BadInput: the arm was tested on other users.
        """
        if not np.array_equal(arm.users, self.users):
            raise BadInput(
                f"arm '{arm.arm}' on '{arm.dataset}' was tested on other users than the arms it is held against: run "
                "them with the same split"
            )
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
