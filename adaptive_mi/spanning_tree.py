"""The minimum spanning tree of every user's behaviours by mutual reachability: what HDBSCAN makes clusters of.

Campello, Moulavi and Sander, "Density-Based Clustering Based on Hierarchical Density Estimates" (PAKDD 2013),
definitions 1 to 4: the core distance of a behaviour is the distance to its min_samples-th nearest other, and the mutual
reachability of two is the greatest of their distance and their core distances. Prim's algorithm from the first
behaviour; of several equally near it visits the one that came first.

Distances are float64, each summed over the features in their order, without fused multiply-add, and rooted before it is
compared: they are then those of the hdbscan package to the last bit, and so are the labels made of them. In float32
labels would nearly always be the same, and nobody could say when. Most of the time goes to these distances.

The nearest behaviour is sought among integers: floats that are not negative have the order of their bits read as
integers, whose minimum vectorises without licence to reorder floats.

Differs from the paper: behaviours that are equal, number for number, count as one, as in `density`.

P behaviours of B users, ragged as in `dendrogram`. D width, n behaviours of one user, m distinct ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from adaptive_mi.density import Floats, Ints


@dataclass(frozen=True)
class SpanningTrees:
    """One tree for each user, as the path on which Prim's algorithm grows it.

    Attributes:
        starts: [B + 1] int64, where each user's behaviours begin.
        n_distinct: [B] int64, m.
        which: [P] int64, which of the user's distinct behaviours each one is; these are in order of first appearance.
        order: [P] int64, the distinct behaviours in the order of visits, in the first m of a user's rows.
        length: [P] float64, mutual reachability of each from the nearest one visited before; nothing in the first row.
    """

    starts: Ints
    n_distinct: Ints
    which: Ints
    order: Ints
    length: NDArray[np.float64]


def spanning_trees(vectors: Floats, starts: Ints, min_samples: int) -> SpanningTrees:
    """Grow every user's tree.

    Args:
        vectors: [P, D] float32, finite, D at least 1.
        starts: [B + 1] int64, ascending from 0 to P.
        min_samples: at least 1; lowered to m - 1 for a user with fewer others.
    """
    P, B = len(vectors), len(starts) - 1
    trees = SpanningTrees(
        starts, np.empty(B, np.int64), np.empty(P, np.int64), np.zeros(P, np.int64), np.zeros(P, np.float64)
    )
    longest = int(np.diff(starts).max(initial=1))
    rows = np.ascontiguousarray(vectors, np.float32)
    bits = trees.length.view(np.int64)
    _grow_all(rows, starts, longest, min_samples, trees.n_distinct, trees.which, trees.order, bits)
    return trees


_LANES = 8  # rows are padded to a multiple, so that no loop has a remainder
_FEATURES = 4  # taken at a time
_FAR = int(np.float64(np.inf).view(np.int64))


@njit(cache=True, nogil=True)
def _grow_all(vectors, starts, longest, min_samples, n_distinct, which, order, length):  # type: ignore[no-untyped-def]
    D = (vectors.shape[1] + _FEATURES - 1) // _FEATURES * _FEATURES
    width = (longest + _LANES - 1) // _LANES * _LANES
    across = np.zeros((D, width))  # distinct vectors as columns: inner loops run over behaviours
    square, core, nearest = np.empty(width * width), np.zeros(width), np.empty((min(min_samples, longest), width))
    reach, own, source = np.empty(width, np.int64), np.empty(width, np.int64), np.empty(longest, np.int64)
    for user in range(len(starts) - 1):
        first, last = starts[user], starts[user + 1]
        m = _distinct(vectors[first:last], across, source, which[first:last])
        n_distinct[user] = m
        if m < 2:
            continue
        padded = (m + _LANES - 1) // _LANES * _LANES
        distance = square[: padded * padded].reshape(padded, padded)
        _distances(across, m, distance)
        if min_samples > 1:  # else no two are nearer than the nearest of either, and core distances tell nothing
            _core_distances(distance, m, min(min_samples, m - 1), nearest, core[:padded])
        bits = distance.view(np.int64), core[:padded].view(np.int64)
        _visit(bits[0], bits[1], m, reach[:padded], own[:padded], order[first:last], length[first:last])


@njit(cache=True, nogil=True)
def _distinct(vectors, across, source, which):  # type: ignore[no-untyped-def]
    """Write a user's distinct vectors as columns, and which of them each behaviour has; return how many there are."""
    n, D = vectors.shape
    m = 0
    for i in range(n):
        j = 0
        while j < m and not (across[0, j] == vectors[i, 0] and _same(vectors[source[j]], vectors[i])):
            j += 1
        which[i] = j
        if j == m:
            source[m] = i
            for d in range(D):
                across[d, m] = vectors[i, d]
            m += 1
    return m


@njit(cache=True, nogil=True)
def _same(left, right):  # type: ignore[no-untyped-def]
    d = 0
    while d < len(left) and left[d] == right[d]:
        d += 1
    return d == len(left)


@njit(cache=True, nogil=True)
def _distances(across, m, distance):  # type: ignore[no-untyped-def]
    """Distance of every two columns, +inf past the m-th; features one by one in their order, four to a loop.

    Rows are cut out one at a time: the compiler takes a block of several for strided.
    """
    end = len(distance)
    across[0, m:end] = np.inf
    for i in range(m):
        begin = i // _LANES * _LANES
        row = distance[i, begin:]
        row[:] = 0.0
        for d in range(0, len(across), _FEATURES):
            one, two = across[d, begin:end], across[d + 1, begin:end]
            three, four = across[d + 2, begin:end], across[d + 3, begin:end]
            of_one, of_two, of_three, of_four = across[d, i], across[d + 1, i], across[d + 2, i], across[d + 3, i]
            for j in range(len(row)):
                total = row[j] + (of_one - one[j]) * (of_one - one[j])
                total += (of_two - two[j]) * (of_two - two[j])
                total += (of_three - three[j]) * (of_three - three[j])
                row[j] = total + (of_four - four[j]) * (of_four - four[j])
        for j in range(len(row)):
            row[j] = np.sqrt(row[j])
    for i in range(m):
        for j in range(i):
            distance[i, j] = distance[j, i]


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def _core_distances(distance, m, k, nearest, core):  # type: ignore[no-untyped-def]
    """core[j] = distance from j to its k-th nearest other: each row i is sunk into the k least seen so far."""
    nearest[:k] = np.inf
    for i in range(m):
        for j in range(len(core)):
            core[j] = distance[i, j]
        core[i] = np.inf
        for r in range(k):
            kept = nearest[r, : len(core)]
            for j in range(len(core)):
                new, old = core[j], kept[j]
                kept[j] = min(new, old)
                core[j] = max(new, old)
    for j in range(len(core)):
        core[j] = nearest[k - 1, j]


@njit(cache=True, nogil=True)
def _visit(distance, core, m, reach, own, order, length):  # type: ignore[no-untyped-def]
    """Prim's algorithm on the bits of distances; whatever has been visited is out of reach."""
    for j in range(len(core)):
        reach[j], own[j] = _FAR, core[j]
    at = 0
    order[0], own[0] = 0, _FAR
    for place in range(1, m):
        row, of_at = distance[at], core[at]
        least = _FAR
        for j in range(len(reach)):
            mutual = max(max(row[j], own[j]), of_at)
            reach[j] = min(reach[j], mutual)
            least = min(least, reach[j])
        at = 0
        while reach[at] != least:
            at += 1
        order[place], length[place] = at, least
        reach[at], own[at] = _FAR, _FAR
