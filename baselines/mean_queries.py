"""The mean of a user's interests as one query: its product with an item is the mean of theirs.

B users, R interests of all users, D width.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray


def mean_queries(
    vectors: NDArray[np.float32], log_weight: NDArray[np.float32], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Average each user's interests, weighted by the softmax over them of log weight, in float64, rounded once.

    A user's interests are summed in the order of their coordinates, so the order in which they come changes no bit.

    Args:
        vectors: [R, D]; log_weight: [R]; offsets: [B + 1], user b's are rows `offsets[b] : offsets[b + 1]`.

    Returns:
        The same for one interest a user: [B, D], [B], 0..B.
    """
    B = len(offsets) - 1
    terms = np.column_stack([vectors, log_weight])  # the constant of a match is averaged as its coordinates are
    mean = np.empty((B, terms.shape[1]), np.float32)
    _average(terms, log_weight, offsets, mean)
    return mean[:, :-1], mean[:, -1], np.arange(B + 1)


@njit(cache=True, nogil=True)
def _average(terms, log_weight, offsets, mean):  # type: ignore[no-untyped-def]
    total = np.empty(terms.shape[1])
    for b in range(len(mean)):
        own = _in_order(terms, offsets[b], offsets[b + 1])
        top = log_weight[own].max()
        total[:], shares = 0.0, 0.0
        for row in own:
            share = math.exp(np.float64(log_weight[row]) - top)
            shares += share
            for d in range(len(total)):
                total[d] += share * terms[row, d]
        for d in range(len(total)):
            mean[b, d] = total[d] / shares


@njit(cache=True, nogil=True)
def _in_order(terms, first, last):  # type: ignore[no-untyped-def]
    """Sort rows first, first + 1, ... last - 1 by their first coordinate, then their second, and so on."""
    order = np.arange(first, last)
    for k in range(1, len(order)):
        row, place = order[k], k
        while place > 0 and _comes_before(terms[row], terms[order[place - 1]]):
            order[place] = order[place - 1]
            place -= 1
        order[place] = row
    return order


@njit(cache=True, nogil=True)
def _comes_before(one, other):  # type: ignore[no-untyped-def]
    for d in range(len(one)):
        if one[d] != other[d]:
            return one[d] < other[d]
    return False
