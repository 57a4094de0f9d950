"""Histories whose interests are known, because they were planted, and how much of them a clustering finds again.

A user has K interests, directions m drawn uniformly on the sphere. A behaviour of one is

    x = sqrt(c) m + sqrt(1 - c) e,   e uniform among the directions orthogonal to m,

so that the cosine of two behaviours of one interest is c in the mean; that of behaviours of two interests is 0 in the
mean, with a deviation of about c / sqrt(D) from pair of interests to pair. A share of the behaviours is noise, uniform
on the sphere and of no interest. Every interest has at least two behaviours, since one alone cannot be told from noise.

B users, L behaviours, K interests, D width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adaptive_mi.density import NOISE, Floats, Ints

MOST_INTERESTS = 8


@dataclass(frozen=True)
class PlantedHistories:
    """What was planted.

    Attributes:
        vectors: [B, L, D] float32 of unit length, in no order.
        labels: [B, L] int64, a behaviour's interest from 0; -1 = noise.
        n_interests: [B] int64, as many users with each number as with any other, from 1 to `most`, the longest history
            permitting.
    """

    vectors: Floats
    labels: Ints
    n_interests: Ints


def plant(
    n_users: int, length: int, cosine: float, noise: float, generator: np.random.Generator, *, width: int = 64
) -> PlantedHistories:
    """Draw histories with 1 to 8 interests, fewer where there are not two behaviours for each.

    Args:
        n_users: B; length: L, at least 2; width: D, at least 2.
        cosine: c, the mean cosine of two behaviours of one interest, from 0 to 1.
        noise: share of the behaviours that is noise; rounded to whole behaviours, the same number for every user.
        generator: the only source of randomness.
    """
    n_noise = round(noise * length)
    n_interests = np.arange(n_users) % max(1, min(MOST_INTERESTS, (length - n_noise) // 2)) + 1  # [B]
    turn = np.arange(length - n_noise)  # the first 2 K behaviours go to each interest in turn, the others by chance
    K = n_interests[:, None]
    by_chance = (generator.random((n_users, len(turn))) * K).astype(np.int64)
    labels = np.full((n_users, length), NOISE)
    labels[:, n_noise:] = np.where(turn < 2 * K, turn % K, by_chance)
    labels = generator.permuted(labels, axis=1)  # [B, L]
    centres = _unit(generator.standard_normal((n_users, MOST_INTERESTS, width), np.float32))
    centre = np.take_along_axis(centres, np.maximum(labels, 0)[..., None], 1)  # [B, L, D]
    vectors = _unit(generator.standard_normal((n_users, length, width), np.float32))
    beside = _unit(vectors - np.einsum("bld,bld->bl", vectors, centre)[..., None] * centre)
    planted = np.float32(np.sqrt(cosine)) * centre + np.float32(np.sqrt(1 - cosine)) * beside
    vectors = np.where(labels[..., None] == NOISE, vectors, planted)
    return PlantedHistories(vectors, labels, n_interests)


@dataclass(frozen=True)
class Recovery:
    """How much of what was planted was found, by user, [B] each.

    Attributes:
        exact: whether as many clusters of at least two behaviours were found as interests were planted. A behaviour
            alone in its cluster is not counted: where it is noise, that is where it belongs.
        exact_of_all: whether as many clusters of any size were found.
        error: |clusters of at least two behaviours - K|.
        agreement: the adjusted Rand index of found and planted labels, noise left out.
        merged: whether behaviours of two interests share a cluster.
        split: whether behaviours of one interest are in two clusters.
        gathered: whether a cluster of at least two behaviours has nothing but noise.
    """

    exact: NDArray[np.bool_]
    exact_of_all: NDArray[np.bool_]
    error: Ints
    agreement: NDArray[np.float64]
    merged: NDArray[np.bool_]
    split: NDArray[np.bool_]
    gathered: NDArray[np.bool_]


def recovery(found: Ints, planted: PlantedHistories) -> Recovery:
    """Compare clusters with what was planted.

    Args:
        found: [B, L] int64 from 0 within each user, a behaviour's cluster.
        planted: the truth.
    """
    everything = np.ones(found.shape, np.bool_)
    size = _shared(found, planted.labels + 1, everything)  # [B, clusters, noise and interests]
    of_interest = size[:, :, 1:]
    n_clusters = (size.sum(2) > 1).sum(1)
    return Recovery(
        exact=n_clusters == planted.n_interests,
        exact_of_all=(size.sum(2) > 0).sum(1) == planted.n_interests,
        error=np.abs(n_clusters - planted.n_interests),
        agreement=adjusted_rand(found, planted.labels),
        merged=((of_interest > 0).sum(2) > 1).any(1),
        split=((of_interest > 0).sum(1) > 1).any(1),
        gathered=((size[:, :, 0] > 1) & (of_interest.sum(2) == 0)).any(1),
    )


def adjusted_rand(found: Ints, planted: Ints) -> NDArray[np.float64]:
    """Return the adjusted Rand index of each user's labels, [B] (Hubert and Arabie, "Comparing Partitions", 1985).

    With n_ij behaviours in cluster i and interest j, and pairs(n) = n (n - 1) / 2, over the behaviours that are not
    noise: S = sum of pairs(n_ij), A = sum of pairs(n_i.), B = sum of pairs(n_.j), and

        index = (S - A B / pairs(n)) / ((A + B) / 2 - A B / pairs(n)):

    1 where the partitions are the same, and so where both are one cluster or both are all single behaviours; 0 in the
    mean over labels by chance, and where one of the two is one cluster and the other is not.

    Args:
        found: [B, L] int64 from 0.
        planted: [B, L] int64 from 0; -1 = noise.

    >>> adjusted_rand(np.array([[0, 0, 1, 1], [0, 0, 0, 1]]), np.array([[1, 1, 0, 0], [0, 0, 0, -1]]))
    array([1., 1.])
    """
    counted = planted != NOISE
    shared = _shared(found, planted, counted)
    together = _pairs(shared).sum((1, 2))
    of_found, of_planted = _pairs(shared.sum(2)).sum(1), _pairs(shared.sum(1)).sum(1)
    expected = of_found * of_planted / np.maximum(_pairs(counted.sum(1)), 1)
    most = (of_found + of_planted) / 2
    same = most == expected
    return np.where(same, 1.0, (together - expected) / np.where(same, 1.0, most - expected))


def _shared(found: Ints, planted: Ints, counted: NDArray[np.bool_]) -> Ints:
    """Count the behaviours with each pair of labels, [B, found, planted], among those `counted` [B, L]."""
    user = np.broadcast_to(np.arange(len(found))[:, None], found.shape)[counted]
    shared = np.zeros((len(found), int(found.max(initial=0)) + 1, int(planted.max(initial=0)) + 1), np.int64)
    np.add.at(shared, (user, found[counted], planted[counted]), 1)
    return shared


def _pairs(n: Ints) -> NDArray[np.float64]:
    pairs: NDArray[np.float64] = n * (n - 1) / 2
    return pairs


def _unit(vectors: Floats) -> Floats:
    unit: Floats = vectors / np.sqrt(np.einsum("...d,...d->...", vectors, vectors))[..., None]
    return unit
