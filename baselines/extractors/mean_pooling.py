"""Mean pooling: one interest, the average of the history.

The user side of Covington, Adams, Sargin, "Deep Neural Networks for YouTube Recommendations" (RecSys 2016), as the
single-vector reference of the multi-interest papers ("YouTubeDNN").

Differs from the paper: no tower of dense layers over the average and no context features (the papers that use it as a
reference have one linear map over the average in their code: `nonlinear` with K = 1 has one, too); optionally a learned
weight per recency, which is 1 for all behaviours at the start.

B users, L behaviours, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.interests import InterestExtractor, Interests, recency_rank


class MeanPooling(InterestExtractor):
    """The history's (weighted) average as the only interest.

    Args:
        width: D.
        max_history: longest history, for the recency weights.
        recency_weights: learn one weight per distance from the end of the history; False gives the plain mean.
    """

    def __init__(self, width: int, max_history: int, *, recency_weights: bool = True) -> None:
        super().__init__()
        del width  # the average has the width of what is averaged
        self.log_recency = nn.Parameter(torch.zeros(max_history), requires_grad=recency_weights)

    def forward(self, history: Tensor, history_mask: Tensor) -> Interests:
        """See `InterestExtractor.forward`; K = 1."""
        log_share = self.log_recency[recency_rank(history_mask)].masked_fill(~history_mask, -torch.inf)
        share = log_share.softmax(-1)  # [B, L]: sums over behaviours
        return Interests.single((share[:, None, :] @ history)[:, 0], history_mask)
