"""A recommender that is served with other interests than it finds: what controls in serving have in common.

P vectors of all users, back to back. D width.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baselines.batch import Batch
from baselines.interests import Interests
from baselines.ranker import Answer, Ranker, Ranking
from baselines.recommender import Recommender

Floats = NDArray[np.float32]


class MovedInterests(Ranker):
    """Ranks by `interests`, which whoever derives from it makes of the recommender's own.

    Args:
        recommender: in eval mode.
    """

    def __init__(self, recommender: Recommender) -> None:
        self.recommender = recommender
        self.max_history: int = recommender.scoring.max_history

    def rank(self, batch: Batch, top_n: int) -> Ranking:
        """See `Ranker.rank`."""
        return self.answer(batch, top_n).ranking

    def answer(self, batch: Batch, top_n: int) -> Answer:
        """See `Ranker.answer`."""
        return self.recommender.answer_by(self.interests, batch, top_n)

    def interests(self, batch: Batch) -> Interests:
        """Return the interests that are served."""
        raise NotImplementedError


def length_of(vectors: Floats) -> Floats:
    """Length of each vector of [P, D], [P, 1]; in numpy, whose rows mind no other rows."""
    length: Floats = np.sqrt(np.square(vectors).sum(-1, keepdims=True))
    return length


def at_length(vectors: Floats, length: Floats) -> Floats:
    """Bring vectors [P, D] to lengths [P, 1]."""
    divisor: Floats = np.maximum(length_of(vectors), 1e-12)
    scaled: Floats = vectors * (length / divisor)
    return scaled
