"""What the compiled half of `retrieval` works on: the users of a tile, and the candidates that each has so far.

B users of a tile, R their interests, D width.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BLOCK = 64
"""Items looked at together before any is looked at alone."""


class Users(NamedTuple):
    """The users of a tile."""

    vectors: NDArray[np.float32]  # [R, D]
    log_weight: NDArray[np.float32]  # [R]
    offsets: NDArray[np.int64]  # [B + 1]; user b's interests are rows offsets[b] : offsets[b + 1]
    slack: NDArray[np.float32]  # [B]


class Pool(NamedTuple):
    """Each user's candidates so far, in no order."""

    items: NDArray[np.int32]  # [B, capacity]
    scores: NDArray[np.float32]  # [B, capacity]
    size: NDArray[np.int64]  # [B]
    floor: NDArray[np.float32]  # [B]; two slacks under a score that n candidates reach: what stays under it is out


def pool_capacity(top_n: int) -> int:
    """Candidates that a user's pool holds; when half of what exceeds n is dropped, a block still fits."""
    return 3 * top_n + 2 * BLOCK


def pool_bytes(top_n: int) -> int:
    """Memory of one user's pool."""
    return 8 * pool_capacity(top_n) + 12


def empty_pool(n_users: int, top_n: int) -> Pool:
    """Make the pools of a tile."""
    shape = n_users, pool_capacity(top_n)
    floor = np.full(n_users, -np.inf, np.float32)
    return Pool(np.empty(shape, np.int32), np.empty(shape, np.float32), np.zeros(n_users, np.int64), floor)
