"""Where the targets stand in the ranking.

U users, T distinct targets of all users, B users of a batch, N items, n places.

**Ties use the average rank.** A target that shares its score with t - 1 other items and has b items with a better score
stands at rank b + (t + 1) / 2. A list of 2n places holds every average rank up to n exactly: b + (t + 1) / 2 <= n
implies b + t <= 2n - b - 1 <= 2n - 1, so the whole group of ties, and the end of it, lies within the list. A group cut
off by the end of the list has b + t >= 2n, hence a rank above n, and so has the part of it that is seen:
b + (2n - b + 1) / 2 > n. An item that the method does not recommend at all (0 in the list) has no rank: infinity.

**Several targets.** A user's targets are a set: a behaviour repeated among the targets counts once (as in ComiRec).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray

from baselines.sequences import Sequences

if TYPE_CHECKING:  # torch: the names of metrics are checked without it
    from baselines.ranker import Ranking


@dataclass(frozen=True)
class TargetRanks:
    """The distinct targets of U users, and their ranks, flat in memory.

    Attributes:
        items: [T] int32 item ids, in order of first occurrence among the user's targets.
        offsets: [U + 1] int64; user u's are `items[offsets[u]:offsets[u + 1]]`.
        novel: [T] bool, True = not in the user's full history.
        ranks: [T] float64, average rank, 1 = best; infinity where it is above the largest n. Filled by `place`.
        n_items: N.
    """

    items: NDArray[np.int32]
    offsets: NDArray[np.int64]
    novel: NDArray[np.bool_]
    ranks: NDArray[np.float64]
    n_items: int

    @classmethod
    def unranked(cls, histories: Sequences, targets: Sequences) -> TargetRanks:
        """Collect each user's set of targets; nothing is ranked yet."""
        items, offsets, novel = _distinct(
            histories.items, histories.offsets, targets.items, targets.offsets, targets.n_items
        )
        return cls(items, offsets, novel, np.full(len(items), np.inf), targets.n_items)

    def place(self, users: NDArray[np.int64], ranking: Ranking, n_max: int) -> None:
        """Write the ranks of the targets of `users` [B] from their ranking [B, 2 * n_max].

        Raises:
            ValueError: a ranking that is too short, out of order, or names an item twice or not at all.
        """
        items, scores = ranking.items, ranking.scores
        width = min(2 * n_max, self.n_items)
        if len(items) != len(users) or items.shape[1] < width:
            raise ValueError(f"the ranking must be [{len(users)}, {width}] or wider, got {list(items.shape)}")
        if items.size and (items.min() < 0 or items.max() > self.n_items):
            raise ValueError(f"ranked ids must lie in 0..{self.n_items}, got {items.min()}..{items.max()}")
        if np.isnan(scores).any() or (scores[:, 1:] > scores[:, :-1]).any():
            raise ValueError("the scores of a ranking must descend and hold no NaN")
        twice = _place(items, scores, users, self.items, self.offsets, n_max, self.n_items, self.ranks)
        if twice:
            raise ValueError(f"a ranking recommends item {twice} twice to the same user")


@njit(cache=True, nogil=True)
def _distinct(
    history_items: NDArray[np.int32],
    history_offsets: NDArray[np.int64],
    target_items: NDArray[np.int32],
    target_offsets: NDArray[np.int64],
    n_items: int,
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.bool_]]:
    """Return items [T], offsets [U + 1] and novel [T] of `TargetRanks`."""
    in_history = np.full(n_items + 1, -1)  # the last user who had the item in the history; saves clearing per user
    in_targets = np.full(n_items + 1, -1)
    items = np.empty(len(target_items), np.int32)
    novel = np.empty(len(target_items), np.bool_)
    offsets = np.zeros(len(target_offsets), np.int64)
    found = 0
    for user in range(len(offsets) - 1):
        for item in history_items[history_offsets[user] : history_offsets[user + 1]]:
            in_history[item] = user
        for item in target_items[target_offsets[user] : target_offsets[user + 1]]:
            if in_targets[item] != user:
                in_targets[item] = user
                items[found] = item
                novel[found] = in_history[item] != user
                found += 1
        offsets[user + 1] = found
    return items[:found].copy(), offsets, novel[:found].copy()


@njit(cache=True, nogil=True)
def _place(
    items: NDArray[np.int32],
    scores: NDArray[np.float32],
    users: NDArray[np.int64],
    target_items: NDArray[np.int32],
    target_offsets: NDArray[np.int64],
    n_max: int,
    n_items: int,
    ranks: NDArray[np.float64],
) -> int:
    """Write the average ranks up to `n_max`; return an item met twice in one list, or 0."""
    rank_of = np.full(n_items + 1, np.inf)
    listed_for = np.full(n_items + 1, -1)  # the last row in whose list the item was met
    width = items.shape[1]
    for row in range(len(users)):
        for item in items[row]:
            if item > 0 and listed_for[item] == row:
                return int(item)
            listed_for[item] = row
        start = 0
        while start < width and items[row, start] > 0:
            end = start + 1
            while end < width and items[row, end] > 0 and scores[row, end] == scores[row, start]:
                end += 1
            average = (start + 1 + end) / 2
            if average > n_max:
                break
            for place in range(start, end):
                rank_of[items[row, place]] = average
            start = end
        for t in range(target_offsets[users[row]], target_offsets[users[row] + 1]):
            ranks[t] = rank_of[target_items[t]]
        for place in range(start):
            rank_of[items[row, place]] = np.inf
    return 0
