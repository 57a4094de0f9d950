"""ComiRec: K interests by self-attention over the history (SA), or by dynamic routing (DR).

Cen et al., "Controllable Multi-Interest Framework for Recommendation" (KDD 2020), section 3.2.
SA: A = softmax(W2^T tanh(W1 H))^T over positions (eq. 6),  V = A H (eq. 7).
DR, algorithm 1: votes e_ij = W_ij e_i;  b_ij = 0;  R rounds of  c_ij = softmax over INTERESTS of b_ij,
    v_j = squash(sum over i of c_ij e_ij),  b_ij += e_ij . v_j.

Differs from the paper:
* A position is counted from the end of the history (0 = latest), so that it means the same for histories of every
  length.
* SA's W1 has a bias, as in the authors' code and not in eq. 6.
* SA takes a temperature and a power, those of the attention extractors in Li et al., "Multi-Interest Recommendation: A
  Survey" (arXiv 2506.15284). A power of the attention weights themselves, renormalised, would be the temperature once
  more, since softmax(e / tau)^gamma ~ softmax(gamma e / tau). So the power is taken of the scores, as in MIND's
  label-aware attention, sign kept: softmax(sign(e) |e / tau|^gamma). tau is the size of a score that the power leaves
  alone; the two are different knobs.
* DR shares its maps over positions and starts them near the identity, unless told otherwise. The authors' code has one
  map per position and interest, drawn with variance 1: a vote is sqrt(D) times as long as its behaviour. Here random
  maps have variance 1 / D. How hard the routing is follows from the length of the behaviours: under `cosine` they come
  with length sqrt(D), in the authors' code with that of a freshly drawn table, at which couplings are nearly uniform.
* The gradient of DR runs through the last round only: the paper does not say, the authors' code does so.
* Similarity, readout and loss are the recommender's choice, ComiRec's own being dot product, hard readout, maximum at
  serving, and a log-uniform proposal. Under `cosine` an interest's length does not count, and squash acts within the
  routing only.

B users, L behaviours, K interests, D width.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from baselines.aggregation import label_attention
from baselines.errors import require_number, unknown_name
from baselines.extractors.capsules import new_maps, route, routed
from baselines.interests import InterestExtractor, Interests, pack, recency_rank, scatter

Maps = Literal["shared_over_positions", "per_position"]

_LEAST = 1e-30


class ComiRecSA(InterestExtractor):
    """Self-attentive interests.

    Args:
        width: D.
        max_history: longest history, for the position vectors.
        n_interests: K, the same for every user (the paper: 4).
        hidden_width: width of the attention's hidden layer; 0 = 4 D, as in the authors' code.
        positions: add a learned vector per position to what the attention reads (not to what it averages).
        temperature: tau, what a score is divided by before the softmax over positions (the paper: 1). A large one makes
            every interest the mean of the history.
        power: gamma, the exponent of |score / tau|, its sign kept (the paper: 1). 0 = mean pooling; a large one attends
            to the best behaviour alone, provided that its score exceeds tau.
    """

    def __init__(
        self,
        width: int,
        max_history: int,
        *,
        n_interests: int = 4,
        hidden_width: int = 0,
        positions: bool = True,
        temperature: float = 1.0,
        power: float = 1.0,
    ) -> None:
        super().__init__()
        require_number("model.n_interests", n_interests, at_least=1)
        require_number("model.hidden_width", hidden_width, at_least=0)
        require_number("model.temperature", temperature, above=0)
        require_number("model.power", power, at_least=0)
        self.n_interests = n_interests
        self.temperature = temperature
        self.power = power
        self.hidden = nn.Linear(width, hidden_width or 4 * width)
        self.attend = nn.Linear(hidden_width or 4 * width, n_interests, bias=False)  # at power 1 it would cancel
        self.position = nn.Parameter(torch.randn(max_history, width) * 0.02, requires_grad=positions)
        if not positions:
            nn.init.zeros_(self.position)

    def forward(self, history: Tensor, history_mask: Tensor) -> Interests:
        """See `InterestExtractor.forward`; all K interests are live."""
        place = nn.functional.embedding(recency_rank(history_mask)[history_mask], self.position)
        hidden = self.hidden(pack(history, history_mask) + place).tanh_()  # [n, H]
        scores = scatter(self.attend(hidden) / self.temperature, history_mask)  # [B, L, K]
        attention = self._attention(scores.mT.contiguous(), history_mask)  # [B, K, L]
        vectors = attention @ history  # [B, K, D]
        mask = torch.ones(vectors.shape[:2], dtype=torch.bool, device=history.device)
        return Interests(
            vectors=vectors,
            mask=mask,
            log_weight=vectors.new_zeros(mask.shape),
            assignment=self.assigned(history, history_mask, vectors, mask),
            routing=self._routing(attention.mT, history_mask) if self.training else None,
        )

    def _routing(self, attention: Tensor, history_mask: Tensor) -> Tensor:
        """Attention [B, L, K] whose rows of behaviours are not 0, however little is read: those of padding are."""
        return attention.clamp(min=_LEAST).masked_fill(~history_mask[..., None], 0)

    def _attention(self, scores: Tensor, history_mask: Tensor) -> Tensor:
        """Attention weights [B, K, L] of scores [B, K, L]: they sum over behaviours."""
        if self.power == 1:
            return scores.masked_fill(~history_mask[:, None], -torch.inf).softmax(-1)
        return label_attention(scores, history_mask[:, None], self.power).expand_as(scores)


class ComiRecDR(InterestExtractor):
    """Interests by dynamic routing with a map of their own.

    Args:
        width: D.
        max_history: longest history, for maps per position.
        n_interests: K, the same for every user (the paper: 4).
        n_rounds: R, rounds of routing (the paper: 3).
        maps: one map per interest (`shared_over_positions`), or one per interest and position (`per_position`, the
            authors' code): max_history times the parameters, and votes that must be computed one by one.
        near_identity: start every map near the identity, not at random (the authors' code: at random).
    """

    def __init__(
        self,
        width: int,
        max_history: int,
        *,
        n_interests: int = 4,
        n_rounds: int = 3,
        maps: Maps = "shared_over_positions",
        near_identity: bool = True,
    ) -> None:
        super().__init__()
        require_number("model.n_interests", n_interests, at_least=1)
        require_number("model.n_rounds", n_rounds, at_least=1)
        if maps not in get_args(Maps):
            raise unknown_name("model.maps", maps, get_args(Maps))
        self.n_interests = n_interests
        self.n_rounds = n_rounds
        self.per_position = maps == "per_position"
        # W_j [K, D, D], or W_ij [L, D, K, D]; input before output: vectors are rows here
        places = [max_history] if self.per_position else []
        drawn = new_maps(*places, n_interests, width, width, near_identity=near_identity)
        self.maps = nn.Parameter(drawn.transpose(1, 2).contiguous() if self.per_position else drawn)

    def forward(self, history: Tensor, history_mask: Tensor) -> Interests:
        """See `InterestExtractor.forward`; all K interests are live."""
        logits = history.new_zeros(len(history), self.n_interests, history.shape[1])
        if self.per_position:
            vectors, coupling = self._route_votes(history, history_mask, logits)
        else:
            vectors, coupling = self._route(history, history_mask, logits)
        mask = torch.ones(vectors.shape[:2], dtype=torch.bool, device=history.device)
        return routed(vectors, mask, coupling, training=self.training)

    def _route(self, history: Tensor, history_mask: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Route where maps are shared. They are linear: each pooled vector is mapped, and no vote is ever computed."""

        def pool(coupling: Tensor) -> Tensor:
            return torch.einsum("bkd,kde->bke", coupling @ history, self.maps)

        def agree(capsules: Tensor) -> Tensor:
            return torch.einsum("bke,kde->bkd", capsules, self.maps) @ history.mT

        return route(logits, history_mask, self.n_rounds, pool, agree)

    def _route_votes(self, history: Tensor, history_mask: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Route the votes themselves, the latest behaviour first; then the mask is the same, being left-aligned."""
        B, L, D = history.shape
        K, W = self.n_interests, min(L, len(self.maps))  # W: what is wider than max_history is padding
        rank = recency_rank(history_mask)  # [B, L]; it turns a history round, and round again
        row = torch.arange(B, device=rank.device)[:, None] * L + rank[:, :W]
        latest_first = nn.functional.embedding(row.T, history.reshape(B * L, D))  # [W, B, D]
        votes = torch.bmm(latest_first, self.maps[:W].flatten(2))  # [W, B, K D]
        votes = votes.view(W, B * K, D).transpose(0, 1)  # [B K, W, D]

        def pool(coupling: Tensor) -> Tensor:
            return (coupling.reshape(B * K, 1, W) @ votes).view(B, K, D)

        def agree(capsules: Tensor) -> Tensor:
            return (votes @ capsules.view(B * K, D, 1)).view(B, K, W)

        vectors, coupling = route(logits[..., :W], history_mask[:, :W], self.n_rounds, pool, agree)
        return vectors, coupling.take_along_dim(rank[:, None], 2) * history_mask[:, None]
