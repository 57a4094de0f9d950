"""Does a list serve all the interests that a user's history shows, in their proportion?

U users, n places, Q cutoffs, C categories.

A history is the user's full one. An item spreads its unit mass equally over its categories (Steck 2018, p(g | i) =
1 / number of genres); items without a category are left out of list and history alike.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse

from baselines.sequences import Sequences
from experiments.evaluation.context import Rows


def interest_coverage(
    lists: NDArray[np.int32], histories: Sequences, categories: Rows, cutoffs: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Share of the categories in the user's history that occur among the first n places.

    Args:
        lists: [U, n_max], 0 = nothing recommended.
        histories: of the U users.
        categories: the categories of each item, N + 1 rows.
        cutoffs: [Q] ascending.

    Returns:
        [Q, U]; NaN for a user whose history has no category.

    >>> categories = Rows(np.array([0, 1, 0], np.int32), np.array([0, 0, 1, 2, 3]), 2)  # items 1: {0}, 2: {1}, 3: {0}
    >>> history = Sequences(np.array([1, 1, 2], np.int32), np.array([0, 3]), 3)
    >>> interest_coverage(np.array([[3, 2]], np.int32), history, categories, np.array([1, 2]))
    array([[0.5],
           [1. ]])
    """
    return _interest_coverage(
        lists,
        histories.items,
        histories.offsets,
        categories.values,
        categories.offsets,
        categories.n_values,
        cutoffs,
    )


