"""K by the gap statistic: as many clusters as tighten a user's behaviours more than they would vectors without any.

Tibshirani, Walther and Hastie, "Estimating the Number of Clusters in a Data Set via the Gap Statistic" (2001), on the
cuts of the dendrogram:

    W_k = sum over the k clusters of (1 / 2n_r) sum of all |x - y|^2 within = sum of n_r - |s_r|^2 / n_r
    Gap(k) = E* log W_k - log W_k
    K = the least k with Gap(k) >= Gap(k + 1) - e_{k+1},  e_k = the deviation of log W*_k  times  sqrt(1 + 1 / draws)

n_r and s_r are the size and the sum of the unit vectors of cluster r; the stars are for vectors uniform on the sphere.
What is expected of those depends on n, k and D alone, so it is drawn once, for every length that occurs, and tabled.

Differs from the paper: the reference is uniform on the whole sphere, where all vectors lie by construction; in the
paper it is uniform over the range of the data, or along their principal components. A repeated item counts as often as
it occurs, as in the dendrogram.

P behaviours of B users, ragged as in `dendrogram`. D width, n behaviours of one user, M the most clusters to look at,
L the longest history tabled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from adaptive_mi.dendrogram import Dendrograms
from adaptive_mi.density import Floats, Ints
from adaptive_mi.linkage import average_linkage
from adaptive_mi.silhouette import finest_cuts
from baselines.errors import BadInput, require_number


@dataclass(frozen=True)
class GapReference:
    """What the dispersion of vectors without clusters is.

    Attributes:
        width: D.
        log_dispersion: [L + 1, M + 1] float64, the mean of log W*_k of n vectors in row n, column k; NaN where k is not
            in 1 .. n - 1, and all along the rows of lengths that were not asked for.
        error: [L + 1, M + 1] float64, e_k likewise.
    """

    width: int
    log_dispersion: NDArray[np.float64]
    error: NDArray[np.float64]

    @property
    def max_clusters(self) -> int:
        """M."""
        return int(self.error.shape[1]) - 1


def uniform_reference(
    lengths: Ints,
    width: int,
    max_clusters: int,
    generator: np.random.Generator,
    *,
    n_draws: int = 100,
    grow: Callable[[Floats, Ints], Dendrograms] = average_linkage,
) -> GapReference:
    """Draw and cluster uniform vectors for every length that occurs.

    Every length has its own stream of random numbers, so that a user's K does not depend on how long the histories of
    others are.

    Args:
        lengths: int64 of any shape, of the histories; repeats are drawn once.
        width: D, at least 2.
        max_clusters: M, at least 1.
        generator: of which one number is taken.
        n_draws: how often vectors are drawn for a length, at least 2.
        grow: the linkage of the users' trees.
    """
    for name, value, least in (("width", width, 2), ("max_clusters", max_clusters, 1), ("n_draws", n_draws, 2)):
        require_number(name, value, at_least=least)
    seed = int(generator.integers(2**63))
    shape = int(lengths.max(initial=0)) + 1, max_clusters + 1
    log_dispersion, error = np.full(shape, np.nan), np.full(shape, np.nan)
    for n in np.unique(lengths):
        rows = np.random.default_rng((seed, n)).standard_normal((n_draws * n, width), np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        found = log_dispersions(rows, grow(rows, np.arange(n_draws + 1) * n), max_clusters)
        log_dispersion[n] = found.mean(0)
        error[n] = found.std(0) * np.sqrt(1 + 1 / n_draws)
    return GapReference(width, log_dispersion, error)


def gap_k(vectors: Floats, dendrograms: Dendrograms, reference: GapReference) -> Ints:
    """Return the number of clusters of each user, [B] int64, for `Dendrograms.cut`.

    Looks at 1 to n - 1 clusters, M at most; where none is enough by the rule, K is the most of these. So K is 1 for one
    or two behaviours, whatever they are, and 0 for none. Clusters of equal behaviours have no dispersion, and an
    infinite gap: K is never more than the distinct behaviours, and 1 where all are the same.

    Args:
        vectors: [P, D] float32 of unit length, finite: those the dendrograms are of.
        dendrograms: the users' trees.
        reference: of the same width, for all of these users' lengths.

    Raises:
        BadInput: a reference for another width, or without one of the lengths.
    """
    n = dendrograms.n_behaviours
    _require_tabled(vectors, n, reference)
    tabled = reference.log_dispersion[n], reference.error[n]  # [B, M + 1]
    gap = tabled[0] - log_dispersions(vectors, dendrograms, reference.max_clusters)
    enough = np.zeros(gap.shape, np.bool_)
    enough[:, :-1] = gap[:, :-1] >= gap[:, 1:] - tabled[1][:, 1:]  # False where either is NaN
    most = np.clip(n - 1, 1, reference.max_clusters)
    enough[np.arange(len(n)), most] = True
    K: Ints = np.minimum(enough.argmax(1), n)
    return K


def _require_tabled(vectors: Floats, n: Ints, reference: GapReference) -> None:
    if vectors.shape[1] != reference.width:
        raise BadInput(
            f"vectors must be {reference.width} wide, as the reference is, got {vectors.shape[1]}: "
            "draw a reference of their width."
        )
    known = np.append(~np.isnan(reference.log_dispersion[:, 1]), False)
    missing = np.unique(n[(n > 1) & ~known[np.minimum(n, len(known) - 1)]])
    if len(missing):
        raise BadInput(
            f"the reference must know every length, got histories of {', '.join(map(str, missing[:9]))} behaviours "
            "that it was not drawn for: pass all lengths to uniform_reference."
        )


def log_dispersions(vectors: Floats, dendrograms: Dendrograms, max_clusters: int) -> NDArray[np.float64]:
    """Return log W_k of the cut into k clusters in column k, [B, M + 1].

    -inf where every cluster is one behaviour again and again, NaN where k is not in 1 .. n - 1.
    """
    rows, finest, labels = finest_cuts(vectors, dendrograms, max_clusters)
    dispersions = np.full((len(finest), max_clusters + 1), np.nan)
    _disperse_all(rows, dendrograms.starts, dendrograms.joined, labels, finest, dispersions)
    with np.errstate(divide="ignore"):
        log_dispersion: NDArray[np.float64] = np.log(dispersions)
    return log_dispersion


_NOTHING = 1e-12  # dispersion of a behaviour; less is rounding


@njit(cache=True, nogil=True, error_model="numpy")
def _disperse_all(vectors, starts, joined, labels, finest, dispersions):  # type: ignore[no-untyped-def]
    M, D = dispersions.shape[1] - 1, vectors.shape[1]
    total, size, longest = np.empty((M, D)), np.empty(M), 0
    for user in range(len(starts) - 1):
        longest = max(longest, starts[user + 1] - starts[user])
    own = np.empty(longest, np.int64)
    for user in range(len(starts) - 1):
        first, n, K = starts[user], starts[user + 1] - starts[user], finest[user]
        if n < 2:
            continue
        for i in range(n):
            own[i] = labels[first + i]
        total[:K], size[:K] = 0.0, 0.0
        for i in range(n):
            _add(vectors[first + i], total[own[i]])
            size[own[i]] += 1.0
        within = 0.0
        for k in range(K):
            within += _dispersion(total[k], size[k])
        for k in range(K, 0, -1):
            dispersions[user, k] = 0.0 if within < _NOTHING * n else within
            if k > 1:
                a, b = own[joined[first + n - k, 0]], own[joined[first + n - k, 1]]
                within -= _dispersion(total[a], size[a]) + _dispersion(total[b], size[b])
                total[a] += total[b]
                size[a] += size[b]
                within += _dispersion(total[a], size[a])
                for i in range(n):
                    own[i] = a if own[i] == b else own[i]


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"}, error_model="numpy")
def _add(vector, total):  # type: ignore[no-untyped-def]
    """Add a vector in float64, of unit length to the last digits: equal ones then have no dispersion at all."""
    square = 0.0
    for d in range(len(vector)):
        square += np.float64(vector[d]) * np.float64(vector[d])
    scale = 1.0 / np.sqrt(square)
    for d in range(len(vector)):
        total[d] += scale * vector[d]


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"}, error_model="numpy")
def _dispersion(total, size):  # type: ignore[no-untyped-def]
    square = 0.0
    for d in range(len(total)):
        square += total[d] * total[d]
    return size - square / size
