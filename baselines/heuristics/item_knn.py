"""Item-kNN: each recent behaviour votes for the items that accompany it in other users' recent pasts.

B users, U training users, N items, Z stored similarities.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.errors import BadInput
from baselines.heuristics.behaviours import Behaviours
from baselines.heuristics.heuristic import Heuristic
from baselines.sequences import Sequences


class ItemKNN(Heuristic):
    """Item-based nearest neighbours with recency (Deshpande and Karypis, TOIS 2004; decay as in session-kNN).

    1. Of each training user, take the distinct items among the last `window` behaviours. c_ij is the number of users
       who have both items i and j there, n_i the number who have i.
    2. sim(i, j) = c_ij / ((n_i n_j)^popularity_power + shrinkage) for i != j, and sim(i, i) = 0.
    3. Each item j keeps the `n_neighbours` items with the largest sim(i, j), ties to the smaller id; sim is 0 for the
       others (so the kept relation need not be symmetric).
    4. score(i) = sum over the user's last `n_recent` behaviours p of decay^p sim(i, h_p), where h_0 is the latest item,
       h_1 the one before it, and so on; an item that occurs twice votes twice. Sums are in float64 and rounded once,
       to float32, so that scores equal but for rounding tie (smaller id first).
    5. Items with a score of 0 are not recommended; items of the history are, where another one votes for them, unless
       `repeats` is off.

    Args:
        window: how many of the latest behaviours of a training user count as one basket; 0 = all.
        popularity_power: how much popular items are held back: 0 = plain counts, 0.5 = cosine, 1 = lift.
        shrinkage: added to the denominator; takes similarity from rare pairs; in the unit of that denominator.
        n_neighbours: how many items each item votes for; 0 = all it was ever seen with.
        n_recent: how many of the latest behaviours of the ranked user vote; 0 = all.
        decay: weight of a behaviour relative to the next later one, 0 (only the latest votes) to 1 (all equal).
        repeats: recommend items of the history like any others; False suits data where nobody takes an item twice.
    """

    fitted = ("similarity", "neighbours", "offsets")
    similarity: NDArray[np.float64]  # [Z]
    neighbours: NDArray[np.int32]  # [Z]
    offsets: NDArray[np.int64]  # [N + 2]; item j votes similarity[s] for neighbours[s], s in offsets[j]:offsets[j + 1]

    def __init__(
        self,
        *,
        window: int = 50,
        popularity_power: float = 0.5,
        shrinkage: float = 0.0,
        n_neighbours: int = 0,
        n_recent: int = 0,
        decay: float = 0.8,
        repeats: bool = True,
    ) -> None:
        for name, value in {"window": window, "n_neighbours": n_neighbours, "n_recent": n_recent}.items():
            if value < 0:
                raise BadInput(f"{name} must be a count, or 0 for all; got {value}")
        for name, share in {"popularity_power": popularity_power, "shrinkage": shrinkage}.items():
            if not 0.0 <= share < np.inf:
                raise BadInput(f"{name} must be 0 or larger, got {share}")
        if not 0.0 <= decay <= 1.0:
            raise BadInput(f"decay must lie between 0 and 1, got {decay}")
        self.window = window
        self.popularity_power = popularity_power
        self.shrinkage = shrinkage
        self.n_neighbours = n_neighbours
        self.n_recent = n_recent
        self.decay = decay
        self.repeats = repeats

    def fit(self, train: Sequences) -> Self:
        """Count co-occurrences in the training users' last behaviours (steps 1-3)."""
        baskets = Behaviours.of_sequences(train).latest(self.window).distinct(np.int32)  # [U, N + 1]
        together = (baskets.T @ baskets).tocsr()  # [N + 1, N + 1] c_ij
        together.sort_indices()
        n_users = together.diagonal().astype(np.float64)  # [N + 1] n_i: an item always accompanies itself
        voter = np.repeat(np.arange(train.n_items + 1), np.diff(together.indptr))  # [Z]
        neighbour, count = together.indices, together.data
        similarity = count / ((n_users[voter] * n_users[neighbour]) ** self.popularity_power + self.shrinkage)
        keep = voter != neighbour
        voter, neighbour, similarity = voter[keep], neighbour[keep], similarity[keep]
        if self.n_neighbours:
            kept = nearest(voter, similarity, self.n_neighbours)
            voter, neighbour, similarity = voter[kept], neighbour[kept], similarity[kept]
        self.n_items = train.n_items
        self.similarity, self.neighbours = similarity, neighbour.astype(np.int32)
        self.offsets = np.searchsorted(voter, np.arange(train.n_items + 2)).astype(np.int64)
        return self

    def scores(self, histories: Behaviours) -> NDArray[np.float32]:
        """Sum the votes of each user's recent behaviours (steps 4-5), [B, N + 1]; -inf where nothing voted."""
        recent = histories.latest(self.n_recent)
        shape = (self.n_items + 1, self.n_items + 1)
        similarity = sparse.csr_matrix((self.similarity, self.neighbours, self.offsets), shape=shape)
        votes = recent.weighted(self.decay ** recent.age.astype(np.float64)) @ similarity  # [B, N + 1]
        total = votes.data.astype(np.float32)
        scores = np.full(votes.shape, -np.inf, np.float32)
        user = np.repeat(np.arange(histories.n_users), np.diff(votes.indptr))
        scores[user, votes.indices] = np.where(total > 0, total, -np.inf)
        return scores if self.repeats else histories.left_out(scores)


def nearest(voter: NDArray[np.int64], similarity: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """Return the places of each voter's `n` largest similarities, in ascending order; ties go to the earlier place.

    Args:
        voter: [Z] ascending.
        similarity: [Z].
        n: how many of each voter's to keep.

    >>> nearest(np.array([1, 1, 1, 2]), np.array([0.5, 0.7, 0.5, 0.1]), 2)
    array([0, 1, 3])
    """
    order = np.lexsort((-similarity, voter))
    place = np.arange(len(voter)) - np.searchsorted(voter, voter)  # within the voter; `order` permutes within voters
    return np.sort(order[place < n])


class RepeatThenItemKNN(ItemKNN):
    """The user's own distinct items, the latest first (`HistoryRepeat`), then all others by `ItemKNN`.

    On logs with repeated consumption the honest opponent of every sequence model. Items outside the history keep their
    item-kNN score; an item of the history scores the user's best item-kNN score rounded up to a whole number, plus the
    length of the history less the item's age, so the history comes first.
    """

    def scores(self, histories: Behaviours) -> NDArray[np.float32]:
        """Return item-kNN scores with the history on top, [B, N + 1]."""
        scores = super().scores(histories)
        best = np.ceil(scores.max(axis=1, initial=0.0))  # [B]; 0 where nothing voted
        length = np.bincount(histories.user, minlength=histories.n_users)
        user = histories.user
        scores[user, histories.item] = best[user] + (length[user] - histories.age)  # oldest first: the last one stays
        return scores
