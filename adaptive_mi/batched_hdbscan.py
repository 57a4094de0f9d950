"""HDBSCAN of very many users at once: the labels of `density.hdbscan_clusters`, compiled.

Campello, Moulavi and Sander, "Density-Based Clustering Based on Hierarchical Density Estimates" (PAKDD 2013), choosing
clusters by the excess of mass as the hdbscan package does (McInnes, Healy and Astels 2017). Exact, whatever else is in
the batch: see `spanning_tree` for its distances.

What makes the tree cheap: in the order in which Prim's algorithm visits behaviours, every single-linkage cluster is one
run of neighbours. For an edge is only taken once all that is nearer has been, so between two visits to a cluster there
is none elsewhere. The dendrogram is then the Cartesian tree of the edges' lengths in that order (Vuillemin 1980), with
no edge sorted and no sets united.

Ties: the behaviour that came first is visited first, and of edges of one length the one found first is joined first.
That is hdbscan with a stable sort of the edges. The package's own sort is not stable: where there are ties its labels
depend on the processor. With min_samples = 1 only equal distances tie, and the labels are the package's own; with more,
a behaviour is by definition equally far from its min_samples nearest, so there are ties in any data.

Differs from the paper: nothing but what `density` says of repeated behaviours and of a single one.

P behaviours of B users, ragged as in `dendrogram`. n behaviours of one user, m distinct ones, C clusters of a condensed
tree.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from torch import Tensor

from adaptive_mi.density import NOISE, DensityClusters, Floats, Ints, require_finite, require_sizes
from adaptive_mi.device_spanning_tree import device_spanning_trees
from adaptive_mi.spanning_tree import SpanningTrees, spanning_trees
from baselines.errors import BadInput


def batched_hdbscan(
    vectors: Floats | Tensor,
    starts: Ints,
    *,
    min_cluster_size: int,
    min_samples: int,
    allow_single_cluster: bool = False,
    n_threads: int = 1,
) -> DensityClusters:
    """Find the density clusters of every user; neither threads nor the device change a bit of them.

    Memory beside the result: of an array, a square of the longest history for each thread; of a tensor, see
    `device_spanning_tree`.

    Args:
        vectors: [P, D] float32 of unit length, finite; those of user b from `starts[b]` to `starts[b + 1]`. An array is
            clustered by compiled code; of a tensor, distances and spanning trees are found on its device.
        starts: [B + 1] int64, ascending from 0 to P.
        min_cluster_size, min_samples, allow_single_cluster: as in `density.hdbscan_clusters`, and so are users with no
            behaviour, a single one, or fewer than a cluster has.
        n_threads: among which the users of an array are shared out; other Python threads run meanwhile.

    Raises:
        BadInput: a vector with a NaN or an infinite entry, starts that do not cover the vectors, an impossible size.
    """
    require_finite(vectors)
    require_sizes(min_cluster_size, min_samples)
    starts = np.ascontiguousarray(starts, np.int64)
    P, n = len(vectors), np.diff(starts)
    if len(starts) == 0 or starts[0] != 0 or starts[-1] != P or (n < 0).any():
        raise BadInput(f"starts must ascend from 0 to {P}, the number of vectors, got {starts}.")
    if isinstance(vectors, Tensor):
        trees = device_spanning_trees(vectors, starts, min_samples)
        return _clusters_of(trees, min_cluster_size, allow_single_cluster)

    def of_users(begin: int, end: int) -> DensityClusters:
        first, last = starts[begin], starts[end]
        trees = spanning_trees(vectors[first:last], starts[begin : end + 1] - first, min_samples)
        return _clusters_of(trees, min_cluster_size, allow_single_cluster)

    work = np.concatenate([[0], np.cumsum(n**2)])
    bounds = np.unique(np.searchsorted(work, np.linspace(0, work[-1], n_threads + 1)[1:-1]))
    bounds = np.unique([0, *bounds, len(n)])
    if len(bounds) <= 2:
        return of_users(0, len(n))
    with ThreadPoolExecutor(len(bounds) - 1) as threads:
        parts = list(threads.map(lambda part: of_users(*part), pairwise(bounds.tolist())))
    columns = ([getattr(part, name) for part in parts] for name in ("labels", "n_clusters", "persistence"))
    return DensityClusters(*map(np.concatenate, columns))


def _clusters_of(trees: SpanningTrees, min_cluster_size: int, allow_single_cluster: bool) -> DensityClusters:
    starts = trees.starts
    P, n = len(trees.which), np.diff(starts)
    labels, n_clusters, persistence = np.empty(P, np.int64), np.empty(len(n), np.int64), np.empty(P, np.float64)
    longest, sizes = int(n.max(initial=1)), (min_cluster_size, allow_single_cluster)
    columns = trees.n_distinct, trees.which, trees.order, trees.length
    _cluster_all(starts, *columns, longest, *sizes, labels, n_clusters, persistence)
    place = np.arange(P) - np.repeat(starts[:-1], n)  # [P] within the user, whose clusters lie in the first places
    return DensityClusters(labels, n_clusters, persistence[place < np.repeat(n_clusters, n)])


class _Dendrogram(NamedTuple):
    """Single linkage of m places in the order of visits: node e, from 1 to m - 1, splits a run before place e.

    Attributes:
        length: [m] float64, at which the two sides of e are joined.
        left, right: [m] the nodes that split what is before and what is from e on, where that is more than one place.
    """

    length: Any
    left: Any
    right: Any


class _Condensed(NamedTuple):
    """Clusters of at least min_cluster_size, parents first, and where behaviours fall out. Density is 1 / length.

    Attributes:
        parent: [C]; first_child: [C], 0 where there is none, and the other child is the next one.
        birth: [C] the density at which a cluster splits off; mass: [C] its excess of mass, at last its subtree's.
        label: [C] of a chosen cluster and of all within it; -1 elsewhere.
        cluster, density: [m] by place: the last cluster it is in, and the density at which it leaves that.
    """

    parent: Any
    first_child: Any
    birth: Any
    mass: Any
    label: Any
    cluster: Any
    density: Any


@njit(cache=True, nogil=True)
def _cluster_all(  # type: ignore[no-untyped-def]
    starts, n_distinct, which, order, length, longest, min_cluster_size, allow_single, labels, n_clusters, persistence
):
    left, right, spare = np.empty(longest, np.int64), np.empty(longest, np.int64), np.empty(longest, np.int64)
    queue, of_distinct = np.empty((4, longest), np.int64), np.empty(longest, np.int64)
    ints, floats = np.empty((4, longest + 1), np.int64), np.empty((3, longest + 1), np.float64)
    tree = _Condensed(ints[0], ints[1], floats[0], floats[1], ints[2], ints[3], floats[2])
    for user in range(len(starts) - 1):
        first, last, m = starts[user], starts[user + 1], n_distinct[user]
        if m < 2:
            labels[first:last] = NOISE
            n_clusters[user] = 0
            continue
        dendrogram = _Dendrogram(length[first : first + m], left, right)
        root = _link(dendrogram, spare)
        C = _condense(dendrogram, root, min_cluster_size, queue, tree)
        K = _choose(tree, C, allow_single)
        _label(tree, order[first : first + m], of_distinct)
        _persist(tree, C, K, of_distinct[:m], spare, persistence[first:last])
        n_clusters[user] = K
        for i in range(first, last):
            labels[i] = of_distinct[which[i]]


@njit(cache=True, nogil=True)
def _link(dendrogram, stack):  # type: ignore[no-untyped-def]
    """Grow the Cartesian tree of the lengths and return its root; of equal lengths the later is nearer the root."""
    length, height = dendrogram.length, 0
    for e in range(1, len(length)):
        below = 0
        while height > 0 and length[stack[height - 1]] <= length[e]:
            height -= 1
            below = stack[height]
        dendrogram.left[e], dendrogram.right[e] = below, 0
        if height > 0:
            dendrogram.right[stack[height - 1]] = e
        stack[height] = e
        height += 1
    return stack[0]


@njit(cache=True, nogil=True, error_model="numpy")
def _condense(dendrogram, root, min_cluster_size, queue, tree):  # type: ignore[no-untyped-def]
    """Go down the dendrogram level by level and return how many clusters there are.

    The order of sums is the package's: mass side by side where a cluster splits, one by one where behaviours fall out.
    """
    node, begin, end, within = queue[0], queue[1], queue[2], queue[3]
    tree.parent[0], tree.first_child[0], tree.birth[0], tree.mass[0] = 0, 0, 0.0, 0.0
    node[0], begin[0], end[0], within[0] = root, 0, len(dendrogram.length), 0
    head, tail, C = 0, 1, 1
    while head < tail:
        e, start, stop, c = node[head], begin[head], end[head], within[head]
        head += 1
        density = 1.0 / dendrogram.length[e]
        lasted = density - tree.birth[c]
        keep_left, keep_right = e - start >= min_cluster_size, stop - e >= min_cluster_size
        into_left, into_right = c, c
        if keep_left and keep_right:
            tree.mass[c] += lasted * (e - start)
            tree.mass[c] += lasted * (stop - e)
            tree.first_child[c], into_left, into_right = C, C, C + 1
            for child in range(C, C + 2):
                tree.parent[child], tree.first_child[child], tree.birth[child], tree.mass[child] = c, 0, density, 0.0
            C += 2
        else:
            for place in range(e if keep_left else start, e if keep_right else stop):
                tree.cluster[place], tree.density[place] = c, density
                tree.mass[c] += lasted
        if keep_left:
            node[tail], begin[tail], end[tail], within[tail] = dendrogram.left[e], start, e, into_left
            tail += 1
        if keep_right:
            node[tail], begin[tail], end[tail], within[tail] = dendrogram.right[e], e, stop, into_right
            tail += 1
    return C


@njit(cache=True, nogil=True)
def _choose(tree, C, allow_single):  # type: ignore[no-untyped-def]
    """Choose the clusters whose excess of mass is at least that of all below them; return how many.

    As in the package, the mass of two children is summed in float32, and the root is considered only if it may be.
    """
    for c in range(C - 1, -1, -1):
        child, below = tree.first_child[c], np.float32(0.0)
        if child > 0:
            below = np.float32(np.float64(np.float32(tree.mass[child])) + tree.mass[child + 1])
        chosen = below <= tree.mass[c]
        tree.label[c] = chosen and (c > 0 or allow_single)
        tree.mass[c] = tree.mass[c] if chosen else np.float64(below)
    K = 0
    for c in range(C):
        above = tree.label[tree.parent[c]] if c > 0 else NOISE  # final, as parents come first
        fresh = above == NOISE and tree.label[c] == 1
        tree.label[c] = K if fresh else above
        K += fresh
    return K


@njit(cache=True, nogil=True)
def _label(tree, order, of_distinct):  # type: ignore[no-untyped-def]
    """Label distinct behaviours; where the root is the only cluster, what falls out of it before its end is noise."""
    m, least = len(order), 0.0
    if tree.label[0] != NOISE:
        least = tree.birth[tree.first_child[0]] if tree.first_child[0] > 0 else tree.density[:m].max()
    for place in range(m):
        label = tree.label[tree.cluster[place]]
        of_distinct[order[place]] = NOISE if tree.density[place] < least else label


@njit(cache=True, nogil=True, error_model="numpy")
def _persist(tree, C, K, of_distinct, size, persistence):  # type: ignore[no-untyped-def]
    """persistence[k] = mass of cluster k over what it would be had all of it lasted to the user's greatest density."""
    size[:K] = 0
    for label in of_distinct:
        if label != NOISE:
            size[label] += 1
    greatest = tree.density[: len(of_distinct)].max()
    for c in range(C - 1, -1, -1):
        if tree.label[c] != NOISE:  # a chosen cluster comes before all within it, so it is written last
            persistence[tree.label[c]] = tree.mass[c] / (size[tree.label[c]] * greatest)
