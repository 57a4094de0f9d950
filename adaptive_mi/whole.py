"""The history as a whole, as one interest: what clusters do not hold apart, and in which order things were taken.

B users, L behaviours, K interests, D width. P behaviours of all users, packed.
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


def cohesion(unit: Tensor, slot: Tensor, user: Tensor, n_users: int, n_slots: int) -> Tensor:
    """How much of what clusters say of behaviours their common mean says already, [B] in (0, 1).

    With x_i of length 1, a mean m explains |m|^2 of the mean square of the behaviours it is of. So for n behaviours,

        share = n |mean of all|^2 / (1 + sum over clusters of n_k |mean of cluster k|^2):

    nearly 1 where clusters differ in nothing, 1 / K where K equally large and tight ones are at right angles, as if the
    whole were one of them; the 1, one behaviour that nothing explains, keeps it below 1.

    Args:
        unit: [P, D] of unit length.
        slot: [P] int64, a behaviour's cluster among all users', in order of user; -1 = in none.
        user: [P] int64.
        n_users: B.
        n_slots: clusters in all, B times the most of a user.
    """
    member = slot >= 0
    of_cluster = _squared_sums(unit[member], slot[member], n_slots)
    of_user = torch.arange(n_slots, device=unit.device) // (n_slots // n_users)
    explained = unit.new_zeros(n_users).index_add(0, of_user, of_cluster)
    return _squared_sums(unit, user, n_users) / (1 + explained)


def _squared_sums(unit: Tensor, group: Tensor, n_groups: int) -> Tensor:
    """|sum of a group|^2 over its size, [groups]; 0 of an empty one."""
    total = unit.new_zeros(n_groups, unit.shape[1]).index_add(0, group, unit)
    return total.square().sum(1) / torch.bincount(group, minlength=n_groups).clamp(min=1)
