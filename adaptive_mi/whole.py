"""The history as a whole, as one interest: what clusters do not hold apart, and in which order things were taken.

B users, L behaviours, D width. P behaviours of all users, packed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adaptive_mi.cluster_pooling import pool_clusters
from baselines.extractors.sasrec import SASRec


class BehaviourWeight(nn.Module):
    """The log weight of a behaviour in what it is pooled into: learned by recency, and by content.

    Args:
        width: D.
        max_history: L.
        gated: False = by recency alone.
    """

    def __init__(self, width: int, max_history: int, gated: bool) -> None:
        super().__init__()
        self.recency = nn.Parameter(torch.zeros(max_history))
        self.gate = nn.Parameter(torch.zeros(width), requires_grad=gated)

    def forward(self, behaviours: Tensor, rank: Tensor) -> Tensor:
        """Weigh packed behaviours [P, D], `rank` [P] places from the end of their history; returns [P]."""
        return self.recency[rank] + behaviours @ self.gate


class PooledWhole(nn.Module):
    """The weighted mean of all behaviours.

    Args:
        width, max_history, gated: as of `BehaviourWeight`.
    """

    adds_to_one_cluster = False
    """Whether a user with one cluster has it, too: it would be that cluster again."""

    def __init__(self, width: int, max_history: int, gated: bool) -> None:
        super().__init__()
        self.weight = BehaviourWeight(width, max_history, gated)

    def forward(self, history: Tensor, history_mask: Tensor, behaviours: Tensor, rank: Tensor) -> Tensor:
        """Return [B, D] of history [B, L, D], its mask [B, L], and both packed: behaviours [P, D], recency rank [P]."""
        user = history_mask.nonzero()[:, 0]
        return pool_clusters(behaviours, self.weight(behaviours, rank), user, len(history))[0]


class SequenceWhole(PooledWhole):
    """The weighted mean, plus the state of a causal transformer after the latest behaviour (`SASRec`).

    Clusters know no order; the state does. The mean beside it lets the encoder be small, and start from what the
    clusters start from. How much the state counts is learned; both begin with the same length.

    Args:
        width, max_history, gated: as of `BehaviourWeight`.
        n_layers, n_heads, dropout: as of `SASRec`.
    """

    adds_to_one_cluster = True

    def __init__(
        self, width: int, max_history: int, gated: bool, *, n_layers: int = 1, n_heads: int = 2, dropout: float = 0.0
    ) -> None:
        super().__init__(width, max_history, gated)
        self.encoder = SASRec(width, max_history, n_layers=n_layers, n_heads=n_heads, dropout=dropout)
        self.of_state = nn.Parameter(torch.ones(()))

    def forward(self, history: Tensor, history_mask: Tensor, behaviours: Tensor, rank: Tensor) -> Tensor:
        """See `PooledWhole.forward`."""
        pooled = super().forward(history, history_mask, behaviours, rank)
        states = self.encoder.states(history, history_mask)  # [B, L, D]
        latest = states[torch.arange(len(states), device=states.device), history_mask.sum(1) - 1]
        return pooled + self.of_state * latest
