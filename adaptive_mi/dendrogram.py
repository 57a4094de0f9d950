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

from adaptive_mi.density import require_finite

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

_SAME = 1e-5  # 1 - cosine up to which behaviours are one item: what float32 makes of 0


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


def average_linkage(vectors: Floats, starts: Ints) -> Dendrograms:
    """Grow every user's tree.

    Args:
        vectors: [P, D] float32 of unit length, finite.
        starts: [B + 1] int64, ascending from 0 to P.

    Raises:
        BadInput: a vector with a NaN or an infinite entry.
    """
    require_finite(vectors)  # a NaN is nobody's nearest, and the chain would leave its bounds
    P = len(vectors)
    heights, joined = np.empty(P, np.float32), np.zeros((P, 2), np.int64)
    longest = int(np.diff(starts).max(initial=0))
    _link_all(np.ascontiguousarray(vectors, np.float32), starts, longest, heights, joined)
    return Dendrograms(starts, heights, joined)


_LANES = 16  # rows are padded to a multiple: no remainders in the inner loops


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "nnan"}, error_model="numpy")
def _link_all(vectors, starts, longest, heights, joined):  # type: ignore[no-untyped-def]
    width = (longest + _LANES - 1) // _LANES * _LANES
    cells = np.empty(width * width, np.float32)
    size, chain = np.empty(width, np.float32), np.empty(longest + 1, np.int64)
    pair, height = np.empty((longest, 2), np.int64), np.empty(longest, np.float32)
    for user in range(len(starts) - 1):
        first, n = starts[user], starts[user + 1] - starts[user]
        if n == 0:
            continue
        padded = (n + _LANES - 1) // _LANES * _LANES
        distance = cells[: padded * padded].reshape(padded, padded)  # contiguous, or no inner loop is vectorised
        _distances(vectors[first : first + n], distance)
        _chain(distance, n, size[:padded], chain, pair, height)
        order = np.argsort(height[: n - 1], kind="mergesort")  # stable: equal heights in the order of the chain
        for t in range(n - 1):
            heights[first + t] = height[order[t]]
            joined[first + t, 0], joined[first + t, 1] = pair[order[t], 0], pair[order[t], 1]
        heights[first + n - 1] = np.inf


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "nnan", "reassoc"}, error_model="numpy")
def _distances(vectors, distance):  # type: ignore[no-untyped-def]
    """1 - cosine of every pair of one user's n behaviours, not below 0; +inf on the diagonal and in the padding.

    Four rows by four at a time: what is loaded serves four products, and sums stay in registers. Where fewer are left
    the last one is taken again: all products are summed in one order, and equal behaviours have equal distances.
    """
    n, D = vectors.shape
    for i in range(0, n, 4):
        p0, p1, p2, p3 = _four(vectors, i)
        for j in range(i, n, 4):
            q0, q1, q2, q3 = _four(vectors, j)
            s00 = s01 = s02 = s03 = np.float32(0.0)
            s10 = s11 = s12 = s13 = np.float32(0.0)
            s20 = s21 = s22 = s23 = np.float32(0.0)
            s30 = s31 = s32 = s33 = np.float32(0.0)
            for d in range(D):
                s00 += p0[d] * q0[d]
                s01 += p0[d] * q1[d]
                s02 += p0[d] * q2[d]
                s03 += p0[d] * q3[d]
                s10 += p1[d] * q0[d]
                s11 += p1[d] * q1[d]
                s12 += p1[d] * q2[d]
                s13 += p1[d] * q3[d]
                s20 += p2[d] * q0[d]
                s21 += p2[d] * q1[d]
                s22 += p2[d] * q2[d]
                s23 += p2[d] * q3[d]
                s30 += p3[d] * q0[d]
                s31 += p3[d] * q1[d]
                s32 += p3[d] * q2[d]
                s33 += p3[d] * q3[d]
            _put(distance, n, i, j, s00, s01, s02, s03)
            _put(distance, n, i + 1, j, s10, s11, s12, s13)
            _put(distance, n, i + 2, j, s20, s21, s22, s23)
            _put(distance, n, i + 3, j, s30, s31, s32, s33)
    for i in range(n):
        distance[i, i] = np.inf
        distance[i, n:] = np.inf


@njit(cache=True, nogil=True, error_model="numpy")
def _four(vectors, i):  # type: ignore[no-untyped-def]
    last = len(vectors) - 1
    return vectors[i], vectors[min(i + 1, last)], vectors[min(i + 2, last)], vectors[min(i + 3, last)]


@njit(cache=True, nogil=True, fastmath={"nsz", "nnan"}, error_model="numpy")
def _put(distance, n, i, j, s0, s1, s2, s3):  # type: ignore[no-untyped-def]
    i, one, zero = min(i, n - 1), np.float32(1.0), np.float32(0.0)
    for k, s in ((j, s0), (min(j + 1, n - 1), s1), (min(j + 2, n - 1), s2), (min(j + 3, n - 1), s3)):
        distance[i, k] = distance[k, i] = max(one - s, zero)


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "nnan"}, error_model="numpy")
def _chain(distance, n, size, chain, pair, height):  # type: ignore[no-untyped-def]
    """Join along nearest-neighbour chains; what is joined keeps the later row, the other row and column go to +inf."""
    width, bits = distance.shape[1], distance.view(np.int32)
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
            row = bits[chain[length - 1]]
            found = _nearest(row)
            if length > 1 and row[chain[length - 2]] == found >> 32:  # each is the other's nearest
                break
            chain[length] = found & 0xFFFFFFFF
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


@njit(cache=True, nogil=True)
def _nearest(row):  # type: ignore[no-untyped-def]
    """The bits of the least entry, and in the lower half its first place; floats from 0 up have the order of bits."""
    least = np.int64(0x7FFFFFFF) << 32
    for j in range(len(row)):
        least = min(least, (np.int64(row[j]) << 32) + j)
    return least


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
