"""What only the generator knows.

R behaviours, U users, N items, K planted interests at most, C leaf categories, D width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from experiments.data.synthetic.config import SyntheticConfig


@dataclass(frozen=True)
class PlantedTruth:
    """The planted interests of a log, aligned with its rows, users and items. An interest is a leaf category.

    Attributes:
        config: the generating parameters.
        true_interest: [R] int32 in 0..C-1, the interest that led to each behaviour; -1 = noise.
        realised_k: [U] int64, interests that led to at least one of the user's behaviours in the log (0 if all noise).
        interests: [U, K] int32, the planted interests in the order in which they were drawn; -1 past the last.
        weights: [U, K] float64, their weights in the middle of the history; a row sums to 1.
        slopes: [U, K] float64 in -1..1, how the log weights move, in units of `config.drift` per half history.
        item_leaf: [N + 1] int32, the leaf of each item; -1 for padding.
        item_vectors: [N + 1, D] float32, positions of the items in the latent space of the tree; 0 for padding.
    """

    config: SyntheticConfig
    true_interest: NDArray[np.int32]
    realised_k: NDArray[np.int64]
    interests: NDArray[np.int32]
    weights: NDArray[np.float64]
    slopes: NDArray[np.float64]
    item_leaf: NDArray[np.int32]
    item_vectors: NDArray[np.float32]

    @property
    def planted_k(self) -> NDArray[np.int64]:
        """Interests that each user was given, [U] int64 in 1..8; a short history need not show them all."""
        planted: NDArray[np.int64] = (self.interests >= 0).sum(1)
        return planted

    def take(
        self,
        keep: NDArray[np.bool_],
        users: NDArray[np.int64],
        items: NDArray[np.int64],
        user: NDArray[np.int32],
    ) -> PlantedTruth:
        """Follow the log through a filter and a renumbering.

        Args:
            keep: [R] bool, the rows that are kept, in their order.
            users: [U'] the former number of each user that is left.
            items: [N' + 1] the former number of each item that is left; entry 0 is padding.
            user: [R'] the new user of each row that is left.
        """
        true_interest = self.true_interest[keep]
        return replace(
            self,
            true_interest=true_interest,
            realised_k=distinct_interests(user, true_interest, len(users)),
            interests=self.interests[users],
            weights=self.weights[users],
            slopes=self.slopes[users],
            item_leaf=self.item_leaf[items],
            item_vectors=self.item_vectors[items],
        )


def distinct_interests(user: NDArray[np.integer], true_interest: NDArray[np.int32], n_users: int) -> NDArray[np.int64]:
    """Return how many distinct interests other than noise (-1) each user's behaviours have, [U] int64.

    >>> distinct_interests(np.array([0, 0, 0, 2]), np.array([3, 3, 1, -1]), 3)
    array([2, 0, 0])
    """
    width = int(true_interest.max(initial=0)) + 1
    seen = true_interest >= 0
    pairs = np.unique(user[seen].astype(np.int64) * width + true_interest[seen])
    return np.bincount(pairs // width, minlength=n_users)
