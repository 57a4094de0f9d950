"""What samples start from: noise that is a user's own, and the behaviours that it may be added to.

B users, L behaviours, S samples, D width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from baselines.unit import unit


class OwnNoise(nn.Module):
    """Noise that follows from a history, without a generator for each user.

    The sum of the behaviours, at the length that noise has, sqrt(D), is turned by one rotation drawn for all; for each
    sample its coordinates are then exchanged and their signs drawn. So users of different histories have different
    noise, near-normal in its coordinates, and of more samples the first are the same. Where behaviours cancel there is
    none.

    Args:
        width: D.
    """

    seed: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("seed", torch.randint(2**31, ()))  # from torch's default generator, as parameters are

    def forward(self, history: Tensor, history_mask: Tensor, n_samples: int) -> Tensor:
        """Return [B, S, D] for histories [B, L, D], whatever lies under the padding of `history_mask` [B, L]."""
        D, draws = self.width, torch.Generator().manual_seed(int(self.seed))
        rotation, _ = torch.linalg.qr(torch.randn(D, D, generator=draws))
        exchanged = torch.empty(n_samples, D, dtype=torch.int64)
        signs = torch.empty(n_samples, D)
        for s in range(n_samples):
            exchanged[s] = torch.randperm(D, generator=draws)
            signs[s] = torch.randint(0, 2, (D,), generator=draws) * 2 - 1
        total = history.masked_fill(~history_mask[..., None], 0).sum(1)  # [B, D]
        turned = unit(total) @ rotation.to(history) * math.sqrt(D)
        noise: Tensor = turned[:, exchanged.to(history.device)] * signs.to(history)
        return noise


def latest(history: Tensor, history_mask: Tensor, n_samples: int) -> Tensor:
    """Return the behaviours [B, S, D], of unit length, from the latest back, and where they are fewer once more."""
    n = history_mask.sum(1, keepdim=True)
    place = n - 1 - torch.arange(n_samples, device=history.device) % n  # [B, S]
    return unit(history.take_along_dim(place[..., None], 1))
