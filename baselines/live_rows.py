"""The interests that live, packed: where K varies from user to user, the cost of a step follows the mean of K.

B users, K interests, R live interests of all users, D width.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor


class LiveRows(NamedTuple):
    """The live interests of a batch, back to back.

    Attributes:
        rows: [R, D] vectors of the R live interests, user by user.
        offset: [R] their log importance.
        starts: [B + 1] int64, where each user's begin.
        place: [R] int64, where they lie among all B x K; None where all are live.
    """

    rows: Tensor
    offset: Tensor
    starts: Any
    place: Tensor | None

    @classmethod
    def of(cls, vectors: Tensor, offset: Tensor) -> LiveRows:
        """Take them, without their gradients, out of vectors [B, K, D] and log importance [B, K], -inf where dead."""
        B, K, D = vectors.shape
        rows, offset = vectors.detach().reshape(B * K, D), offset.detach()
        live = offset != -torch.inf  # NaN is alive, and shows in the loss
        starts = np.concatenate([[0], np.cumsum(live.sum(1).numpy())])
        if starts[-1] == B * K:
            return cls(rows, offset.reshape(-1), starts, None)
        place = live.view(-1).nonzero().squeeze(-1)
        return cls(rows[place], offset.reshape(-1)[place], starts, place)

    def spread(self, values: Tensor, shape: torch.Size) -> Tensor:
        """Put one value [R] or vector [R, D] of each live interest back in its place; 0 where dead."""
        if self.place is None:
            return values.view(shape)
        everywhere = values.new_zeros(shape[0] * shape[1], *values.shape[1:])
        return everywhere.index_copy_(0, self.place, values).view(shape)

    def chunks(self, n_rows: int) -> Iterator[tuple[int, int]]:
        """Cut the users into runs [first, last) of at most `n_rows` interests, or of one user."""
        first, B = 0, len(self.starts) - 1
        while first < B:
            last = int(np.searchsorted(self.starts, self.starts[first] + n_rows, side="right")) - 1
            last = max(last, first + 1)
            yield first, last
            first = last
