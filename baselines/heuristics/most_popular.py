"""Most popular: the same list for everybody. B users, N items, n places."""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from baselines.batch import Batch
from baselines.heuristics.behaviours import Behaviours
from baselines.heuristics.heuristic import Heuristic
from baselines.ranker import Ranking
from baselines.sequences import Sequences


class MostPopular(Heuristic):
    """Ranks items by their number of training behaviours (a user's repeats count each time).

    Items that never occur in training are not recommended.
    """

    fitted = ("counts",)
    counts: NDArray[np.int64]  # [N + 1]

    def fit(self, train: Sequences) -> Self:
        """Count the training behaviours of each item."""
        self.n_items, self.counts = train.n_items, train.item_counts
        return self

    def scores(self, histories: Behaviours) -> NDArray[np.float32]:
        """Return the counts for every user, [B, N + 1]."""
        popularity = np.where(self.counts > 0, self.counts, -np.inf).astype(np.float32)
        return np.tile(popularity, (histories.n_users, 1))

    def rank(self, batch: Batch, top_n: int) -> Ranking:
        """Rank once and hand everybody the same list."""
        one = super().rank(Batch.of(torch.zeros(1, 1, dtype=torch.int64)), top_n)
        return Ranking(np.repeat(one.items, len(batch), axis=0), np.repeat(one.scores, len(batch), axis=0))
