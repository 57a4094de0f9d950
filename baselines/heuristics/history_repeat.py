"""History repeat: a user's own past as the prediction. B users, N items."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from baselines.heuristics.behaviours import Behaviours
from baselines.heuristics.heuristic import Heuristic
from baselines.sequences import Sequences


class HistoryRepeat(Heuristic):
    """Recommends the user's own distinct items, the latest first, and nothing else.

    An item's score is minus its age, the number of the user's behaviours after its last occurrence. The measure of how
    much of a dataset is repetition: a method that loses to it has learnt nothing.
    """

    def fit(self, train: Sequences) -> Self:
        """Learn nothing but the size of the catalogue."""
        self.n_items = train.n_items
        return self

    def scores(self, histories: Behaviours) -> NDArray[np.float32]:
        """Return minus the age of each user's own items, [B, N + 1]; -inf elsewhere."""
        scores = np.full((histories.n_users, histories.n_items + 1), -np.inf, np.float32)
        scores[histories.user, histories.item] = -histories.age  # oldest first: an item's last occurrence stays
        return scores
