"""The interests of a user that matter: the fewest that have a share of the importance, or the same number for all.

A method that finds many interests need not be asked with all of them: a request costs one search of nearest neighbours
for each. Of a user's interests, with shares s_1 >= s_2 >= ... of the importance (softmax of the log weights),
* `share`: the first k are served, k the least with s_1 + ... + s_k >= share, so that K follows from the user. How much
  of a distribution is kept, and not how many, is the rule of "nucleus" sampling (Holtzman et al., "The Curious Case of
  Neural Text Degeneration", ICLR 2020);
* `n_kept`: the first `n_kept` are served, the control that gives everybody as many.

What is served keeps its importance: scores of what remains are as they were. Interests that are all as important, as
attention's are, are dropped from the last on.

Differs from the paper: nothing is drawn, and what is kept are interests and not words.

B users, L behaviours, K interests, D width.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from baselines.batch import Batch
from baselines.interests import Interests, log_shares
from baselines.moved_interests import MovedInterests
from baselines.recommender import Recommender

_ROUNDING = 1e-6  # shares that make up what is to be kept are enough; log weights are float32


class FewerInterests(MovedInterests):
    """A recommender that serves each user's most important interests, at least one.

    Args:
        recommender: in eval mode.
        share: of the importance, that is kept; 1 = all interests.
        n_kept: the most interests of a user; 0 = all.
    """

    def __init__(self, recommender: Recommender, share: float, n_kept: int) -> None:
        super().__init__(recommender)
        self.enough = share - _ROUNDING if share < 1 else math.inf
        self.n_kept = n_kept

    def interests(self, batch: Batch) -> Interests:
        """Return the interests that are served, the others dead; a behaviour belongs to what is left of its own."""
        found = self.recommender.interests(batch)
        log_share = log_shares(found.log_weight.double(), found.mask).masked_fill(~found.mask, -torch.inf)  # [B, K]
        share, order = log_share.exp().sort(dim=1, descending=True, stable=True)
        before = share.cumsum(1) - share  # of those that are more important
        kept = before < self.enough
        if self.n_kept:
            kept[:, self.n_kept :] = False
        kept[:, 0] = True
        mask = torch.zeros_like(found.mask).scatter(1, order, kept) & found.mask
        shares = found.assignment * mask[:, None]
        shares = shares / shares.sum(2, keepdim=True).clamp(min=torch.finfo(shares.dtype).tiny)
        return replace(found, mask=mask, assignment=shares)
