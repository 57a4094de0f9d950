"""One user's behaviours -> density clusters, by the libraries: HDBSCAN (hdbscan) and DBSCAN (scikit-learn).

Campello, Moulavi and Sander, "Density-Based Clustering Based on Hierarchical Density Estimates" (PAKDD 2013); Ester,
Kriegel, Sander and Xu, "A Density-Based Algorithm for Discovering Clusters" (KDD 1996). Distances are euclidean: of
vectors of unit length they have the order of the cosine, |x - y|^2 = 2 - 2 cos(x, y). A library call takes far longer
than so small a tree does, so `batched_hdbscan` is for many users; this is its slow twin.

Differs from the papers: behaviours that are equal, number for number, count as one and share its label, since a
repeated item would otherwise be a cluster of its own, of infinite density. And min_samples counts the others near a
behaviour, for both methods: it is m_pts - 1 and MinPts - 1 of the papers, which count the behaviour itself.

n behaviours of one user, P of B users, D width, C clusters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from baselines.errors import BadInput, require_number

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

NOISE = -1
"""The label of a behaviour in no dense group."""


@dataclass(frozen=True)
class DensityClusters:
    """The density clusters of B users, whose P behaviours lie back to back.

    Attributes:
        labels: [P] int64, a behaviour's cluster, from 0 within each user; -1 (`NOISE`) where it is in none.
        n_clusters: [B] int64; 0 where all is noise, and what that means is for the caller to say.
        persistence: [C] float64, C the sum of `n_clusters`: cluster k of user b is in row `first_cluster[b] + k`. Its
            excess of mass over the most it could be, hdbscan's `cluster_persistence_`: from 0, it hardly is one, to 1.
    """

    labels: Ints
    n_clusters: Ints
    persistence: NDArray[np.float64]

    @property
    def first_cluster(self) -> Ints:
        """[B + 1] int64, where each user's clusters begin in `persistence`."""
        return starts_of(self.n_clusters)


def hdbscan_clusters(
    vectors: Floats, *, min_cluster_size: int, min_samples: int, allow_single_cluster: bool = False
) -> DensityClusters:
    """Find one user's density clusters by HDBSCAN with the excess of mass.

    No behaviour, one, or one again and again: all noise, where the library refuses or finds a cluster of no extent.
    Fewer distinct ones than `min_cluster_size`: all noise; with `allow_single_cluster`, one cluster of all of them.
    With `min_samples` > 1, which of several equal distances comes first is left to numpy's sort, and so to the
    processor; `batched_hdbscan` has an order of its own.

    Args:
        vectors: [n, D] float32 of unit length, finite.
        min_cluster_size: distinct behaviours that make a cluster, at least 2.
        min_samples: at least 1; a behaviour's density is taken from the distance to its `min_samples`-th nearest other
            (the library lowers it to n - 1).
        allow_single_cluster: whether the whole history may be the only cluster. It suits users with one interest, and
            takes many of those with several for such.

    Returns:
        The clusters of a batch of one user.

    Raises:
        BadInput: a vector with a NaN or an infinite entry, an impossible size.
    """
    require_finite(vectors)
    require_sizes(min_cluster_size, min_samples)
    distinct, which = _distinct(vectors)
    if len(distinct) < 2:
        return DensityClusters(np.full(len(vectors), NOISE), np.zeros(1, np.int64), np.zeros(0))
    from hdbscan import HDBSCAN  # here, not above: it takes a second

    found = HDBSCAN(
        min_cluster_size=min_cluster_size,
        min_samples=min_samples,
        allow_single_cluster=allow_single_cluster,
        algorithm="prims_kdtree",  # exact, whatever D; "best" takes an approximate spanning tree up to D = 60
    ).fit(distinct.astype(np.float64))
    persistence = np.asarray(found.cluster_persistence_, np.float64)
    return DensityClusters(found.labels_.astype(np.int64)[which], np.array([len(persistence)]), persistence)


def dbscan_labels(vectors: Floats, *, radius: float, min_samples: int) -> Ints:
    """Label one user's behaviours by DBSCAN.

    No behaviour has no label; where none has enough others within the radius, all are noise. One again and again is one
    behaviour with no other near it, and noise.

    Args:
        vectors: [n, D] float32 of unit length, finite.
        radius: euclidean distance within which others are near, greater than 0; r means a cosine of 1 - r^2 / 2.
        min_samples: near others that make a behaviour a core one, at least 1.

    Returns:
        [n] int64 from 0, -1 (`NOISE`) where a behaviour is neither core nor near one that is.

    Raises:
        BadInput: a vector with a NaN or an infinite entry, an impossible setting.
    """
    require_finite(vectors)
    require_number("radius", radius, above=0)
    require_number("min_samples", min_samples, at_least=1)
    distinct, which = _distinct(vectors)
    if len(distinct) == 0:
        return np.zeros(0, np.int64)
    from sklearn.cluster import DBSCAN

    # the library counts the behaviour itself
    found = DBSCAN(eps=radius, min_samples=min_samples + 1).fit(distinct.astype(np.float64))
    return np.asarray(found.labels_, np.int64)[which]


def starts_of(sizes: Ints) -> Ints:
    """Where each of B parts begins that lie back to back, and where the last ends, [B + 1] int64."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])


def require_finite(vectors: Floats | Tensor) -> None:
    """Refuse anything but a matrix of finite numbers: clustering would make labels of a NaN without a word."""
    if vectors.ndim != 2 or vectors.shape[1] == 0:
        raise BadInput(f"vectors must be a matrix [behaviours, width], got the shape {tuple(vectors.shape)}.")
    if isinstance(vectors, Tensor):
        if bool(vectors.isfinite().all()):
            return
        vectors = vectors.cpu().numpy()
    with np.errstate(invalid="ignore", over="ignore"):
        if np.isfinite(vectors.sum()):
            return  # the quick way; the other one says where it is
    broken = ~np.isfinite(vectors).all(1)
    if broken.any():
        raise BadInput(
            f"vectors must be finite, got a NaN or an infinity in {broken.sum()} of {len(vectors)} rows, the first of "
            f"them {int(broken.argmax())}: training may have diverged, or a vector of zeros was divided by its length."
        )


def require_sizes(min_cluster_size: int, min_samples: int) -> None:
    """Refuse sizes of which no cluster can be."""
    for name, value, least in (("min_cluster_size", min_cluster_size, 2), ("min_samples", min_samples, 1)):
        require_number(name, value, at_least=least)
        if not isinstance(value, int | np.integer):
            raise BadInput(f"{name} must be a whole number, got {value!r}.")


def _distinct(vectors: Floats) -> tuple[Floats, Ints]:
    """Return the distinct vectors [m, D], in the order of their first appearance, and which of them each one is [n]."""
    if len(vectors) == 0:
        return vectors, np.zeros(0, np.int64)
    _, first, which = np.unique(vectors + np.float32(0), axis=0, return_index=True, return_inverse=True)  # -0 is 0
    order = np.argsort(first)
    return vectors[first[order]], np.argsort(order)[which.reshape(-1)]
