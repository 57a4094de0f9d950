"""What is made of K interests before anything is scored: one vector, or K that know of each other.

Merging is one of the two forms of aggregation in Li et al., "Multi-Interest Recommendation: A Survey" (arXiv
2506.15284); the other scores K times and joins the scores (`baselines.aggregation`). A merger is a module
`Interests -> Interests` with K = 1, so readouts, ranking and explanation go on as before: the one interest is live, has
no opinion of its importance, and holds what all live interests held of each behaviour.

    concat_mlp        v = W2 relu(W1 [h_1; ...; h_K] + b1) + b2
    base_attention    v = sum_k a_k h_k,  a = softmax over interests of (W h_0)^T h_k / sqrt(D),  h_0 the base interest

What an MLP gains need not cost the interests: here it moves each of them, in the context of all, and none is merged.
An adaptive method takes the same step, with a context of its own (`adaptive_mi.extractor`).

    in_context        v_k = h_k + W2 relu(W1 [norm(h_k); norm(h_0)] + b1) + b2        (`baselines.transition`)

They are read as they are scored: under `cosine`, where an interest is a direction, all of one length
(`Recommender.extract`), so that what a method makes of their length, capsules a length below 1, decides nothing.

The base interest is the mean of the user's live interests, the one summary of a user that every extractor has. The
importance that a method gives its interests (`log_weight`) weighs that mean and joins the attention's logits, as it
joins scores elsewhere.

B users, L behaviours, K interests, D width.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import get_args

import torch
from torch import Tensor, nn

from baselines.config import Representation
from baselines.errors import BadInput, require_number, unknown_name
from baselines.interests import Interests
from baselines.transition import Transition


class ConcatMLP(nn.Module):
    """A perceptron over all of a user's interests, one after another; a dead one reads as 0.

    It knows interests by their slot, so their order matters, and K must be the same for every batch. It has no use for
    `log_weight`.

    Args:
        width: D.
        n_interests: K.
        hidden_width: width of the hidden layer; 0 = 4 D.
    """

    def __init__(self, width: int, n_interests: int, *, hidden_width: int = 0) -> None:
        super().__init__()
        require_number("scoring.width", width, at_least=1)
        require_number("model.n_interests", n_interests, at_least=1)
        require_number("hidden_width", hidden_width, at_least=0)
        self.n_interests = n_interests
        hidden_width = hidden_width or 4 * width
        self.layers = nn.Sequential(
            nn.Linear(n_interests * width, hidden_width), nn.ReLU(), nn.Linear(hidden_width, width)
        )

    def forward(self, interests: Interests) -> Interests:
        """Merge; raises BadInput where K is not `n_interests`."""
        K = interests.mask.shape[1]
        if self.n_interests != K:
            raise BadInput(
                f"representation 'concat_mlp' was made for {self.n_interests} interests a user and got {K}: it needs a "
                "method with one K for all; for an adaptive K take 'base_attention'."
            )
        return _merged(interests, self.layers(interests.live_vectors.flatten(1)))


class BaseInterestAttention(nn.Module):
    """Attention of a base interest, the mean of a user's live interests, over those interests.

    The order of interests changes nothing, K may vary, and one live interest is returned as it is.

    Args:
        width: D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        require_number("scoring.width", width, at_least=1)
        self.query = nn.Linear(width, width, bias=False)  # W; a second map, of the keys, would merge with it

    def forward(self, interests: Interests) -> Interests:
        """Merge; any K."""
        vectors, log_weight = interests.live_vectors, _live_log_weight(interests)  # [B, K, D], [B, 1, K]
        base = log_weight.softmax(-1) @ vectors  # [B, 1, D]
        logits = self.query(base) @ vectors.mT / math.sqrt(vectors.shape[-1])  # [B, 1, K]
        attention = (logits + log_weight).softmax(-1)  # [B, 1, K]: sums over live interests
        return _merged(interests, (attention @ vectors).squeeze(1))


class StepInContext(nn.Module):
    """One non-linear step of each interest, in the context of the base interest; K, masks and weights stay.

    Args:
        width: D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        require_number("scoring.width", width, at_least=1)
        self.transition = Transition(width, in_context=True)

    def forward(self, interests: Interests) -> Interests:
        """Move; any K."""
        base = (_live_log_weight(interests).softmax(-1) @ interests.live_vectors).squeeze(1)  # [B, D]
        return replace(interests, vectors=self.transition(interests.vectors, interests.mask, base))


def make_representation(kind: Representation, width: int, n_interests: int | None) -> nn.Module | None:
    """Make the module of `kind`, `Interests -> Interests`; None for `separate`, which leaves them as they are.

    Args:
        kind: see `ScoringConfig.representation`.
        width: D.
        n_interests: K of the extractor, or None where it varies.

    Raises:
        BadInput: an unknown kind, or `concat_mlp` without a K.
    """
    if kind == "separate":
        return None
    if kind == "base_attention":
        return BaseInterestAttention(width)
    if kind == "in_context":
        return StepInContext(width)
    if kind == "concat_mlp":
        if n_interests is None:
            raise BadInput(
                "scoring.representation=concat_mlp needs a method whose users all have the same K interests "
                "(model.n_interests), and this one presets none; take base_attention, or leave it at separate."
            )
        return ConcatMLP(width, n_interests)
    raise unknown_name("representation", kind, get_args(Representation))


def _live_log_weight(interests: Interests) -> Tensor:
    """Log importance [B, 1, K], minus infinity where dead."""
    return interests.log_weight.masked_fill(~interests.mask, -torch.inf)[:, None]


def _merged(interests: Interests, vectors: Tensor) -> Interests:
    """Interests with `vectors` [B, D] as the only one; penalties and routing stay."""
    mask = torch.ones_like(interests.mask[:, :1])  # [B, 1]
    held = interests.assignment.masked_fill(~interests.mask[:, None, :], 0)  # [B, L, K]
    return replace(
        interests,
        vectors=vectors[:, None],
        mask=mask,
        log_weight=torch.zeros_like(mask, dtype=vectors.dtype),
        assignment=held.sum(-1, keepdim=True),
    )
