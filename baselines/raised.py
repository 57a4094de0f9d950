"""Items that score otherwise than they match, for one user alone: put into a ranking where they belong.

B users, L raised items, n places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baselines.ranker import Ranking


@dataclass(frozen=True)
class Raised:
    """Items whose scores are raised, or lowered, by user.

    Attributes:
        items: [B, L] int64 distinct ids; 0 where there is none.
        bonus: [B, L] float32, added to the score that the match gives.
    """

    items: NDArray[np.int64]
    bonus: NDArray[np.float32]

    def insert(self, ranking: Ranking, scores: NDArray[np.float32], top_n: int) -> Ranking:
        """Rank anew, by descending score and then ascending id.

        Args:
            ranking: without bonus, to L places more than are wanted: when all raised items are taken out of it, enough
                others are left.
            scores: [B, L] of the raised items, without bonus; anything where there is none.
            top_n: n, places wanted.
        """
        taken_out = (ranking.items[:, :, None] == self.items[:, None]).any(2)
        others = np.where(taken_out, -np.inf, ranking.scores)
        raised = np.where(self.items > 0, scores + self.bonus, -np.inf)
        items = np.concatenate([ranking.items, self.items.astype(np.int32)], 1)
        joined = np.concatenate([others, raised], 1).astype(np.float32)
        items[joined == -np.inf] = 0
        best = np.lexsort((items, -joined))[:, :top_n]
        return Ranking(np.take_along_axis(items, best, 1), np.take_along_axis(joined, best, 1))
