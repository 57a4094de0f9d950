"""How different are the items within one list?

U users, N items, n places, Q cutoffs, C categories.

Each metric is one pass over a user's list, read off at every cutoff. `lists` [U, n_max] int32 are the first places in
order (score descending, then id ascending), 0 = nothing recommended; a list shorter than n is taken as it is.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from experiments.evaluation.context import Rows


def ild(lists: NDArray[np.int32], item_users: Rows, cutoffs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Intra-list distance: mean over pairs of the list's items of 1 - cosine of their sets of training users.

    Ziegler et al. (2005). The cosine is that of the items' binary vectors over training users; an item without training
    users is at distance 1 from every other. The pairs are never visited: an item's cosines with all before it sum to
    its product with the sum of their vectors.

    Args:
        lists: [U, n_max].
        item_users: the distinct training users of each item, N + 1 rows.
        cutoffs: [Q] ascending.

    Returns:
        [Q, U]; NaN for a list of fewer than two items.

    >>> users = Rows(np.array([0, 1, 0, 1, 2, 3], np.int32), np.array([0, 0, 2, 4, 5]), 4)  # of items 1, 2, 3
    >>> ild(np.array([[1, 2, 3]], np.int32), users, np.array([2, 3])).round(3)
    array([[0. ],
           [0.667]])
    """
    return _ild(lists, item_users.values, item_users.offsets, item_users.n_values, cutoffs)


@njit(cache=True, nogil=True)
def _ild(
    lists: NDArray[np.int32],
    users: NDArray[np.int32],
    offsets: NDArray[np.int64],
    n_users: int,
    cutoffs: NDArray[np.int64],
) -> NDArray[np.float64]:
    values = np.full((len(cutoffs), len(lists)), np.nan)
    total = np.zeros(n_users)  # sum of the unit vectors of the items so far
    for row in range(len(lists)):
        place = 0
        touched = 0
        cosines = 0.0
        for q in range(len(cutoffs)):
            while place < cutoffs[q] and lists[row, place] > 0:
                item = lists[row, place]
                owners = users[offsets[item] : offsets[item + 1]]
                if len(owners):
                    weight = 1 / np.sqrt(len(owners))
                    touched += len(owners)
                    product = 0.0
                    for user in owners:
                        product += total[user]
                        total[user] += weight
                    cosines += weight * product
                place += 1
            if place > 1:
                values[q, row] = 1 - cosines / (place * (place - 1) / 2)
        if touched > n_users // 8:  # clearing everything in order is faster than many places at random
            total[:] = 0.0
        else:
            for item in lists[row, :place]:
                for user in users[offsets[item] : offsets[item + 1]]:
                    total[user] = 0.0
    return values


def div(lists: NDArray[np.int32], categories: Rows, cutoffs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Category diversity Div@n: mean over pairs of the list's items of 1 - Jaccard similarity of their categories.

    With one category an item it is ComiRec's diversity (Cen et al. 2020, section 4.4): the share of pairs of different
    categories. Items without a category are left out. Pairs that share no category are never visited.

    Args:
        lists: [U, n_max].
        categories: the categories of each item, N + 1 rows.
        cutoffs: [Q] ascending.

    Returns:
        [Q, U]; NaN for a list of fewer than two items with a category.

    >>> categories = Rows(np.array([0, 1, 0, 1], np.int32), np.array([0, 0, 2, 3, 4]), 2)  # {0, 1}, {0}, {1}
    >>> div(np.array([[1, 2, 3]], np.int32), categories, np.array([2, 3])).round(3)
    array([[0.5 ],
           [0.667]])
    """
    return _div(lists, categories.values, categories.offsets, categories.n_values, cutoffs)


@njit(cache=True, nogil=True)
def _div(
    lists: NDArray[np.int32],
    categories: NDArray[np.int32],
    offsets: NDArray[np.int64],
    n_categories: int,
    cutoffs: NDArray[np.int64],
) -> NDArray[np.float64]:
    width = lists.shape[1]
    values = np.full((len(cutoffs), len(lists)), np.nan)
    carriers = np.empty((n_categories, width), np.int32)  # which of the items so far have the category
    n_carriers = np.zeros(n_categories, np.int64)
    sizes = np.empty(width, np.int64)  # number of categories of each item so far
    common = np.zeros(width, np.int64)  # number of them that the item at hand shares
    alike = np.empty(width, np.int64)  # the items so far that share any; the other pairs are never visited
    for row in range(len(lists)):
        place = 0
        n_kept = 0
        similarity = 0.0
        for q in range(len(cutoffs)):
            while place < cutoffs[q] and lists[row, place] > 0:
                item = lists[row, place]
                own = categories[offsets[item] : offsets[item + 1]]
                place += 1
                if len(own) == 0:
                    continue
                n_alike = 0
                for category in own:
                    for other in carriers[category, : n_carriers[category]]:
                        if common[other] == 0:
                            alike[n_alike] = other
                            n_alike += 1
                        common[other] += 1
                    carriers[category, n_carriers[category]] = n_kept
                    n_carriers[category] += 1
                for other in alike[:n_alike]:
                    similarity += common[other] / (len(own) + sizes[other] - common[other])
                    common[other] = 0
                sizes[n_kept] = len(own)
                n_kept += 1
            if n_kept > 1:
                values[q, row] = 1 - similarity / (n_kept * (n_kept - 1) / 2)
        for item in lists[row, :place]:
            for category in categories[offsets[item] : offsets[item + 1]]:
                n_carriers[category] = 0
    return values
