"""What the methods without a gradient share: fit once, score densely in bounded memory, save as arrays.

B users, N items, n places.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from baselines.batch import Batch
from baselines.errors import BadInput
from baselines.heuristics.behaviours import Behaviours
from baselines.ranker import Ranker, Ranking
from baselines.retrieval import top_n_of_scores
from baselines.sequences import Sequences


class Heuristic(Ranker):
    """A method that is counted or solved from the training sequences. A subclass gives `fit` and `scores`.

    No heuristic removes the history from a ranking: whether repeats count is the evaluation's question.

    Attributes:
        n_items: N of the catalogue it was fitted on; 0 before `fit`.
    """

    stochastic: ClassVar[bool] = False
    """Whether a seed changes the result: no, so one seed is enough."""

    fitted: ClassVar[tuple[str, ...]] = ()
    """Names of the array attributes that `fit` sets, in other words what is saved."""

    memory_budget: int = 64 << 20
    """Bytes of dense scores held at a time while ranking; no result depends on it."""

    n_items: int = 0

    def fit(self, train: Sequences) -> Self:
        """Learn from the training sequences, all behaviours of each user."""
        raise NotImplementedError

    def scores(self, histories: Behaviours) -> NDArray[np.float32]:
        """Score all items for each user, [B, N + 1] float32; -inf = not recommended; column 0 is ignored."""
        raise NotImplementedError

    def rank(self, batch: Batch, top_n: int) -> Ranking:
        """Rank all N items for each user, a few users at a time (see `Ranker.rank`)."""
        if not self.n_items:
            raise RuntimeError(f"{type(self).__name__} must be fitted or loaded before it can rank")
        rows = max(1, self.memory_budget // (4 * (self.n_items + 1)))
        parts = []
        for start in range(0, max(len(batch), 1), rows):
            some = slice(start, start + rows)
            histories = Behaviours.of_histories(batch.history[some], batch.history_mask[some], self.n_items)
            parts.append(top_n_of_scores(self.scores(histories), top_n))
        return Ranking(np.concatenate([part.items for part in parts]), np.concatenate([part.scores for part in parts]))

    def state(self) -> dict[str, NDArray[Any]]:
        """Return everything `fit` learnt, as arrays by name."""
        return {"n_items": np.array([self.n_items])} | {name: getattr(self, name) for name in self.fitted}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> Self:
        """Take back what `state` returned.

        Raises:
            BadInput: arrays of another method.
        """
        expected = {"n_items", *self.fitted}
        if set(state) != expected:
            raise BadInput(
                f"a saved {type(self).__name__} has the arrays {', '.join(sorted(expected))}, got "
                f"{', '.join(sorted(state)) or 'none'}: load it with the method that saved it"
            )
        self.n_items = int(state["n_items"][0])
        for name in self.fitted:
            setattr(self, name, state[name])
        return self
