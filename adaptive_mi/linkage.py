"""Average, Ward's and single linkage of every user's behaviours in one compiled pass.

Sokal and Michener, "A Statistical Method for Evaluating Systematic Relationships" (1958): the two clusters with the
least mean distance between their members are joined, again and again. Ward, "Hierarchical Grouping to Optimize an
Objective Function" (1963): the two whose union adds least to the sum of squared distances from the clusters' means.
Single (Sneath, "The Application of Computers to Taxonomy", 1957): the two of whose members some are the nearest; cut at
a distance, its clusters are those of DBSCAN to which one near neighbour is enough, each of its noise being alone.
All by nearest-neighbour chains (Murtagh, "A Survey of Recent Advances in Hierarchical Clustering Algorithms", 1983),
exact in O(n^2) for n behaviours. The same trees as of `scipy.cluster.hierarchy.linkage`, which the tests hold them to.

Distances are 1 - cosine: mean linkage needs no metric, and the height of a join is then 1 minus a mean cosine. Ward's
height is what the join adds to the sum of squares, n_a n_b / (n_a + n_b) |mean_a - mean_b|^2, which is 1 - cosine again
of two behaviours, and rises with the sizes; scipy's is the root of twice that.

P behaviours of B users, ragged as in `dendrogram`. D width, n behaviours of one user.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from numba import njit

from adaptive_mi.dendrogram import Dendrograms
from adaptive_mi.density import Floats, Ints, require_finite


def average_linkage(vectors: Floats, starts: Ints) -> Dendrograms:
    """Grow every user's tree by the mean distance of clusters.

    Args:
        vectors: [P, D] float32 of unit length, finite.
        starts: [B + 1] int64, ascending from 0 to P.

    Raises:
        BadInput: a vector with a NaN or an infinite entry.
    """
    return _grown(vectors, starts, _BY_MEAN)


def ward_linkage(vectors: Floats, starts: Ints) -> Dendrograms:
    """Grow every user's tree by what a join adds to the sum of squares; arguments as of `average_linkage`."""
    return _grown(vectors, starts, _BY_SQUARES)


def single_linkage(vectors: Floats, starts: Ints) -> Dendrograms:
    """Grow every user's tree by the least distance between members; arguments as of `average_linkage`."""
    return _grown(vectors, starts, _BY_LEAST)


Linkage = Literal["average", "ward", "single"]
LINKAGES: Mapping[Linkage, Callable[[Floats, Ints], Dendrograms]] = {
    "average": average_linkage,
    "ward": ward_linkage,
    "single": single_linkage,
}
_BY_MEAN, _BY_SQUARES, _BY_LEAST = range(3)  # how the kernel is told


def _grown(vectors: Floats, starts: Ints, joined_by: int) -> Dendrograms:
    require_finite(vectors)  # a NaN is nobody's nearest, and the chain would leave its bounds
    P = len(vectors)
    heights, joined = np.empty(P, np.float32), np.zeros((P, 2), np.int64)
    longest = int(np.diff(starts).max(initial=0))
    _link_all(np.ascontiguousarray(vectors, np.float32), starts, longest, joined_by, heights, joined)
    return Dendrograms(starts, heights, joined)


_LANES = 16  # rows are padded to a multiple: no remainders in the inner loops


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "nnan"}, error_model="numpy")
def _link_all(vectors, starts, longest, joined_by, heights, joined):  # type: ignore[no-untyped-def]
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
        _chain(distance, n, joined_by, size[:padded], chain, pair, height)
        for t in range(n - 1):  # into ascending order, equal heights in the order of the chain
            place = first + t
            while place > first and heights[place - 1] > height[t]:
                heights[place] = heights[place - 1]
                joined[place, 0], joined[place, 1] = joined[place - 1, 0], joined[place - 1, 1]
                place -= 1
            heights[place] = height[t]
            joined[place, 0], joined[place, 1] = pair[t, 0], pair[t, 1]
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
def _chain(distance, n, joined_by, size, chain, pair, height):  # type: ignore[no-untyped-def]
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
        if joined_by == _BY_SQUARES:
            _add_squares(of_a, of_b, size, size[a], size[b], height[t])
        elif joined_by == _BY_LEAST:
            for j in range(width):
                of_b[j] = min(of_a[j], of_b[j])
        else:
            share, rest = size[a] / total, size[b] / total
            for j in range(width):
                of_b[j] = share * of_a[j] + rest * of_b[j]
        of_b[a] = of_b[b] = np.inf
        size[b], size[a] = total, np.float32(0.0)
        for j in range(n):
            distance[j, b] = of_b[j]
            distance[j, a] = np.inf


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "nnan"}, error_model="numpy")
def _add_squares(of_a, of_b, size, n_a, n_b, between):  # type: ignore[no-untyped-def]
    """Ward's height of each cluster with the union of a and b, into `of_b` (Lance and Williams 1967)."""
    zero = np.float32(0.0)
    for j in range(len(of_b)):
        sum_of_three = (n_a + size[j]) * of_a[j] + (n_b + size[j]) * of_b[j] - size[j] * between
        of_b[j] = max(sum_of_three / (n_a + n_b + size[j]), zero)


@njit(cache=True, nogil=True)
def _nearest(row):  # type: ignore[no-untyped-def]
    """The bits of the least entry, and in the lower half its first place; floats from 0 up have the order of bits."""
    least = np.int64(0x7FFFFFFF) << 32
    for j in range(len(row)):
        least = min(least, (np.int64(row[j]) << 32) + j)
    return least
