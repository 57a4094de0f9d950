"""K where the silhouette is best: of all cuts of a user's dendrogram the one whose clusters stand clearest apart.

Rousseeuw, "Silhouettes: A Graphical Aid to the Interpretation and Validation of Cluster Analysis" (1987): a behaviour
has s = (b - a) / max(a, b), a its mean distance to the others of its cluster and b that to the nearest other cluster;
a behaviour alone in its cluster has 0, and so has one at no distance from either. The distance is 1 - cosine, as in
`dendrogram`, and that makes it cheap: the distances from x to all of a cluster sum to its size less the product of x
with the sum of its vectors. So no two behaviours are ever compared, and to go from k clusters to k - 1 two rows of such
sums are added. O(n K D + n K^2) for n behaviours and at most K clusters, where the textbook takes O(n^2 (D + K)).

Differs from the paper: none. A repeated item counts as often as it occurs, as in the dendrogram.

P behaviours of B users, ragged as in `dendrogram`. D width, n behaviours of one user, M the most clusters to look at.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from adaptive_mi.dendrogram import Dendrograms
from adaptive_mi.density import Floats, Ints, require_finite
from baselines.errors import BadInput, require_number

_ROUNDING = 1e-6  # silhouettes that differ by less are equal: vectors are known to no more digits


def silhouette_k(
    vectors: Floats, dendrograms: Dendrograms, max_clusters: int, *, least_silhouette: float = 0.0
) -> Ints:
    """Return the number of clusters of each user's best cut, [B] int64, for `Dendrograms.cut`; of equals the fewest.

    The silhouette is for 2 to n - 1 clusters only. So K is 1 for a user with one or two behaviours, whatever they are;
    1 where no cut has a mean silhouette of at least `least_silhouette`; and 0 for a user with no behaviour. It is also
    1 where all behaviours are the same: their silhouette is 0, unless `least_silhouette` admits that.

    Args:
        vectors: [P, D] float32 of unit length, finite: those the dendrograms are of.
        dendrograms: the users' trees.
        max_clusters: M, at least 1.
        least_silhouette: from -1 to 1, the least mean silhouette that makes more than one cluster of a history.
    """
    scores = mean_silhouettes(vectors, dendrograms, max_clusters)  # [B, M + 1]
    scores[np.isnan(scores)] = -np.inf
    best = scores.max(1)  # [B]
    n_clusters = (scores >= best[:, None] - _ROUNDING).argmax(1)
    n_clusters[~(best >= least_silhouette)] = 1
    K: Ints = np.minimum(n_clusters, dendrograms.n_behaviours)
    return K


def mean_silhouettes(vectors: Floats, dendrograms: Dendrograms, max_clusters: int) -> NDArray[np.float64]:
    """Return the mean silhouette of the cut into k clusters in column k, [B, M + 1]; NaN where k is not in 2 .. n - 1.

    Args:
        vectors, dendrograms, max_clusters: as in `silhouette_k`.
    """
    require_number("max_clusters", max_clusters, at_least=1)
    rows, finest, labels = finest_cuts(vectors, dendrograms, max_clusters)
    scores = np.full((len(finest), max_clusters + 1), np.nan)
    _score_all(rows, dendrograms.starts, dendrograms.joined, labels, finest, scores)
    return scores


def finest_cuts(vectors: Floats, dendrograms: Dendrograms, max_clusters: int) -> tuple[Floats, Ints, Ints]:
    """Return the vectors as rows [P, D], the most clusters that are looked at of each user [B], and that cut [P]."""
    require_vectors_of(dendrograms, vectors)
    n = dendrograms.n_behaviours
    finest = np.clip(n - 1, np.minimum(n, 1), max_clusters)
    return np.ascontiguousarray(vectors, np.float32), finest, dendrograms.cut(finest)


def require_vectors_of(dendrograms: Dendrograms, vectors: Floats) -> None:
    """Refuse vectors that are not finite, or not as many as the behaviours in the trees."""
    require_finite(vectors)
    if len(vectors) != len(dendrograms.heights):
        raise BadInput(
            f"vectors must be those the dendrograms are of, {len(dendrograms.heights)} behaviours, got {len(vectors)}."
        )


_LANES = 8  # rows are padded to a multiple, so that no loop has a remainder
_NOTHING = 1e-12  # a mean distance below is 0 and rounding; two vectors so near are a millionth apart


@njit(cache=True, nogil=True, error_model="numpy")
def _score_all(vectors, starts, joined, labels, finest, scores):  # type: ignore[no-untyped-def]
    M, D, longest = scores.shape[1] - 1, vectors.shape[1], 0
    for user in range(len(starts) - 1):
        longest = max(longest, starts[user + 1] - starts[user])
    width = (longest + _LANES - 1) // _LANES * _LANES
    unit, total, size = np.empty((longest, D)), np.empty((M, D)), np.empty(M, np.int64)
    to_cluster, own = np.zeros((M, width)), np.empty(width, np.int64)
    within, beside = np.empty(width), np.empty(width)
    for user in range(len(starts) - 1):
        first, n, K = starts[user], starts[user + 1] - starts[user], finest[user]
        if K < 2:
            continue
        padded = (n + _LANES - 1) // _LANES * _LANES
        for i in range(padded):
            own[i] = labels[first + i] if i < n else -1
        _sum_clusters(vectors[first : first + n], own, unit, total[:K], size[:K])
        for k in range(K):
            for i in range(n):
                to_cluster[k, i] = size[k] - _dot(total[k], unit[i])
        for k in range(K, 1, -1):
            part = to_cluster[:k, :padded]
            scores[user, k] = _mean_silhouette(part, own[:padded], size, n, within[:padded], beside[:padded])
            pair = joined[first + n - k]
            _join(part, own[:padded], size, own[pair[0]], own[pair[1]])


@njit(cache=True, nogil=True, error_model="numpy")
def _sum_clusters(vectors, own, unit, total, size):  # type: ignore[no-untyped-def]
    """Size and sum of each cluster's vectors, of unit length to the last digits: one has no distance from itself."""
    total[:], size[:] = 0.0, 0
    for i in range(len(vectors)):
        scale = 1.0 / np.sqrt(_dot(vectors[i], vectors[i]))
        row, sums = unit[i], total[own[i]]
        for d in range(len(row)):
            row[d] = scale * vectors[i, d]
            sums[d] += row[d]
        size[own[i]] += 1


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def _dot(left, right):  # type: ignore[no-untyped-def]
    product = 0.0
    for d in range(len(left)):
        product += np.float64(left[d]) * np.float64(right[d])
    return product


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz", "contract"}, error_model="numpy")
def _mean_silhouette(to_cluster, own, size, n, within, beside):  # type: ignore[no-untyped-def]
    beside[:] = np.inf
    for k in range(len(to_cluster)):
        row, share, share_of_others = to_cluster[k], 1.0 / size[k], 1.0 / max(size[k] - 1, 1)
        for i in range(len(row)):
            inside = own[i] == k
            within[i] = row[i] * share_of_others if inside else within[i]
            beside[i] = beside[i] if inside else min(beside[i], row[i] * share)
    score = 0.0
    for i in range(n):
        a, b = within[i], beside[i]
        a, b = 0.0 if a < _NOTHING else a, 0.0 if b < _NOTHING else b
        if size[own[i]] > 1 and max(a, b) > 0.0:
            score += (b - a) / max(a, b)
    return score / n


@njit(cache=True, nogil=True)
def _join(to_cluster, own, size, a, b):  # type: ignore[no-untyped-def]
    """Join clusters a and b into the lower of the two; the last one takes the place of the other."""
    a, b, last = min(a, b), max(a, b), len(to_cluster) - 1
    of_a, of_b, of_last = to_cluster[a], to_cluster[b], to_cluster[last]
    for i in range(len(own)):
        of_a[i] += of_b[i]
        of_b[i] = of_last[i]
        label = own[i]
        label = a if label == b else label
        own[i] = b if label == last else label
    size[a] += size[b]
    size[b] = size[last]
