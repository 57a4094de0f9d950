"""Do the targets that were found serve many interests, or one of them over and over?

U users, N items, n places, Q cutoffs, C categories.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from experiments.evaluation.context import Rows
from experiments.evaluation.ranks import TargetRanks


def alpha_ndcg(
    lists: NDArray[np.int32], targets: TargetRanks, categories: Rows, alpha: float, cutoffs: NDArray[np.int64]
) -> NDArray[np.float64]:
    """nDCG where a target's gain is the sum over its categories of (1 - alpha)^(earlier targets of that category).

    Clarke et al. (2008), categories as the subtopics ("nuggets") and targets as the relevant documents: every category
    of a target pays 1 at first and (1 - alpha) times as much each time it returns; items that are no target gain
    nothing. The ideal list is built greedily from the user's targets, first come first on equal gains, as in the
    paper; greedy is not always best, so values above 1 are possible in rare cases. Ties in the list are taken in its
    order; items without a category are left out.

    Args:
        lists: [U, n_max].
        targets: the users' distinct targets; their ranks are not used.
        categories: the categories of each item, N + 1 rows.
        alpha: in 0..1; 0 ignores repetition.
        cutoffs: [Q] ascending.

    Returns:
        [Q, U]; NaN for a user without a target that has a category.

    >>> categories = Rows(np.array([0, 0, 1], np.int32), np.array([0, 0, 1, 2, 3]), 2)  # items 1 and 2: {0}, 3: {1}
    >>> targets = TargetRanks(np.array([1, 2, 3], np.int32), np.array([0, 3]), np.ones(3, bool), np.ones(3), 3)
    >>> alpha_ndcg(np.array([[1, 2]], np.int32), targets, categories, 0.5, np.array([2])).round(3)  # 1.315 / 1.631
    array([[0.807]])
    """
    return _alpha_ndcg(
        lists,
        targets.items,
        targets.offsets,
        categories.values,
        categories.offsets,
        categories.n_values,
        alpha,
        cutoffs,
    )


@njit(cache=True, nogil=True)
def _alpha_ndcg(
    lists: NDArray[np.int32],
    target_items: NDArray[np.int32],
    target_offsets: NDArray[np.int64],
    categories: NDArray[np.int32],
    offsets: NDArray[np.int64],
    n_categories: int,
    alpha: float,
    cutoffs: NDArray[np.int64],
) -> NDArray[np.float64]:
    values = np.full((len(cutoffs), len(lists)), np.nan)
    worth = np.ones(n_categories)  # what each category still pays
    target_of = np.full(len(offsets), -1)  # the last user of whom the item is a target
    for row in range(len(lists)):
        left = target_items[target_offsets[row] : target_offsets[row + 1]].copy()
        n_left = 0
        for item in left:
            target_of[item] = row
            if offsets[item + 1] > offsets[item]:
                left[n_left] = item
                n_left += 1
        if n_left == 0:
            continue
        targets = left[:n_left].copy()

        place = 0
        gained = 0.0
        for q in range(len(cutoffs)):
            while place < cutoffs[q] and lists[row, place] > 0:
                item = lists[row, place]
                if target_of[item] == row:
                    gained += _take(categories[offsets[item] : offsets[item + 1]], worth, alpha) / np.log2(2 + place)
                place += 1
            values[q, row] = gained
        _forget(targets, categories, offsets, worth)

        place = 0
        ideal = 0.0
        for q in range(len(cutoffs)):
            while place < cutoffs[q] and n_left:
                best, most = 0, -1.0
                for t in range(n_left):
                    gain = 0.0
                    for category in categories[offsets[left[t]] : offsets[left[t] + 1]]:
                        gain += worth[category]
                    if gain > most:
                        best, most = t, gain
                item = left[best]
                ideal += _take(categories[offsets[item] : offsets[item + 1]], worth, alpha) / np.log2(2 + place)
                left[best : n_left - 1] = left[best + 1 : n_left].copy()
                n_left -= 1
                place += 1
            values[q, row] /= ideal
        _forget(targets, categories, offsets, worth)
    return values


@njit(cache=True, nogil=True)
def _take(categories: NDArray[np.int32], worth: NDArray[np.float64], alpha: float) -> float:
    """Collect what an item's categories pay, and lower their worth."""
    gain = 0.0
    for category in categories:
        gain += worth[category]
        worth[category] *= 1 - alpha
    return gain


@njit(cache=True, nogil=True)
def _forget(
    items: NDArray[np.int32], categories: NDArray[np.int32], offsets: NDArray[np.int64], worth: NDArray[np.float64]
) -> None:
    """Restore the worth of all categories of `items`."""
    for item in items:
        for category in categories[offsets[item] : offsets[item + 1]]:
            worth[category] = 1.0
