"""The two verbs the evaluator knows: `rank`, and for methods with interests `interests`.

B users, N items, n places.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baselines.batch import Batch
from baselines.interests import Interests


@dataclass(frozen=True)
class Ranking:
    """The best n items of the full catalogue for each user.

    Attributes:
        items: [B, n] int32 item ids by descending score, ties by ascending id; 0 past the last item that the
            method recommends at all (a heuristic recommends only what it has evidence for).
        scores: [B, n] float32; -inf where `items` is 0.
    """

    items: NDArray[np.int32]
    scores: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.items.shape != self.scores.shape or self.items.ndim != 2:
            raise ValueError(f"items {self.items.shape} and scores {self.scores.shape} must both be [B, n]")


@dataclass(frozen=True)
class Answer:
    """What a ranker has to say of a batch: both verbs at once.

    Attributes:
        ranking, interests: the answers.
        extraction_seconds, retrieval_seconds: what finding the interests, and ranking by them, took; a method without
            interests has retrieval alone.
    """

    ranking: Ranking
    interests: Interests | None
    extraction_seconds: float = 0.0
    retrieval_seconds: float = 0.0


class Ranker:
    """Anything that can be evaluated."""

    max_history: int | None = None
    """How many of the latest behaviours the method reads; None = all of them."""

    def rank(self, batch: Batch, top_n: int) -> Ranking:
        """Rank all N items for each user of the batch and return the first `top_n`, exactly.

        A user's ranking depends on nothing but that user's history: not on B, on the other users of the batch, on
        the memory budget or on the number of threads.
        """
        raise NotImplementedError

    def interests(self, batch: Batch) -> Interests | None:
        """Return the users' interests, or None for a method that has none."""
        del batch
        return None

    def answer(self, batch: Batch, top_n: int) -> Answer:
        """Return `rank` and `interests`; a method that ranks by its interests finds them once."""
        started = time.perf_counter()
        ranking = self.rank(batch, top_n)
        return Answer(ranking, self.interests(batch), retrieval_seconds=time.perf_counter() - started)
