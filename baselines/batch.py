"""The one form in which histories and targets reach a method.

B users, L behaviours, P targets.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Histories with the targets that follow them; training is P = 1, so training and evaluation share one path.

    Attributes:
        history: [B, L] int64 item ids, oldest first, left-aligned, 0 where padded.
        history_mask: [B, L] bool, True = a behaviour.
        targets: [B, P] int64 item ids, 0 where padded.
        targets_mask: [B, P] bool, True = a target.
        user: [B] int64, index of the user within the sequences the batch was cut from.
    """

    history: Tensor
    history_mask: Tensor
    targets: Tensor
    targets_mask: Tensor
    user: Tensor

    @classmethod
    def of(cls, history: Tensor, targets: Tensor | None = None, user: Tensor | None = None) -> Batch:
        """Make a batch from padded ids [B, L] (and [B, P]); the masks are where the ids are not 0."""
        if targets is None:
            targets = history.new_zeros(len(history), 1)
        if user is None:
            user = torch.arange(len(history), device=history.device)
        return cls(history, history > 0, targets, targets > 0, user)

    def __len__(self) -> int:
        """Return B."""
        return len(self.history)

    def to(self, device: torch.device | str) -> Batch:
        """Return the same batch on another device."""
        moved = (getattr(self, name).to(device) for name in self.__dataclass_fields__)
        return Batch(*moved)
