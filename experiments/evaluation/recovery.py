"""Are a user's behaviours told apart as their planted interests are? Only a synthetic log knows these.

B users, L behaviours, K interests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray


def assignment_ari(assigned: NDArray[np.int64], planted: NDArray[np.integer]) -> NDArray[np.float64]:
    """Adjusted Rand index of the interests a user's behaviours are given to with their planted ones; 1 = the same.

    Hubert and Arabie (1985). Of all pairs of a user's behaviours a are together in both, b in `assigned` alone, c in
    `planted` alone, d in neither:
        2 (ad - bc) / ((a + b) (b + d) + (a + c) (c + d)),  1 where b = c = 0,
    which is 0 on average where behaviours are given out by chance. Behaviours of no interest (-1 in either: padding,
    planted noise, what the method left out) do not count, so that a method is not blamed for what it makes of noise;
    users of whom fewer than two are left have no value. A user of one planted interest has 1 where his behaviours are
    together and 0 where they are parted at all; a method of one interest has 1 for those users and 0 for the others.

    Args:
        assigned: [B, L], the interest that each behaviour is given to.
        planted: [B, L].

    Returns:
        [B], NaN without a value.

    >>> assignment_ari(np.array([[0, 0, 1, 1, -1]]), np.array([[7, 7, 7, 3, 3]]))
    array([0.])
    >>> assignment_ari(np.array([[0, 0, 1], [0, 1, 1], [0, 0, 0]]), np.array([[7, 7, 3], [5, 5, 5], [5, -1, -1]]))
    array([ 1.,  0., nan])
    """
    user, place = np.nonzero((assigned >= 0) & (planted >= 0))
    ours, theirs = (_numbered(labels[user, place]) for labels in (assigned, planted))
    n_users, n_theirs = len(assigned), int(theirs.max(initial=0)) + 1
    together = _pairs(user, ours * n_theirs + theirs, n_users)
    ours_alone, theirs_alone = _pairs(user, ours, n_users) - together, _pairs(user, theirs, n_users) - together
    size = np.bincount(user, minlength=n_users)
    apart = size * (size - 1) // 2 - together - ours_alone - theirs_alone
    excess = 2 * (together * apart - ours_alone * theirs_alone)
    most = (together + ours_alone) * (ours_alone + apart) + (together + theirs_alone) * (theirs_alone + apart)
    same = (ours_alone == 0) & (theirs_alone == 0)
    index = np.where(same, 1.0, excess / np.where(same, 1, most))
    return np.where(size > 1, index, np.nan)


def planted_k(planted: NDArray[np.integer]) -> NDArray[np.float64]:
    """How many planted interests a user's behaviours [B, L] come from, [B]; -1 (padding, noise) is none.

    >>> planted_k(np.array([[7, 3, 7, -1], [-1, -1, -1, -1]]))
    array([2., 0.])
    """
    ordered = np.sort(planted, 1)
    number: NDArray[np.float64] = ((ordered >= 0) & (np.diff(ordered, axis=1, prepend=-1) != 0)).sum(
        1, dtype=np.float64
    )
    return number


RECOVERY: Mapping[str, Callable[..., NDArray[np.float64]]] = {"assignment_ari": assignment_ari}
"""Name -> its function."""


def _numbered(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Labels as 0, 1, 2, ... in their order."""
    numbers: NDArray[np.int64] = np.unique(labels, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return numbers


def _pairs(user: NDArray[np.int64], label: NDArray[np.int64], n_users: int) -> NDArray[np.int64]:
    """Pairs of each user's behaviours that have the same label, [n_users]."""
    width = int(label.max(initial=0)) + 1
    cells, counts = np.unique(user * width + label, return_counts=True)
    pairs = np.zeros(n_users, np.int64)
    np.add.at(pairs, cells // width, counts * (counts - 1) // 2)
    return pairs
