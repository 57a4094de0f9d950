"""Training examples by array indexing: a random user, a random target position, the behaviours before it.

B users, L behaviours.
"""

from __future__ import annotations

import numpy as np
import torch

from baselines.batch import Batch
from baselines.errors import BadInput
from baselines.sequences import Sequences, gather_padded


class TrainingBatches:
    """An endless stream of batches, P = 1 (ComiRec's sampling: uniform over users, then over positions).

    Args:
        train: the training users' whole sequences.
        batch_size: B.
        max_history: L, the latest behaviours kept before a target.
        min_history: fewest behaviours before a target; shorter users are left out.
        rng: the only source of randomness; saving and restoring its state resumes the stream exactly.
    """

    def __init__(
        self, train: Sequences, batch_size: int, max_history: int, min_history: int, rng: np.random.Generator
    ) -> None:
        self.train = train
        self.batch_size = batch_size
        self.max_history = max_history
        self.min_history = min_history
        self.rng = rng
        self.users = np.flatnonzero(train.lengths > min_history)
        if len(self.users) == 0:
            raise BadInput(
                f"no training user has more than training.min_history={min_history} behaviours; "
                "lower it, or filter less strictly."
            )

    def next(self) -> Batch:
        """Draw one batch."""
        user = self.users[self.rng.integers(0, len(self.users), self.batch_size)]
        position = self.rng.integers(self.min_history, self.train.lengths[user])  # [B] of the target
        length = np.minimum(position, self.max_history)
        target = self.train.offsets[user] + position
        history = gather_padded(self.train.items, target - length, length)
        return Batch.of(
            torch.from_numpy(history),
            torch.from_numpy(self.train.items[target].astype(np.int64))[:, None],
            torch.from_numpy(user),
        )
