"""Is a difference more than the luck of who was in the test set?

U users (pairs), S seeds, R random repetitions, M metrics. The same values give the same numbers, whatever was drawn
before.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from baselines.errors import BadInput

_CELLS = 1 << 21
"""Random numbers that the bootstrap holds at once: bounds its memory to some 32 MiB, whatever U and R."""

_SIGNS = 1.0 - 2.0 * ((np.arange(256) >> np.arange(8)[:, None]) & 1)  # [8, 256]: the bits of each byte as signs


def sign_flip_test(differences: NDArray[np.float64], n_permutations: int, rng: Generator) -> float:
    """Return the two-sided p-value of "the sign of each user's difference is a coin toss".

    The paired permutation test of Fisher (1935): p is the share of all ways of flipping signs whose mean is at least as
    far from 0 as the observed one. All ways are counted where they are no more than `n_permutations`; else as many are
    drawn, and p = (1 + those as far) / (1 + drawn), which is never 0 and keeps the test valid (Phipson and Smyth 2010).
    Differences of 0 change nothing and are skipped, so the exact test is reached more often.

    Args:
        differences: [U] one arm's metric minus the other's, same users; NaN (no value in either) is dropped.
        n_permutations: 10,000 resolves p = .0001.
        rng: used only where the flips are drawn.

    Returns:
        p in (0, 1]; 1 where no difference is left.

    Raises:
        BadInput: `n_permutations` below 1.

    >>> sign_flip_test(np.array([1.0, 2, 3, np.nan]), 10_000, np.random.default_rng(0))  # 2 of 8: all plus, all minus
    0.25
    """
    if n_permutations < 1:
        raise BadInput(f"n_permutations must be at least 1, got {n_permutations}")
    d = differences[~np.isnan(differences) & (differences != 0)]
    if not len(d):
        return 1.0
    observed = abs(d.sum()) - 1e-12 * np.abs(d).sum()  # sums equal in exact arithmetic must count as equal
    exact = len(d) < 63 and 2 ** len(d) <= n_permutations
    if exact:
        sums = np.zeros(1)  # under all signs of the users so far
        for difference in d:
            sums = np.concatenate([sums + difference, sums - difference])
        return float((np.abs(sums) >= observed).mean())
    eights = np.concatenate([d, np.zeros(-len(d) % 8)]).reshape(-1, 8)
    sums = np.zeros(n_permutations)  # under drawn signs, [R]
    for table in eights @ _SIGNS:  # [256]: eight users' sum under each of their signs; a byte draws one
        sums += table[rng.integers(0, 256, n_permutations, dtype=np.uint8)]
    return (1 + int((np.abs(sums) >= observed).sum())) / (1 + n_permutations)


def resampled_means(values: NDArray[np.float64], n_resamples: int) -> NDArray[np.float64]:
    """Return the mean of a metric over users and seeds that are drawn with replacement (bootstrap, Efron 1979).

    Which are drawn depends on U, S and R alone. So two arms on the same users are resampled alike, and the differences
    of their means are of pairs.

    Args:
        values: [U, S] of U users with S seeds; NaN where undefined.
        n_resamples: R.

    Returns:
        [R]; NaN where a resample has no value.

    Raises:
        BadInput: R below 1.

    >>> resampled_means(np.array([[0.5], [0.5], [np.nan]]), 3)
    array([0.5, 0.5, 0.5])
    """
    if n_resamples < 1:
        raise BadInput(f"n_resamples must be at least 1, got {n_resamples}")
    U, S = values.shape
    times, defined = _times_drawn(U, n_resamples), np.isfinite(values)
    known, means = np.where(defined, values, 0.0), np.empty((n_resamples, S))
    for start in range(0, n_resamples, step := max(1, _CELLS // max(U, 1))):
        drawn = times[start : start + step].astype(np.float64)  # [rows, U]
        with np.errstate(invalid="ignore"):
            means[start : start + step] = (drawn @ known) / (drawn @ defined)
    seeds = np.random.default_rng([U, S]).integers(0, S, (n_resamples, S))
    return np.asarray(np.take_along_axis(means, seeds, 1).mean(1))


@lru_cache(maxsize=4)
def _times_drawn(n_users: int, n_resamples: int) -> NDArray[np.uint8]:
    """How often each resample draws each user, [R, U]."""
    rng = np.random.default_rng(n_users)
    times = np.empty((n_resamples, n_users), np.uint8)
    for row in times:
        row[:] = np.bincount(rng.integers(0, n_users, n_users), minlength=n_users)
    return times


def percentile_interval(means: NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """Return the bounds (low, high) between which a share `level` of resampled values [R] lies.

    Raises:
        BadInput: a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise BadInput(f"level must be in (0, 1), got {level}")
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjust p-values [M] for M simultaneous tests by Holm's step-down method (1979).

    The i-th smallest (from 0) becomes (M - i) p, at least as large as those before it and at most 1: rejecting where
    the result is below a level keeps the chance of any false rejection below that level.

    >>> holm(np.array([0.01, 0.04, 0.03]))
    array([0.03, 0.06, 0.06])
    """
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return adjusted
