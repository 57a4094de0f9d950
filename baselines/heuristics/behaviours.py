"""Many users' behaviours as one flat list that remembers how recent each is: what every heuristic counts.

U users, M behaviours, N items.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse
from torch import Tensor

from baselines.errors import BadInput
from baselines.interests import recency_rank
from baselines.sequences import Sequences


@dataclass(frozen=True)
class Behaviours:
    """M behaviours of U users, sorted by user and, within a user, from the oldest to the latest.

    Attributes:
        user: [M] int64 in 0..n_users-1.
        item: [M] int64 in 1..n_items.
        age: [M] int64, how many behaviours of the same user are later; 0 = the latest.
        n_users: U.
        n_items: N.
    """

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    age: NDArray[np.int64]
    n_users: int
    n_items: int

    @classmethod
    def of_sequences(cls, sequences: Sequences) -> Behaviours:
        """Flatten training sequences."""
        user = sequences.users
        age = sequences.offsets[user + 1] - 1 - np.arange(len(user))
        return cls(user, sequences.items.astype(np.int64), age, len(sequences), sequences.n_items)

    @classmethod
    def of_histories(cls, history: Tensor, history_mask: Tensor, n_items: int) -> Behaviours:
        """Flatten padded histories [U, L]; what lies under padding is never read.

        Raises:
            BadInput: an item outside 1..n_items.
        """
        keep = history_mask.cpu().numpy()
        item = history.cpu().numpy()[keep]
        if len(item) and (item.min() < 1 or item.max() > n_items):
            raise BadInput(
                f"a history holds item {item.max() if item.max() > n_items else item.min()}, but the method was fitted "
                f"on items 1..{n_items}: rank histories of the catalogue it was fitted on"
            )
        age = recency_rank(history_mask).cpu().numpy()[keep]
        return cls(np.nonzero(keep)[0], item, age, len(keep), n_items)

    def latest(self, n: int) -> Behaviours:
        """Return each user's `n` latest behaviours; 0 = all."""
        if n == 0:
            return self
        keep = self.age < n
        return Behaviours(self.user[keep], self.item[keep], self.age[keep], self.n_users, self.n_items)

    def weighted(self, weight: NDArray[np.float64]) -> sparse.csr_matrix:
        """Return [U, N + 1] float64: each user's sum of `weight` [M] over the behaviours on an item."""
        return sparse.csr_matrix((weight, (self.user, self.item)), shape=(self.n_users, self.n_items + 1))

    def distinct(self, dtype: DTypeLike) -> sparse.csr_matrix:
        """Return [U, N + 1] with 1 where the user has the item, however often."""
        matrix = self.weighted(np.ones(len(self.item))).astype(dtype)
        matrix.data[:] = 1
        return matrix

    def left_out(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return `scores` [U, N + 1] with -inf, which is never recommended, for the users' own items."""
        scores[self.user, self.item] = -np.inf
        return scores