def held_out_coverage(
    lists: NDArray[np.int32], targets: Sequences, categories: Rows, cutoffs: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Share of the categories of the user's targets, which the history need not show, that occur among the first n.

    Args:
        lists: [U, n_max], 0 = nothing recommended.
        targets: of the U users.
        categories: the categories of each item, N + 1 rows.
        cutoffs: [Q] ascending.

    Returns:
        [Q, U]; NaN for a user whose targets have no category.

    >>> categories = Rows(np.array([0, 1, 0], np.int32), np.array([0, 0, 1, 2, 3]), 2)  # items 1: {0}, 2: {1}, 3: {0}
    >>> targets = Sequences(np.array([2], np.int32), np.array([0, 1]), 3)
    >>> held_out_coverage(np.array([[3, 2]], np.int32), targets, categories, np.array([1, 2]))
    array([[0.],
           [1.]])
    """
    return interest_coverage(lists, targets, categories, cutoffs)


@njit(cache=True, nogil=True)
def _interest_coverage(
    lists: NDArray[np.int32],
    history_items: NDArray[np.int32],
    history_offsets: NDArray[np.int64],
    categories: NDArray[np.int32],
    offsets: NDArray[np.int64],
    n_categories: int,
    cutoffs: NDArray[np.int64],
) -> NDArray[np.float64]:
    values = np.full((len(cutoffs), len(lists)), np.nan)
    awaited_by = np.full(n_categories, -1)  # the last user whose history has the category, until the list shows it
    for row in range(len(lists)):
        n_awaited = 0
        for item in history_items[history_offsets[row] : history_offsets[row + 1]]:
            for category in categories[offsets[item] : offsets[item + 1]]:
                n_awaited += awaited_by[category] != row
                awaited_by[category] = row
        if n_awaited == 0:
            continue
        place = 0
        n_met = 0
        for q in range(len(cutoffs)):
            while place < cutoffs[q] and lists[row, place] > 0:
                item = lists[row, place]
                for category in categories[offsets[item] : offsets[item + 1]]:
                    if awaited_by[category] == row:
                        awaited_by[category] = -1
                        n_met += 1
                place += 1
            values[q, row] = n_met / n_awaited
    return values


def exposure_deviation(
    lists: NDArray[np.int32], histories: Sequences, categories: Rows, cutoffs: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Total variation distance between the category distributions of the list and of the history, 0..1.

    1/2 sum over categories of |p - q|; p and q are mean category masses of the history's behaviours (repeats count)
    and of the list's items, equally weighted.

    Args and example as for `interest_coverage`.

    Returns:
        [Q, U]; NaN for a user whose history or list has no category.

    >>> categories = Rows(np.array([0, 1, 0], np.int32), np.array([0, 0, 1, 2, 3]), 2)
    >>> history = Sequences(np.array([1, 1, 2], np.int32), np.array([0, 3]), 3)
    >>> exposure_deviation(np.array([[3, 2]], np.int32), history, categories, np.array([1, 2])).round(3)
    array([[0.333],
           [0.167]])
    """
    return _exposure_deviation(
        lists,
        histories.items,
        histories.offsets,
        categories.values,
        categories.offsets,
        categories.n_values,
        cutoffs,
    )


@njit(cache=True, nogil=True)
def _exposure_deviation(
    lists: NDArray[np.int32],
    history_items: NDArray[np.int32],
    history_offsets: NDArray[np.int64],
    categories: NDArray[np.int32],
    offsets: NDArray[np.int64],
    n_categories: int,
    cutoffs: NDArray[np.int64],
) -> NDArray[np.float64]:
    values = np.full((len(cutoffs), len(lists)), np.nan)
    liked = np.zeros(n_categories)  # mass in the history, and below in the list, not yet divided by the total
    shown = np.zeros(n_categories)
    theirs = np.empty(n_categories, np.int32)  # the categories of the history
    for row in range(len(lists)):
        n_theirs = 0
        n_liked = 0
        for item in history_items[history_offsets[row] : history_offsets[row + 1]]:
            own = categories[offsets[item] : offsets[item + 1]]
            for category in own:
                if liked[category] == 0:
                    theirs[n_theirs] = category
                    n_theirs += 1
                liked[category] += 1 / len(own)
            n_liked += len(own) > 0
        if n_liked == 0:
            continue
        place = 0
        n_shown = 0
        for q in range(len(cutoffs)):
            while place < cutoffs[q] and lists[row, place] > 0:
                item = lists[row, place]
                own = categories[offsets[item] : offsets[item + 1]]
                for category in own:
                    shown[category] += 1 / len(own)
                n_shown += len(own) > 0
                place += 1
            if n_shown > 0:
                common = 0.0
                for category in theirs[:n_theirs]:
                    common += min(liked[category] / n_liked, shown[category] / n_shown)
                values[q, row] = 1 - common  # the sum of |p - q| is 2 - 2 * the sum of min(p, q)
        for item in lists[row, :place]:
            for category in categories[offsets[item] : offsets[item + 1]]:
                shown[category] = 0.0
        for category in theirs[:n_theirs]:
            liked[category] = 0.0
    return values


def category_entropy(histories: Sequences, categories: Rows) -> NDArray[np.float64]:
    """Entropy in nats of the category distribution of each history, [U]; NaN for a history without a category.

    >>> categories = Rows(np.array([0, 1], np.int32), np.array([0, 0, 1, 2]), 2)
    >>> history = Sequences(np.array([1, 2, 1], np.int32), np.array([0, 2, 3]), 2)
    >>> category_entropy(history, categories).round(3)
    array([0.693, 0.   ])
    """
    lengths = categories.lengths
    share = np.repeat(1 / np.maximum(lengths, 1), lengths)
    spread = sparse.csr_matrix((share, categories.values, categories.offsets), (len(lengths), categories.n_values))
    behaviours = (np.ones(len(histories.items)), histories.items, histories.offsets)
    mass = sparse.csr_matrix(behaviours, (len(histories), len(lengths))) @ spread  # [U, C]
    user = np.repeat(np.arange(len(histories)), np.diff(mass.indptr))
    total = np.bincount(user, mass.data, len(histories))
    p = mass.data / total[user]
    entropy = np.bincount(user, -p * np.log(p), len(histories))
    return np.where(total > 0, entropy, np.nan)
