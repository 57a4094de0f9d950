"""What becomes of behaviours in no dense group: an interest each, one together, part of the nearest one, or of none.

Density clustering leaves a large part of a short history as noise, and a behaviour that fits nowhere may be the next
interest's first. Which rule is best is for the data to say (`noise` of the extractor).

P behaviours of B users, ragged as in `dendrogram`. D width.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from adaptive_mi.density import NOISE, DensityClusters, Floats, Ints

Noise = Literal["alone", "shared", "nearest", "dropped"]


def settle_noise(vectors: Floats, starts: Ints, distinct: Ints, found: DensityClusters, rule: Noise) -> Ints:
    """Label the behaviours anew, [P] int64, each user's from 0; -1 = in no interest.

    A user for whom no cluster was found has one interest, the whole history, unless noise stands `alone`: under every
    other rule all of it is together.

    Args:
        vectors: [P, D] float32 of unit length.
        starts: [B + 1] int64.
        distinct: [P] int64, equal for equal behaviours of a user: these stand alone together.
        found: the density clusters.
        rule: `alone`, each behaviour an interest, after the clusters; `shared`, all of a user's in one interest, after
            the clusters; `nearest`, with the cluster whose mean it is nearest to by cosine; `dropped`.
    """
    labels, n_clusters = found.labels.copy(), found.n_clusters
    user = np.repeat(np.arange(len(n_clusters)), np.diff(starts))  # [P]
    noise = labels == NOISE
    if rule == "alone":
        keys, rank = np.unique(user[noise] * (len(labels) + 1) + distinct[noise], return_inverse=True)
        first = np.searchsorted(keys, user[noise] * (len(labels) + 1))  # of the user's own among all
        labels[noise] = n_clusters[user[noise]] + rank - first
        return labels
    labels[(n_clusters == 0)[user]] = 0
    noise &= (n_clusters > 0)[user]
    if rule == "shared":
        labels[noise] = n_clusters[user[noise]]
    if rule == "nearest" and noise.any():
        labels[noise] = _nearest(vectors, user, labels, noise, int(n_clusters.max()))
    return labels


def _nearest(vectors: Floats, user: Ints, labels: Ints, noise: NDArray[np.bool_], K: int) -> Ints:
    """The cluster, of K at most, whose mean direction is nearest to each behaviour that is noise."""
    sums = np.zeros((int(user[-1]) + 1, K, vectors.shape[1]))
    np.add.at(sums, (user[~noise], labels[~noise]), vectors[~noise])
    length = np.linalg.norm(sums, axis=-1)  # [B, K]
    match = np.einsum("pd,pkd->pk", vectors[noise], sums[user[noise]])
    match = np.where(length[user[noise]] > 0, match / np.maximum(length[user[noise]], 1e-12), -np.inf)
    nearest: Ints = match.argmax(1)
    return nearest
