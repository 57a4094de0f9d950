"""Small logs written as lists, for tests."""

from __future__ import annotations

import numpy as np
import torch

from baselines.batch import Batch
from baselines.sequences import Sequences


def sequences(users: list[list[int]], n_items: int) -> Sequences:
    """Pack users' behaviours, oldest first."""
    items = np.array([item for user in users for item in user], np.int32)
    return Sequences(items, np.cumsum([0, *map(len, users)]).astype(np.int64), n_items)


def batch(users: list[list[int]]) -> Batch:
    """Pad users' histories, oldest first."""
    packed = sequences(users, n_items=max(max(user) for user in users))
    return Batch.of(torch.from_numpy(packed.padded(np.arange(len(users)))))
