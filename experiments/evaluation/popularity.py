"""How popular are the recommended items, and how much of the catalogue is shown?

U users, N items, n places, Q cutoffs.

`lists` [U, n_max] int32 are the first places in order (score descending, then id ascending), 0 = nothing recommended.
Where a list is shorter than n, means are over the items there are. The long tail is all but the head (`Segments`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def arp(lists: NDArray[np.int32], popularity: NDArray[np.int64], cutoffs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Average recommendation popularity: mean number of training behaviours of the list's items.

    Yin et al. (2012). Returns [Q, U]; NaN for an empty list.

    >>> arp(np.array([[1, 3, 0]], np.int32), np.array([0, 9, 5, 1]), np.array([1, 3]))
    array([[9.],
           [5.]])
    """
    return _running_mean(popularity[lists], lists, cutoffs)


def novelty(
    lists: NDArray[np.int32], self_information: NDArray[np.float64], cutoffs: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Mean self-information of the list's items: log2(training users / training users who have the item), in bits.

    Zhou et al. (2010); an item nobody has in training counts as if one user had it. Returns [Q, U]; NaN for an empty
    list.

    >>> novelty(np.array([[1, 2]], np.int32), np.log2(8 / np.array([1, 8, 2])), np.array([1, 2]))
    array([[0.],
           [1.]])
    """
    return _running_mean(self_information[lists], lists, cutoffs)


def aplt(lists: NDArray[np.int32], in_tail: NDArray[np.bool_], cutoffs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Average percentage of long-tail items: share of the list's items that are in the tail.

    Abdollahpouri et al. (2019). Returns [Q, U]; NaN for an empty list.

    >>> aplt(np.array([[1, 3, 0]], np.int32), np.array([False, False, True, True]), np.array([3]))
    array([[0.5]])
    """
    return _running_mean(in_tail[lists], lists, cutoffs)


def aclt(lists: NDArray[np.int32], in_tail: NDArray[np.bool_], cutoffs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Average coverage of long-tail items: number of the list's items that are in the tail.

    Abdollahpouri et al. (2019). Returns [Q, U]; 0 for an empty list.

    >>> aclt(np.array([[1, 3, 0]], np.int32), np.array([False, False, True, True]), np.array([3]))
    array([[1.]])
    """
    return _running_sum(in_tail[lists], cutoffs)


def exposures(lists: NDArray[np.int32], n_items: int, cutoffs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count in how many users' first n places each item stands, [Q, N + 1] int64; entry 0 (no item) is 0."""
    starts = [0, *cutoffs[:-1]]
    parts = [lists[:, start:end].ravel() for start, end in zip(starts, cutoffs, strict=True)]
    counts = np.cumsum([np.bincount(part, minlength=n_items + 1) for part in parts], axis=0)
    counts[:, 0] = 0
    return counts


def coverage(exposure: NDArray[np.int64], member: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of the catalogue's items that are recommended to at least one user.

    Args:
        exposure: [Q, N + 1] counts from `exposures`.
        member: [N + 1] the items that count; False at 0.

    Returns:
        [Q]; NaN where no item counts.

    >>> coverage(np.array([[0, 2, 0, 1, 0]]), np.array([False, True, True, True, True]))
    array([0.5])
    """
    n_members = int(member.sum())
    return (exposure[:, member] > 0).sum(-1) / n_members if n_members else np.full(len(exposure), np.nan)


def tail_coverage(exposure: NDArray[np.int64], in_tail: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of the long tail's items that are recommended to at least one user.

    >>> tail_coverage(np.array([[0, 2, 0, 1, 0]]), np.array([False, False, False, True, True]))
    array([0.5])
    """
    return coverage(exposure, in_tail)


def gini(exposure: NDArray[np.int64]) -> NDArray[np.float64]:
    """Gini coefficient of exposure over all N items: 0 = all shown equally often, towards 1 = one item takes all.

    sum over i of (2i - N - 1) x_i / (N sum x), the x ascending, items never shown included. Returns [Q]; NaN where
    nothing is shown.

    >>> gini(np.array([[0, 3, 0, 1], [0, 2, 2, 2]])).round(3)
    array([0.5, 0.   ])
    """
    shown = np.sort(exposure[:, 1:], axis=-1)  # [Q, N]
    n_items = shown.shape[1]
    total = shown.sum(-1)
    weight = 2 * np.arange(1, n_items + 1) - n_items - 1
    with np.errstate(invalid="ignore"):
        coefficient: NDArray[np.float64] = (shown @ weight) / (n_items * total)
    return coefficient


def _running_sum(values: NDArray[np.generic], cutoffs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum `values` [U, n_max] over the first n places of each cutoff, [Q, U] float64."""
    starts = np.concatenate([[0], cutoffs[:-1]])
    parts = [values[:, start:end].sum(-1, dtype=np.float64) for start, end in zip(starts, cutoffs, strict=True)]
    return np.cumsum(parts, axis=0)


def _running_mean(
    values: NDArray[np.generic], lists: NDArray[np.int32], cutoffs: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Average `values` [U, n_max] over the items among the first n places, [Q, U]; NaN where there is none."""
    listed = lists > 0
    with np.errstate(invalid="ignore"):
        return _running_sum(values * listed, cutoffs) / _running_sum(listed, cutoffs)
