"""What every multi-interest method makes of a user's history. Read this file first.

B users, L behaviours, K interests, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Interests:
    """K interests for each of B users; where a user has fewer, the rest are dead slots that must not count.

    Attributes:
        vectors: [B, K, D] float.
        mask: [B, K] bool, True = live; every user has at least one live interest.
        log_weight: [B, K] float, log importance of each interest; 0 where a method has no opinion.
        assignment: [B, L, K] float, share of each behaviour given to each interest; a row sums to 1, or to 0 for
            padding and noise. It always sums over K; attention weights that sum over L stay private to the method. In
            training, where nothing reads it, methods that assign after the fact leave it at 0.
        penalties: unweighted scalar training terms by name; empty in eval mode.
        routing: [B, L, K] float, a row 0 for padding and only there: the matrix by which behaviours were pooled into
            interests, whatever it sums over (capsules: K, attention: L); with its gradient, for regularizers. None in
            eval mode, and where a method pools by none.
        notes: name -> [B] float, what the method has to tell of each user beside his interests, for diagnostics
            (`experiments.evaluation.diagnostics` explains the names); empty in training.
    """

    vectors: Tensor
    mask: Tensor
    log_weight: Tensor
    assignment: Tensor
    penalties: Mapping[str, Tensor] = field(default_factory=dict)
    routing: Tensor | None = None
    notes: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        B, K, _ = self.vectors.shape
        if self.mask.shape != (B, K) or self.mask.dtype != torch.bool:
            raise ValueError(f"mask must be bool [{B}, {K}], got {self.mask.dtype} {list(self.mask.shape)}")
        if self.log_weight.shape != (B, K):
            raise ValueError(f"log_weight must be [{B}, {K}], got {list(self.log_weight.shape)}")
        if self.assignment.ndim != 3 or self.assignment.shape[0] != B or self.assignment.shape[2] != K:
            raise ValueError(f"assignment must be [{B}, L, {K}], got {list(self.assignment.shape)}")

    def __getitem__(self, users: Tensor) -> Interests:
        """Return the interests of `users` [M] int64, in that order, without what training alone reads."""
        notes = {name: values[users] for name, values in self.notes.items()}
        return Interests(
            self.vectors[users], self.mask[users], self.log_weight[users], self.assignment[users], notes=notes
        )

    @classmethod
    def single(cls, vectors: Tensor, history_mask: Tensor) -> Interests:
        """One live interest a user, `vectors` [B, D], to which all behaviours belong."""
        B = len(vectors)
        mask = torch.ones(B, 1, dtype=torch.bool, device=vectors.device)
        assignment = history_mask[..., None].to(vectors.dtype)
        return cls(vectors[:, None], mask, vectors.new_zeros(B, 1), assignment)

    @property
    def n_live(self) -> Tensor:
        """Number of live interests of each user, [B] int64."""
        return self.mask.sum(-1)

    @property
    def live_vectors(self) -> Tensor:
        """The vectors, [B, K, D], and 0 in the place of dead ones, whatever those hold, NaN included."""
        return self.vectors.masked_fill(~self.mask[..., None], 0)


class InterestExtractor(nn.Module):
    """History -> Interests. A subclass documents its paper, its equations and where it differs from them.

    Attributes:
        reads_undropped: `forward` takes `undropped`, the history as it was before dropout [B, L, D]: what decides
            by distances cannot do so between vectors of which parts are missing.
        reads_target: in training `forward` takes `target`, the vector of the behaviour to come [B, D]: what learns to
            generate it has to be shown it. It may enter penalties, and never interests. No gradient reaches it.
    """

    reads_undropped = False
    reads_target = False

    def forward(self, history: Tensor, history_mask: Tensor) -> Interests:
        """Extract interests.

        Args:
            history: [B, L, D] float, vectors of the behaviours, oldest first, left-aligned; padding is arbitrary, but
                finite.
            history_mask: [B, L] bool, True = a behaviour; every user has at least one.
        """
        raise NotImplementedError

    def assigned(self, history: Tensor, history_mask: Tensor, vectors: Tensor, mask: Tensor) -> Tensor:
        """`assign`, for methods without a coupling of their own; zeros in training, where nothing reads it."""
        if self.training:
            return history.new_zeros(*history_mask.shape, vectors.shape[1])
        return assign(history, history_mask, vectors, mask)


def assign(history: Tensor, history_mask: Tensor, vectors: Tensor, mask: Tensor) -> Tensor:
    """Assign each behaviour to its nearest live interest by cosine, after the fact.

    For methods without a coupling of their own (attention). Ties go to the first interest.

    Args:
        history: [B, L, D]; history_mask: [B, L] bool; vectors: [B, K, D]; mask: [B, K] bool.

    Returns:
        [B, L, K] float one-hot over live interests; rows of padding are 0.
    """
    towards = nn.functional.normalize(vectors, dim=-1)
    match = torch.einsum("bld,bkd->blk", history, towards)  # a behaviour's own length changes no arg max
    match = match.masked_fill(~mask[:, None, :], -torch.inf)
    nearest = match.argmax(-1)  # [B, L]
    one_hot = nn.functional.one_hot(nearest, vectors.shape[1]).to(vectors.dtype)
    return one_hot * history_mask[..., None]


def log_shares(log_weight: Tensor, mask: Tensor) -> Tensor:
    """Log of each live interest's share in its user's importance, of log weights and mask [B, K]; 0 where dead."""
    live = log_weight.masked_fill(~mask, -torch.inf)
    shares = live.double().log_softmax(1).to(log_weight)  # in float32 its last bit minds K
    return shares.masked_fill(~mask, 0)


def pack(values: Tensor, history_mask: Tensor) -> Tensor:
    """Take the rows of `values` [B, L, W] where `history_mask` [B, L] is True, in order, [n, W].

    With `scatter`, its inverse, a layer works on behaviours only and never on padding. The same as
    `values[history_mask]`, whose gradient takes several times as long.
    """
    place = history_mask.flatten().nonzero().squeeze(-1)  # [n]
    return nn.functional.embedding(place, values.flatten(0, 1))


def scatter(behaviours: Tensor, history_mask: Tensor) -> Tensor:
    """Put packed rows [n, W], one for each True of `history_mask` [B, L] in order, into [B, L, W]; 0 elsewhere."""
    place = history_mask.flatten().nonzero().squeeze(-1)  # [n]
    padded = behaviours.new_zeros(history_mask.numel(), behaviours.shape[-1])
    return padded.index_copy(0, place, behaviours).view(*history_mask.shape, -1)


def recency_rank(history_mask: Tensor) -> Tensor:
    """Return each behaviour's distance from the end of its history, [B, L] int64: 0 = the latest; padding gets 0."""
    L = history_mask.shape[1]
    last = history_mask.sum(-1, keepdim=True) - 1
    return (last - torch.arange(L, device=history_mask.device)).clamp(min=0)


def concatenate(parts: Sequence[Interests], n_behaviours: int) -> Interests:
    """Join the interests of several groups of users; K is padded with dead slots, L to `n_behaviours`."""
    K = max(part.vectors.shape[1] for part in parts)

    def padded(part: Interests) -> Interests:
        k = K - part.vectors.shape[1]
        pad = nn.functional.pad
        return Interests(
            vectors=pad(part.vectors, (0, 0, 0, k)),
            mask=pad(part.mask, (0, k)),
            log_weight=pad(part.log_weight, (0, k)),
            assignment=pad(part.assignment, (0, k, 0, n_behaviours - part.assignment.shape[1])),
            notes=part.notes,
        )

    wide = [padded(part) for part in parts]
    return Interests(
        vectors=torch.cat([part.vectors for part in wide]),
        mask=torch.cat([part.mask for part in wide]),
        log_weight=torch.cat([part.log_weight for part in wide]),
        assignment=torch.cat([part.assignment for part in wide]),
        notes={name: torch.cat([part.notes[name] for part in wide]) for name in wide[0].notes},
    )
