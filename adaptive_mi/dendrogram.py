"""The tree of joins of every user's behaviours (`linkage` grows it), and its cuts.

Ragged throughout, nothing is computed on padding: the P behaviours of B users lie back to back, those of user b from
`starts[b]` to `starts[b + 1]`. n behaviours of one user.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from adaptive_mi.density import Floats, Ints

_SAME = 1e-5  # 1 - cosine up to which behaviours are one item: what float32 makes of 0


@dataclass(frozen=True)
class Dendrograms:
    """One tree for each user; a tree of n behaviours has n - 1 joins, the lowest first.

    Attributes:
        starts: [B + 1] int64, where each user's behaviours begin; a user's joins lie in the first n - 1 of these rows.
        heights: [P] float32, at which two clusters were joined, ascending; +inf in a user's last row.
        joined: [P, 2] int64, one behaviour out of each of the two clusters, counted within the user.
    """

    starts: Ints
    heights: Floats
    joined: Ints

    @property
    def n_behaviours(self) -> Ints:
        """[B] int64."""
        return np.diff(self.starts)

    @property
    def n_distinct(self) -> Ints:
        """How many different behaviours each user has, [B] int64: joins at no distance are of equal ones."""
        return self.n_clusters_below(_SAME)

    def n_clusters_below(self, height: float) -> Ints:
        """Return how many clusters each user has left once every join up to `height` is made, [B] int64."""
        above = np.concatenate([[0], np.cumsum(self.heights > height)])
        n_clusters: Ints = above[self.starts[1:]] - above[self.starts[:-1]]
        return n_clusters

    def cut(self, n_clusters: Ints) -> Ints:
        """Label each behaviour with its cluster, when user b has `n_clusters[b]` (from 1 to n) of them.

        Returns:
            [P] int64 from 0, numbered by their latest behaviour: cluster 0 holds the last one of the history.
        """
        labels = np.empty(len(self.heights), np.int64)
        _cut_all(self.starts, self.joined, np.asarray(n_clusters, np.int64), labels)
        return labels


@njit(cache=True, nogil=True, error_model="numpy")
def _cut_all(starts, joined, n_clusters, labels):  # type: ignore[no-untyped-def]
    for user in range(len(starts) - 1):
        first, n = starts[user], starts[user + 1] - starts[user]
        part = labels[first : first + n]
        for i in range(n):
            part[i] = i  # the root of i, or a step towards it
        for t in range(n - n_clusters[user]):
            a, b = joined[first + t, 0], joined[first + t, 1]
            while part[a] != a:
                a = part[a]
            while part[b] != b:
                b = part[b]
            part[min(a, b)] = max(a, b)  # the root is the latest behaviour
        count = 0
        for i in range(n - 1, -1, -1):  # backwards, a root comes before what hangs on it
            if part[i] == i:
                part[i] = count
                count += 1
            else:
                part[i] = part[part[i]]
