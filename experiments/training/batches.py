"""Training examples by array indexing: a random user, and one or every target position of that user.

B users, L behaviours.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from baselines.batch import Batch
from baselines.errors import BadInput
from baselines.sequences import Sequences, gather_padded
from experiments.training.config import Positions


class TrainingBatches:
    """An endless stream of batches, uniform over users.

    A behaviour is a target if at least `min_history` others precede it. A batch holds, of each of its users,

    * `one` of them, uniformly drawn, after the `max_history` behaviours before it: targets [B, 1] (ComiRec's sampling);
    * `every` one of them, each after the behaviours before it: targets [B, L], row l being what followed behaviour l
      (SASRec's training). Of a user with more than `max_history` targets it is those in a tile: `max_history` places in
      a row that may hang over either end, uniformly drawn, so that each target is as likely as any other. (SASRec's own
      latest window would never train on the rest.) What is read ends with the tile and goes back `max_history` + 1
      behaviours as far as they exist; those before the tile are read and are no targets.

    Args:
        train: the training users' whole sequences.
        batch_size: B; with `every` a batch has about B times the mean length of a window as many targets.
        max_history: L, the latest behaviours kept before a target.
        min_history: fewest behaviours before a target; shorter users are left out.
        rng: the only source of randomness; saving and restoring its state resumes the stream exactly.
        positions: `one` or `every`.
    """

    def __init__(
        self,
        train: Sequences,
        batch_size: int,
        max_history: int,
        min_history: int,
        rng: np.random.Generator,
        *,
        positions: Positions = "one",
    ) -> None:
        self.train = train
        self.batch_size = batch_size
        self.max_history = max_history
        self.min_history = min_history
        self.rng = rng
        self.positions = positions
        self.users = np.flatnonzero(train.lengths > min_history)
        if len(self.users) == 0:
            raise BadInput(
                f"no training user has more than training.min_history={min_history} behaviours; "
                "lower it, or filter less strictly."
            )

    def next(self) -> Batch:
        """Draw one batch."""
        user = self.users[self.rng.integers(0, len(self.users), self.batch_size)]
        history, targets = self._every(user) if self.positions == "every" else self._one(user)
        return Batch.of(torch.from_numpy(history), torch.from_numpy(targets), torch.from_numpy(user))

    def _one(self, user: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the histories [B, L] before a random position of each user, and what stands there, [B, 1]."""
        position = self.rng.integers(self.min_history, self.train.lengths[user])  # [B] of the target
        length = np.minimum(position, self.max_history)
        target = self.train.offsets[user] + position
        history = gather_padded(self.train.items, target - length, length)
        return history, self.train.items[target].astype(np.int64)[:, None]

    def _every(self, user: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return a window of each user without its last behaviour, [B, L], and without its first, 0 at no target."""
        n, L, least = self.train.lengths[user], self.max_history, self.min_history
        tile = self.rng.integers(least - L + 1, n)  # [B] position at which it starts: any that touches a target
        tile = np.where(n - least <= L, least, tile)  # the whole of a short user's targets
        end = np.minimum(tile + L, n)
        start = np.maximum(end - L - 1, 0)
        first = self.train.offsets[user] + start
        history = gather_padded(self.train.items, first, end - start - 1)
        targets = gather_padded(self.train.items, first + 1, end - start - 1)
        position = start[:, None] + 1 + np.arange(history.shape[1])  # [B, L] of each target in its user's sequence
        return history, np.where(position >= np.maximum(tile, least)[:, None], targets, 0)
