"""MIND: K interests by dynamic routing with one shared map and random logits.

Li et al., "Multi-Interest Network with Dynamic Routing for Recommendation at Tmall" (CIKM 2019), section 3.3 and
algorithm 1 (B2I dynamic routing):
    b_ij ~ N(0, sigma^2);  R rounds of  w_ij = softmax over interests of b_ij,  u_j = squash(sum over i of w_ij S e_i)
    and b_ij += u_j^T S e_i;  K_u = max(1, min(K, log2 n)).
The label-aware readout with its power (section 3.4) is the recommender's: `scoring.readout = "label_aware"`.

Differs from the paper:
* The random logits are drawn anew at every step of training. Outside training they are one table, drawn with the
  initial parameters, saved with them and indexed by distance from the end of the history: a user's interests must
  depend on nothing else.
* K_u is rounded down, which the paper leaves open; n counts the behaviours that are read, at most `max_history`.
* The ReLU layers after the capsules are an option, off unless asked for: interests without negative coordinates
  cannot reach most of the items' directions. Of ComiRec's two settings of MIND, Books has one layer and Taobao none.
  There is no user profile to join to the capsules.
* S starts near the identity unless told otherwise.
* Gradient through the last round only (the paper does not say; so in the code of ComiRec's authors).
* Similarity and loss are the recommender's choice. Under `cosine` an interest's length does not count, and squash
  acts within the routing only.

B users, L behaviours, K interests, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.errors import require_number
from baselines.extractors.capsules import new_maps, route, routed
from baselines.interests import InterestExtractor, Interests, recency_rank, scatter


def log_length(n_behaviours: Tensor) -> Tensor:
    """The adaptive rule, [B] int64: the whole part of log2 n, exactly, and at least 1."""
    _, exponent = torch.frexp(n_behaviours.double())  # n = f * 2^exponent, f in [1/2, 1)
    return (exponent.long() - 1).clamp(min=1)


class MIND(InterestExtractor):
    """Capsules of one shared space, told apart by their random start.

    Args:
        width: D.
        max_history: longest history, for the logits that are used outside training.
        n_interests: K, or the largest K_u where `adaptive` (the paper: 5 to 7 at Tmall; ComiRec's comparison: 4).
        n_rounds: R, rounds of routing (both papers: 3).
        adaptive: give a user of n behaviours K_u = max(1, min(K, floor(log2 n))) interests, rather than K.
        logit_std: sigma, standard deviation of the random logits (ComiRec's code: 1).
        n_hidden_layers: dense layers of D units with ReLU after the capsules, the same for every interest.
        near_identity: start S near the identity, not at random (the paper does not say; ComiRec's code: at random).

    Attributes:
        generator: source of the logits in training; None = torch's default one, as for dropout.
    """

    def __init__(
        self,
        width: int,
        max_history: int,
        *,
        n_interests: int = 4,
        n_rounds: int = 3,
        adaptive: bool = False,
        logit_std: float = 1.0,
        n_hidden_layers: int = 0,
        near_identity: bool = True,
    ) -> None:
        super().__init__()
        require_number("model.n_interests", n_interests, at_least=1)
        require_number("model.n_rounds", n_rounds, at_least=1)
        require_number("model.logit_std", logit_std, above=0)  # at 0 all capsules would be one
        require_number("model.n_hidden_layers", n_hidden_layers, at_least=0)
        self.n_interests = n_interests
        self.n_rounds = n_rounds
        self.adaptive = adaptive
        self.logit_std = logit_std
        self.generator: torch.Generator | None = None
        self.shared_map = nn.Parameter(
            new_maps(width, width, near_identity=near_identity)
        )  # S, transposed: vectors are rows here
        layers = [layer for _ in range(n_hidden_layers) for layer in (nn.Linear(width, width), nn.ReLU())]
        self.hidden = nn.Sequential(*layers)
        self.start: Tensor
        self.register_buffer("start", torch.randn(max_history, n_interests) * logit_std)

    def forward(self, history: Tensor, history_mask: Tensor) -> Interests:
        """See `InterestExtractor.forward`; K interests are live, or the first K_u where `adaptive`."""
        mask = self._live(history_mask)
        logits = self._first_logits(history_mask).mT.masked_fill(~mask[..., None], -torch.inf)  # [B, K, L]

        # Mapping is linear, so the K pooled vectors are mapped instead of the L behaviours: S sum = sum of S.
        def pool(coupling: Tensor) -> Tensor:
            return (coupling @ history) @ self.shared_map  # [B, K, D]

        def agree(capsules: Tensor) -> Tensor:
            return (capsules @ self.shared_map.T) @ history.mT  # [B, K, L]

        capsules, coupling = route(logits, history_mask, self.n_rounds, pool, agree)
        return routed(self.hidden(capsules), mask, coupling, training=self.training)

    def _live(self, history_mask: Tensor) -> Tensor:
        """Which interests live, [B, K] bool; all of them unless `adaptive`."""
        if not self.adaptive:
            return history_mask.new_ones(len(history_mask), self.n_interests)
        K_u = log_length(history_mask.sum(-1))
        return torch.arange(self.n_interests, device=history_mask.device) < K_u[:, None]

    def _first_logits(self, history_mask: Tensor) -> Tensor:
        """Where routing starts, [B, L, K]."""
        rank = recency_rank(history_mask)
        if not self.training:
            return self.start[rank]
        shape = int(history_mask.sum()), self.n_interests  # of behaviours alone: padding changes no draw
        drawn = torch.randn(shape, generator=self.generator, device=history_mask.device, dtype=self.start.dtype)
        return scatter(drawn * self.logit_std, history_mask)
