"""Sparse one-pass routing: behaviours choose among K prototypes once, and an interest is whatever a prototype received.

    cos_ik = p_k . x_i / |x_i|,  |p_k| = 1                       one product of behaviours and prototypes, no rounds
    c_i    = normalise over INTERESTS of (s cos_ik + t_rk)       sparse: most shares are exactly 0
    w_i    = exp(a_r + g . x_i)                                  how much behaviour i says, r its distance from the end
    m_k    = sum over i of c_ik w_i,   v_k = sum over i of c_ik w_i x_i / m_k,   log weight_k = log(m_k / sum of m)

with learned p, s, t, a and g. An interest without mass is dead, so a user has as many as his behaviours chose among,
and K only bounds them. It keeps the grain of capsules (Sabour et al., NIPS 2017): each behaviour is shared out among
interests, by competition; what capsules find by iterating is here learned once for all users. The choice is that of
sparsely gated experts (Shazeer et al., "Outrageously Large Neural Networks", ICLR 2017; for the others see
`sparse_normalisation`), prototypes over a catalogue are SINE's (Tan et al., WSDM 2021).

Against collapse, behaviours may pick by s (cos_ik + b_k), unbiased shares pooling (Wang et al., "Auxiliary-Loss-Free
Load Balancing", arXiv 2408.15664, as in DeepSeek-V3): b_k falls where more behaviours than on average chose k, and
rises where fewer did.

Differs from the papers:
* Shazeer et al.: no noise in the choice, no auxiliary loss; the input is pooled, and not handed to an expert network.
* Wang et al. step b by u sign(mean load - load) after each batch. Here sign(load - mean load) is given as b's
  gradient, and the optimiser makes the step: its learning rate is u. So a forward pass changes nothing, and a run
  resumes exactly.
* SINE chooses K of the prototypes for a user; here behaviours choose, and users have different numbers of interests.
* Under Sinkhorn (Cuturi, NIPS 2013) the shares of ONE user's behaviours are spread evenly over interests: SwAV's are
  spread over a batch (Caron et al., NeurIPS 2020), but a user may not depend on his neighbours in it.

One behaviour, or one item repeated: the interests are those it has shares in, all with the same vector. With one
selected interest every share is 1 and no gradient reaches the prototypes: they stay as they start, as under `frozen`.

B users, L behaviours, K prototypes, H longest history, D width.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from adaptive_mi.sparse_normalisation import entmax15, sparsemax, top_m
from adaptive_mi.sparse_pooling import ENTMAX15, SPARSEMAX, TOP_M, Pooled, Rule, choose_and_pool, pool_shares
from baselines.errors import require_number, unknown_name
from baselines.interests import InterestExtractor, Interests, recency_rank
from baselines.unit import unit

Normalisation = Literal["top_m", "sparsemax", "entmax15", "softmax", "sinkhorn", "uniform"]
Prototypes = Literal["learned", "frozen", "by_position"]
Positions = Literal["none", "table", "vectors"]
Recency = Literal["none", "shared", "per_interest"]

_COMPILED = {"top_m": TOP_M, "sparsemax": SPARSEMAX, "entmax15": ENTMAX15}
_SINKHORN_ROUNDS = 3  # SwAV's


class SparseRouting(InterestExtractor):
    """Interests by sparse competition of prototypes.

    Args:
        width: D.
        max_history: H, longest history, for what depends on the position.
        n_interests: K, prototypes: an upper bound of a user's interests.
        n_selected: m, interests that a behaviour is shared among; `top_m` alone reads it.
        normalisation: how logits become shares, which sum to 1 over interests: `top_m`, `sparsemax` and `entmax15` are
            sparse; controls: `softmax` (competition without sparsity), `sinkhorn` (softmax, evenly spread over
            interests), `uniform` (no routing).
        prototypes: where logits come from: prototypes that are `learned`; controls: `frozen` at their random start, or
            `by_position`, random logits that know a behaviour's distance from the end of the history and nothing else.
        positions: what the logits know of positions: nothing, a number per position and interest (`table`), or a vector
            per position that is matched with the prototypes (`vectors`).
        recency: how much a position says: the same for all, learned per position, or per position and interest.
        gate: whether how much a behaviour says depends on its content.
        scale: s at the start; cosines of random vectors are of the order of D^(-1/2).
        balance_rate: size of a step of b, in units of the optimiser's and of the cosine; 0 = no balancing (Wang et al.:
            steps of .001). `top_m` alone reads it. Without it learned prototypes may become alike, and users have fewer
            interests; with it a user of many behaviours has most of the K.
    """

    def __init__(
        self,
        width: int,
        max_history: int,
        *,
        n_interests: int = 32,
        n_selected: int = 2,
        normalisation: Normalisation = "top_m",
        prototypes: Prototypes = "learned",
        positions: Positions = "none",
        recency: Recency = "shared",
        gate: bool = True,
        scale: float = 10.0,
        balance_rate: float = 0.0,
    ) -> None:
        super().__init__()
        require_number("model.n_interests", n_interests, at_least=1)
        require_number("model.n_selected", n_selected, at_least=1)
        require_number("model.scale", scale, above=0)
        require_number("model.balance_rate", balance_rate, at_least=0)
        for name, value, known in (
            ("normalisation", normalisation, Normalisation),
            ("prototypes", prototypes, Prototypes),
            ("positions", positions, Positions),
            ("recency", recency, Recency),
        ):
            if value not in get_args(known):
                raise unknown_name(f"model.{name}", value, get_args(known))
        K, H = n_interests, max_history
        self.normalisation = normalisation
        self.n_selected = min(n_selected, K)
        self.balance_rate = balance_rate if normalisation == "top_m" else 0.0
        # a gradient reaches the logits: not where all shares are equal whatever they are
        learns = K > 1 and normalisation != "uniform" and not (normalisation == "top_m" and self.n_selected == 1)
        by_content = prototypes != "by_position"
        self.prototypes = nn.Parameter(
            unit(torch.randn(K, width if by_content else 0)), requires_grad=learns and prototypes == "learned"
        )
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)), requires_grad=learns and by_content)
        table = torch.randn(H, K) * scale / math.sqrt(width) if not by_content else torch.zeros(H, K)
        self.position = nn.Parameter(table, requires_grad=learns and by_content and positions == "table")
        vectors = torch.randn(H, width) * 0.02
        self.position_vectors = nn.Parameter(vectors, requires_grad=learns) if positions == "vectors" else None
        self.placed = positions == "table" or not by_content
        self.bias = nn.Parameter(torch.zeros(K), requires_grad=self.balance_rate > 0)
        columns = K if recency == "per_interest" else 1
        self.recency = nn.Parameter(torch.zeros(H, columns), requires_grad=recency != "none")
        self.gate = nn.Parameter(torch.zeros(width), requires_grad=gate)

    def forward(self, history: Tensor, history_mask: Tensor) -> Interests:
        """See `InterestExtractor.forward`; there are K slots, in training as many as the user with most needs."""
        compiled = history.device.type == "cpu" and history.dtype == torch.float32 and self.normalisation in _COMPILED
        routed = self._in_one_pass if compiled else self._plainly
        found = routed(history, history_mask)
        return Interests(
            vectors=found.vectors,
            mask=found.interests >= 0,
            log_weight=found.log_mass,
            assignment=found.shares.detach(),
            routing=found.shares if self.training else None,
        )

    def _position(self) -> Tensor:
        """The logits of positions, [H, K] or [0, K]."""
        if self.position_vectors is not None:
            return self.log_scale.exp() * (self.position_vectors @ unit(self.prototypes).T)
        return self.position if self.placed else self.position[:0]

    def _in_one_pass(self, history: Tensor, history_mask: Tensor) -> Pooled:
        rule = Rule(_COMPILED[self.normalisation], self.n_selected, self.training)
        bias = self.bias * self.balance_rate if self.balance_rate else self.bias
        return choose_and_pool(
            history, history_mask, self.prototypes, self.log_scale, self._position(), bias, self.recency,
            self._opening(), rule,
        )  # fmt: skip

    def _plainly(self, history: Tensor, history_mask: Tensor) -> Pooled:
        """The same in torch's own operations: for other devices, and where shares are dense."""
        prototypes = unit(self.prototypes) if self.prototypes.shape[1] else self.prototypes
        scale, position = self.log_scale.exp(), self._position()
        length = torch.linalg.vector_norm(history, dim=-1).clamp(min=1e-12)
        logits = history.new_zeros(len(history), len(prototypes), history.shape[1])
        if prototypes.shape[1]:
            logits = (prototypes @ history.mT) * (scale / length)[:, None]  # [B, K, L]: interests before behaviours
        if len(position):
            logits = logits + position[recency_rank(history_mask)].mT
        shares = self._normalised(logits, history_mask, scale)
        return pool_shares(history, history_mask, shares, self.recency, self._opening(), compact=self.training)

    def _opening(self) -> Tensor:
        """The gate [D], or [0] where there is none."""
        return self.gate if self.gate.requires_grad else self.gate[:0]

    def _normalised(self, logits: Tensor, history_mask: Tensor, scale: Tensor) -> Tensor:
        """Shares [B, K, L] of logits [B, K, L]: they sum to 1 over K."""
        if self.normalisation == "top_m":
            bias = self.balance_rate * self.bias  # [K]
            shares = top_m(logits, self.n_selected, 1, bias=(scale * bias)[:, None])
            if not self.balance_rate:
                return shares
            load = ((shares > 0) & history_mask[:, None]).sum((0, 2)).to(shares.dtype)  # [K]
            balanced: Tensor = _Balanced.apply(shares, bias, load)  # type: ignore[no-untyped-call]
            return balanced
        if self.normalisation == "sparsemax":
            return sparsemax(logits, 1)
        if self.normalisation == "entmax15":
            return entmax15(logits, 1)
        if self.normalisation == "softmax":
            return logits.softmax(1)
        if self.normalisation == "sinkhorn":
            return sinkhorn(logits, history_mask)
        return torch.full_like(logits, 1 / logits.shape[1])


def sinkhorn(logits: Tensor, history_mask: Tensor, n_rounds: int = _SINKHORN_ROUNDS) -> Tensor:
    """Shares [B, K, L] of logits [B, K, L] that sum to 1 over K, and, nearly, to n / K over a user's n behaviours."""
    log_shares = logits.masked_fill(~history_mask[:, None], -torch.inf)
    for _ in range(n_rounds):
        log_shares = log_shares - log_shares.logsumexp(2, keepdim=True)  # over behaviours
        log_shares = log_shares.masked_fill(~history_mask[:, None], 0)
        log_shares = log_shares - log_shares.logsumexp(1, keepdim=True)  # over interests
        log_shares = log_shares.masked_fill(~history_mask[:, None], -torch.inf)
    return log_shares.exp()


class _Balanced(torch.autograd.Function):
    """Shares as they are; to the bias, the sign of load - mean load."""

    @staticmethod
    def forward(ctx: object, shares: Tensor, bias: Tensor, load: Tensor) -> Tensor:  # noqa: ARG004
        ctx.step = (load - load.mean()).sign()  # type: ignore[attr-defined]
        return shares.view_as(shares)

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        return gradients[0], ctx.step, None  # type: ignore[attr-defined]
