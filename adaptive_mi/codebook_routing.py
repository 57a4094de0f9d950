"""Codebook routing: interests are the codes that a user's behaviours fall on; nothing is routed user by user.

van den Oord, Vinyals, Kavukcuoglu, "Neural Discrete Representation Learning" (VQ-VAE, NIPS 2017), section 3:
    z_i = argmax over codes of cos(x_i, e_k)                        the nearest of C codes (eq. 1), on unit length
    v_k = sum over i with z_i = k of w_i x_i / m_k,  m_k = sum of those w_i,  log weight_k = log(m_k / sum of m)
    v_k + (|v_k| e_k - v_k).detach()  where `quantised`             straight through (section 3.2)
with the weights w of `sparse_routing`. Codes are shared by all users and known by number, so that an interest can be
named once for all: `codes_of` tells the items that fall on it. Codes follow the behaviours by a penalty, `codebook`:
    mean over i of 1 - cos(sg x_i, e_z_i)  +  mean over codes k that nobody chose of 1 - cos(e_k, sg nearest x to e_k)
Its first part is the second term of the paper's eq. 3. The second part revives the dead: a code that no behaviour of
the batch falls on is drawn to the behaviour nearest to it, until that one falls on it.

Differs from the paper:
* Unless `quantised`, the interest is the mean of what fell on a code, and not the code.
* Codes move by the optimiser's steps on the penalty, and not by moving averages (its appendix A.1): so a forward pass
  changes nothing, and a run resumes exactly. Under Adam a step is of the learning rate's size, whatever the penalty's.
* No commitment term: items serve the recommendation alone.
* Distances are cosines. A tie goes to the first code.

One behaviour, or one item repeated: one interest.

B users, L behaviours, C codes, D width, n behaviours of the batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adaptive_mi.sparse_pooling import TOP_M, Pooled, Rule, choose_and_pool, pool_shares
from baselines.errors import require_number
from baselines.interests import InterestExtractor, Interests, pack
from baselines.unit import unit


class CodebookRouting(InterestExtractor):
    """Interests by the nearest of learned codes.

    Args:
        width: D.
        max_history: H, longest history, for the weights of positions.
        n_codes: C, an upper bound of a user's interests.
        quantised: whether an interest is its code (the paper), at the length of the mean of its behaviours, and not
            that mean.
        recency: whether how much a behaviour says depends on its distance from the end of the history.
        gate: whether it depends on its content.
    """

    def __init__(
        self,
        width: int,
        max_history: int,
        *,
        n_codes: int = 32,
        quantised: bool = False,
        recency: bool = True,
        gate: bool = True,
    ) -> None:
        super().__init__()
        require_number("model.n_codes", n_codes, at_least=1)
        self.quantised = quantised
        self.codes = nn.Parameter(unit(torch.randn(n_codes, width)))
        self.recency = nn.Parameter(torch.zeros(max_history, 1), requires_grad=recency)
        self.gate = nn.Parameter(torch.zeros(width), requires_grad=gate)

    def forward(self, history: Tensor, history_mask: Tensor) -> Interests:
        """See `InterestExtractor.forward`; there are C slots, in training as many as the user with most needs."""
        codes = unit(self.codes)
        found = self._pooled(history, history_mask, codes.detach())
        mask = found.interests >= 0
        vectors = found.vectors
        if self.quantised:
            with torch.no_grad():
                length = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
                away = length * codes[found.interests.clamp(min=0)] - vectors
            vectors = vectors + away
        return Interests(
            vectors=vectors,
            mask=mask,
            log_weight=found.log_mass,
            assignment=found.shares.detach(),
            penalties={"codebook": self._penalty(history, history_mask, codes, found)} if self.training else {},
            routing=found.shares if self.training else None,
        )

    @torch.no_grad()
    def codes_of(self, vectors: Tensor) -> Tensor:
        """Number of the code that each of `vectors` [n, D] falls on, [n] int64."""
        return (vectors @ unit(self.codes).T).argmax(-1)

    def _pooled(self, history: Tensor, history_mask: Tensor, codes: Tensor) -> Pooled:
        gate = self.gate if self.gate.requires_grad else self.gate[:0]
        if history.device.type == "cpu" and history.dtype == torch.float32:
            nothing = codes.new_zeros(len(codes))
            return choose_and_pool(
                history, history_mask, codes, nothing.sum(), nothing[None, :][:0], nothing, self.recency, gate,
                Rule(TOP_M, 1, compact=self.training),
            )  # fmt: skip
        nearest = (codes @ history.mT).argmax(1)  # [B, L]; a behaviour's own length changes no arg max
        shares = nn.functional.one_hot(nearest, len(codes)).to(history.dtype).mT  # [B, C, L]
        return pool_shares(history, history_mask, shares, self.recency, gate, compact=self.training)

    def _penalty(self, history: Tensor, history_mask: Tensor, codes: Tensor, found: Pooled) -> Tensor:
        """Mean distance of behaviours from their codes, plus that of unused codes from their nearest behaviours."""
        behaviours = unit(pack(history.detach(), history_mask))  # [n, D]
        slot = pack(found.shares.detach(), history_mask).argmax(-1)  # [n]
        user = history_mask.nonzero()[:, 0]
        code = found.interests[user, slot].long()  # [n]
        total = codes.new_zeros(codes.shape).index_add_(0, code, behaviours)  # [C, D]
        fit = (total * codes).sum() / len(behaviours)
        used = torch.zeros(len(codes), dtype=torch.bool, device=code.device).index_fill_(0, code, True)
        unused = codes[~used]
        if not len(unused):
            return 1 - fit
        nearest = (unused.detach() @ behaviours.T).argmax(-1)  # [unused]
        return 1 - fit + 1 - (unused * behaviours[nearest]).sum(-1).mean()
