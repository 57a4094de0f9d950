"""Average linkage of every user's behaviours in one compiled pass, and the cuts of the trees it grows.

Sokal and Michener, "A Statistical Method for Evaluating Systematic Relationships" (1958): the two clusters with the
least mean distance between their members are joined, again and again; here by nearest-neighbour chains (Murtagh, "A
Survey of Recent Advances in Hierarchical Clustering Algorithms", 1983), exact in O(n^2) for n behaviours. The same tree
as of `scipy.cluster.hierarchy.linkage(..., "average")`, which the tests hold it to. Distances are 1 - cosine: mean
linkage needs no metric, and the height of a join is then 1 minus a mean cosine.

Ragged throughout, nothing is computed on padding: the P behaviours of B users lie back to back, those of user b from
`starts[b]` to `starts[b + 1]`. D width, n behaviours of one user.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Dendrograms:
    """One tree for each user; a tree of n behaviours has n - 1 joins, the lowest first.

    Attributes:
        starts: [B + 1] int64, where each user's behaviours begin; a user's joins lie in the first n - 1 of these rows.
        heights: [P] float32, the mean distance at which two clusters were joined, ascending; +inf in a user's last row.
        joined: [P, 2] int64, one behaviour out of each of the two clusters, counted within the user.
    """

    starts: Ints
    heights: Floats
    joined: Ints

    @property
    def n_behaviours(self) -> Ints:
        """[B] int64."""
        return np.diff(self.starts)

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


def average_linkage(vectors: Floats, starts: Ints) -> Dendrograms:
    """Grow every user's tree.

    Args:
        vectors: [P, D] float32 of unit length, finite.
        starts: [B + 1] int64, ascending from 0 to P.
    """
    P = len(vectors)
    heights, joined = np.empty(P, np.float32), np.zeros((P, 2), np.int64)
    longest = int(np.diff(starts).max(initial=0))
    _link_all(np.ascontiguousarray(vectors, np.float32), starts, longest, heights, joined)
    return Dendrograms(starts, heights, joined)


_LANES = 16  # rows are padded to a multiple: no remainders in the inner loops


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "nnan"}, error_model="numpy")
def _link_all(vectors, starts, longest, heights, joined):  # type: ignore[no-untyped-def]
    width = (longest + _LANES - 1) // _LANES * _LANES
    D = vectors.shape[1]
    columns, cells = np.empty(D * width, np.float32), np.empty(width * width, np.float32)
    size, chain = np.empty(width, np.float32), np.empty(longest + 1, np.int64)
    pair, height = np.empty((longest, 2), np.int64), np.empty(longest, np.float32)
    for user in range(len(starts) - 1):
        first, n = starts[user], starts[user + 1] - starts[user]
        if n == 0:
            continue
        padded = (n + _LANES - 1) // _LANES * _LANES
        across = columns[: D * padded].reshape(D, padded)  # contiguous, or no inner loop is vectorised
        distance = cells[: padded * padded].reshape(padded, padded)
        _distances(vectors[first : first + n], across, distance)
        _chain(distance, n, size[:padded], chain, pair, height)
        order = np.argsort(height[: n - 1], kind="mergesort")  # stable: equal heights in the order of the chain
        for t in range(n - 1):
            heights[first + t] = height[order[t]]
            joined[first + t, 0], joined[first + t, 1] = pair[order[t], 0], pair[order[t], 1]
        heights[first + n - 1] = np.inf


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "nnan"}, error_model="numpy")
def _distances(vectors, across, distance):  # type: ignore[no-untyped-def]
    """1 - cosine of every pair of one user's n behaviours, not below 0; +inf on the diagonal and in the padding."""
    n, D = vectors.shape
    width = distance.shape[1]
    for d in range(D):
        for i in range(n):
            across[d, i] = vectors[i, d]
        for i in range(n, width):
            across[d, i] = np.float32(0.0)
    for i in range(0, n, 4):  # four rows at a time: what is loaded serves four products
        left = i // _LANES * _LANES
        m = width - left
        r0, r1 = distance[i, left:width], distance[i + 1, left:width]
        r2, r3 = distance[i + 2, left:width], distance[i + 3, left:width]
        for j in range(m):
            r0[j] = r1[j] = r2[j] = r3[j] = np.float32(1.0)
        for d in range(D):
            column = across[d, left:width]
            x0, x1, x2, x3 = across[d, i], across[d, i + 1], across[d, i + 2], across[d, i + 3]
            for j in range(m):
                r0[j] -= x0 * column[j]
                r1[j] -= x1 * column[j]
                r2[j] -= x2 * column[j]
                r3[j] -= x3 * column[j]
    for i in range(n):
        for j in range(i + 1, n):
            distance[i, j] = distance[j, i] = max(distance[i, j], np.float32(0.0))
        distance[i, i] = np.inf
        for j in range(n, width):
            distance[i, j] = np.inf


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "nnan"}, error_model="numpy")
def _chain(distance, n, size, chain, pair, height):  # type: ignore[no-untyped-def]
    """Join along nearest-neighbour chains; what is joined keeps the later row, the other row and column go to +inf."""
    width = distance.shape[1]
    size[:] = np.float32(0.0)
    size[:n] = np.float32(1.0)
    length = 0
    for t in range(n - 1):
        if length == 0:
            chain[0] = 0
            while size[chain[0]] == 0:
                chain[0] += 1
            length = 1
        while True:
            row = distance[chain[length - 1]]
            least = row[0]
            for j in range(1, width):
                least = min(least, row[j])
            if length > 1 and row[chain[length - 2]] == least:  # each is the other's nearest
                break
            nearest = 0
            while row[nearest] != least:
                nearest += 1
            chain[length] = nearest
            length += 1
        a, b = chain[length - 1], chain[length - 2]
        length -= 2
        if a > b:
            a, b = b, a
        pair[t, 0], pair[t, 1], height[t] = a, b, distance[a, b]
        of_a, of_b = distance[a], distance[b]
        total = size[a] + size[b]
        share, rest = size[a] / total, size[b] / total
        for j in range(width):
            of_b[j] = share * of_a[j] + rest * of_b[j]
        of_b[a] = of_b[b] = np.inf
        size[b], size[a] = total, np.float32(0.0)
        for j in range(n):
            distance[j, b] = of_b[j]
            distance[j, a] = np.inf


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
