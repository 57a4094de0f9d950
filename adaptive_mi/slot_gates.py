"""Rivals of a rule for K: many slots, of which a learned gate leaves some alive.

Two ways for a slot to have a share that is exactly 0, and a gradient all the same:

    gumbel   z = min(1, max(0, (1 + 2 e) s - e)),  s = sigmoid((log u - log(1 - u) + b + a log share + w . v) / t),
             the slot's share times z; u uniform on (0, 1)
    entmax   share = 1.5-entmax over slots of (a log share + w . v)

The first is the hard concrete gate of Louizos, Welling and Kingma, "Learning Sparse Neural Networks through L0
Regularization" (ICLR 2018), equations 10 to 13: the logistic noise log u - log(1 - u) is the difference of two Gumbel
variables; in serving there is none, and t is 1. In training t = 2/3; e = .1. The second is that of Peters, Niculae and
Martins (ACL 2019), see `sparse_normalisation`.

What is to be expected: the training loss is lowest with one interest on every log tried (EXPERIMENTS.md), so gates
that learn from it should close until about one slot is left, be that good for recall or not. They are here as controls.

Differs from the papers: no penalty on open gates, since nobody could say how much an interest should cost; the gate of
the heaviest slot is not asked, so that every user has an interest.

B users, K slots, D width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from adaptive_mi.sparse_normalisation import entmax15
from baselines.interests import log_shares

Kept = Literal["all", "gumbel", "entmax"]

_TEMPERATURE, _STRETCH = 2 / 3, 0.1  # Louizos et al., section 4
_OPEN = 2.0  # log odds at the start, where the gate should do nothing yet
_LEAST = 1e-6  # a share below is none: its logarithm would have no bounds


class GumbelGate(nn.Module):
    """A gate for each slot, open or closed by its content and its share.

    Args:
        width: D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.of_content = nn.Parameter(torch.zeros(width))
        self.of_share = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.tensor(_OPEN))

    def forward(self, vectors: Tensor, log_share: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return log shares [B, K], which sum to 1 over what is kept and are 0 elsewhere, and that mask [B, K] bool.

        Args:
            vectors: [B, K, D]; log_share: [B, K]; mask: [B, K] bool, at least one True a user.
        """
        log_share = log_share.masked_fill(~mask, -torch.inf)
        heaviest = nn.functional.one_hot(log_share.argmax(1), mask.shape[1]).bool()
        logit = self.bias + self.of_share * log_share.masked_fill(~mask, 0) + vectors @ self.of_content
        if self.training:
            u = torch.rand_like(logit).clamp(1e-6, 1 - 1e-6)
            logit = (logit + u.log() - (1 - u).log()) / _TEMPERATURE
        z = ((1 + 2 * _STRETCH) * logit.sigmoid() - _STRETCH).clamp(max=1)
        z = torch.where(heaviest, 1.0, z)
        kept = mask & (z > _LEAST)
        return log_shares(log_share.masked_fill(~kept, 0) + z.clamp(min=_LEAST).log(), kept), kept


class EntmaxGate(nn.Module):
    """Shares by entmax in the place of softmax: slots far behind the heaviest have none.

    Args:
        width: D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.of_content = nn.Parameter(torch.zeros(width))
        self.of_share = nn.Parameter(torch.ones(()))

    def forward(self, vectors: Tensor, log_share: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See `GumbelGate.forward`."""
        logit = self.of_share * log_share.masked_fill(~mask, 0) + vectors @ self.of_content
        share = entmax15(logit.masked_fill(~mask, -torch.inf), 1)
        kept = mask & (share > _LEAST)
        return log_shares(share.masked_fill(~kept, 1).log(), kept), kept


GATES: Mapping[str, type[GumbelGate] | type[EntmaxGate]] = {"gumbel": GumbelGate, "entmax": EntmaxGate}
