"""Dynamic routing one user, one behaviour, one interest at a time: the twin of the capsule extractors."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def slow_squash(s: Array) -> Array:
    length = math.sqrt(float(s @ s))
    return s * (length**2 / (1 + length**2) / length) if length else s


def slow_route(votes: Array, logits: Array, n_rounds: int) -> tuple[Array, Array]:
    """Votes [n, K, D] and first logits [n, K] of one user -> capsules [K, D], couplings [n, K] of the last round."""
    n, K, D = votes.shape
    b = logits.astype(float).copy()
    for _ in range(n_rounds):
        c = np.zeros((n, K))
        for i in range(n):
            total = sum(math.exp(b[i, k]) for k in range(K))
            for j in range(K):
                c[i, j] = math.exp(b[i, j]) / total
        h = np.zeros((K, D))
        for j in range(K):
            h[j] = slow_squash(sum((c[i, j] * votes[i, j] for i in range(n)), np.zeros(D)))
        for i in range(n):
            for j in range(K):
                b[i, j] += h[j] @ votes[i, j]
    return h, c
