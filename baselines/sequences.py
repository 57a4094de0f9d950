"""Many users' behaviours, flat in memory: the form in which every method is trained.

U users, R behaviours, N items.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sequences:
    """Ragged chronological behaviours of U users.

    Attributes:
        items: [R] int32, item ids in 1..n_items (0 is padding and never occurs).
        offsets: [U + 1] int64; user u's behaviours are `items[offsets[u]:offsets[u + 1]]`, oldest first.
        n_items: N, the number of items of the catalogue; ids run from 1 to N.

    Raises:
        ValueError: offsets that do not partition `items`, or an id outside 1..n_items.
    """

    items: NDArray[np.int32]
    offsets: NDArray[np.int64]
    n_items: int

    def __post_init__(self) -> None:
        if len(self.offsets) == 0 or self.offsets[0] != 0 or self.offsets[-1] != len(self.items):
            raise ValueError("offsets must start at 0 and end at len(items)")
        if np.any(np.diff(self.offsets) < 0):
            raise ValueError("offsets must not decrease")
        if len(self.items) and (self.items.min() < 1 or self.items.max() > self.n_items):
            raise ValueError(f"item ids must lie in 1..{self.n_items}, found {self.items.min()}..{self.items.max()}")
        for name in ("items", "offsets"):  # a sparse matrix that shares them must not sort them in place
            array = getattr(self, name).view()
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        """Return U."""
        return len(self.offsets) - 1

    def __getitem__(self, user: int) -> NDArray[np.int32]:
        """Return one user's behaviours [n_u], oldest first."""
        return self.items[self.offsets[user] : self.offsets[user + 1]]

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Number of behaviours of each user, [U] int64."""
        return np.diff(self.offsets)

    @cached_property
    def users(self) -> NDArray[np.int64]:
        """The user index of each behaviour, [R] int64."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @cached_property
    def item_counts(self) -> NDArray[np.int64]:
        """Behaviours per item, [N + 1] int64; entry 0 (padding) is 0."""
        return np.bincount(self.items, minlength=self.n_items + 1)

    def padded(self, users: NDArray[np.int64], max_length: int | None = None) -> NDArray[np.int64]:
        """Return the last `max_length` behaviours of `users` as ids [B, L], left-aligned, 0 where padded.

        L is the longest returned history (at least 1), so a batch is as wide as it needs to be and no wider.
        Built by array indexing; no loop over users.
        """
        ends = self.offsets[users + 1]
        lengths = ends - self.offsets[users]
        if max_length is not None:
            lengths = np.minimum(lengths, max_length)
        return gather_padded(self.items, ends - lengths, lengths)


def gather_padded(items: NDArray[np.int32], starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Gather the windows `items[starts[b] : starts[b] + lengths[b]]` into ids [B, L], left-aligned, 0 where padded.

    >>> gather_padded(np.array([5, 6, 7], np.int32), np.array([0, 2]), np.array([2, 1]))
    array([[5, 6],
           [7, 0]])
    """
    width = max(1, int(lengths.max(initial=1)))
    column = np.arange(width)
    keep = column[None, :] < lengths[:, None]  # [B, L]
    index = np.where(keep, starts[:, None] + column[None, :], 0)
    gathered = items[index] if len(items) else np.zeros(index.shape, np.int32)
    return np.where(keep, gathered, 0).astype(np.int64)
