"""Items of a user's own history: how much likelier they are to be taken again, or never again, than their match says.

In a shop's sessions more than half of what follows was looked at before; of films nothing is rated twice. A match of
interest and item can tell neither: a user's own items match best of all, whether they come again or fill the first
places in vain. So the score of an item of the history gets a bonus, learned with everything else by how recent its
latest occurrence is and how often it occurred; the data decide its sign. A copy mechanism in the sense of RepeatNet
(Ren et al., AAAI 2019), reduced to what a score can carry: there a gate chooses between repeating and exploring.

B users, L behaviours, T targets (one a user, or one for each place of the history), N items.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from baselines.interests import recency_rank
from baselines.losses import OwnScores

NEVER = -1e9
"""The bonus where there is no item: finite, so that a row without any has a gradient (of 0)."""

_STEP = 10.0  # of a bonus, in units of a parameter: log odds have further to go than an optimiser's steps reach


@dataclass(frozen=True)
class OwnItems:
    """The distinct items of each history, each at the place of its latest occurrence.

    Attributes:
        ids: [T, L] int64; 0 where there is none.
        bonus: [T, L] float, added to their scores; NEVER where there is none.
    """

    ids: Tensor
    bonus: Tensor

    def scores(self, match: Tensor, target: Tensor) -> OwnScores:
        """Make them candidates of a sampled softmax.

        Args:
            match: [T, L] their scores without bonus; target: [T] int64.
        """
        hit = self.ids == target[:, None]
        beside = (match + self.bonus).masked_fill(hit, NEVER).logsumexp(1)
        return OwnScores(self.ids, beside, hit.any(1), torch.where(hit, self.bonus, 0.0).sum(1))


class RepeatBonus(nn.Module):
    """The bonus of an item of the history.

    Args:
        max_history: L, the longest history.
    """

    def __init__(self, max_history: int) -> None:
        super().__init__()
        self.by_recency = nn.Parameter(torch.zeros(max_history))
        self.by_count = nn.Parameter(torch.zeros(()))

    def forward(self, history: Tensor, history_mask: Tensor) -> OwnItems:
        """Find the distinct items of each history and their bonus.

        Args:
            history: [T, L] int64 ids, the latest `max_history` behaviours at most; history_mask: [T, L] bool.
        """
        ids = history.masked_fill(~history_mask, 0)
        same = ids[:, :, None] == ids[:, None, :]  # [T, L, L]
        latest = history_mask & ~same.triu(1).any(2)
        bonus = self.by_recency[recency_rank(history_mask)] + self.by_count * same.sum(2).log()
        return OwnItems(ids * latest, (_STEP * bonus).masked_fill(~latest, NEVER))
