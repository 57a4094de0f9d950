"""Regularizers: what may be asked of a user's interests beyond serving the target, by any extractor.

Each is `Interests -> scalar`, unweighted. It reads the extractor's own vectors, before scaling and normalisation; what
dead slots hold, NaN included, never counts. The four are those that Li et al. list in "Multi-Interest Recommendation: A
Survey" (arXiv 2506.15284). They pull in different directions:

| name          | punishes interests that                  | least                          | greatest               |
|---------------|------------------------------------------|--------------------------------|------------------------|
| `cosine`      | point the same way                       | -1 / (K - 1); orthogonal: 0    | 1, parallel            |
| `contrastive` | resemble each other as two views of one  | towards 0, far apart           | about log K, identical |
| `elementwise` | use the same coordinates                 | 0, disjoint coordinates        | 1, equal up to signs   |
| `routing`     | read few behaviours (peaky routing)      | 0, all behaviours read alike   | K, one each (L large)  |

The first three push interests apart. `routing` spreads each over the whole history; at its minimum all interests of an
attention are the same mean of it, which is what the others punish.

The first three judge pairs: they are means over the users with at least two live interests (0 if there is none). And
they see directions alone, as lengths can be had for nothing. A vector shorter than 1e-6 has no direction: it resembles
nothing, and no gradient reaches it.

B users, L behaviours, K interests, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.errors import BadInput
from baselines.interests import Interests

_SHORTEST = 1e-6  # length of a vector that has a direction


def cosine(interests: Interests) -> Tensor:
    """Mean cosine over the pairs of a user's live interests."""
    return _mean_over_pairs(_directions(interests), interests.mask)


def elementwise(interests: Interests) -> Tensor:
    """|W_i o W_j|_1, the sum over coordinates of |w_id w_jd|, averaged over the pairs of a user's live interests.

    Its W_j are the interest vectors, which every method has, at unit length. It asks for more than right angles: (1, 1)
    and (1, -1) share all their coordinates and count 1.
    """
    return _mean_over_pairs(_directions(interests).abs(), interests.mask)


def contrastive(interests: Interests, *, dropout: float = 0.1, temperature: float = 0.1) -> Tensor:
    """InfoNCE among a user's live interests, each seen twice through dropout.

    -log(exp(cos(a_k, b_k) / tau) / sum_j exp(cos(a_k, b_j) / tau)), averaged over live k, j live too, where a and b are
    two views of the vectors (Gao, Yao, Chen, "SimCSE", EMNLP 2021, eq. 4). Positive: the other view of the same
    interest. Negatives: the other views of the same user's other interests; never another user's, who may like the same
    things. Without dropout, orthogonal interests give log(1 + (K - 1) exp(-1 / tau)).

    Args:
        interests: of the batch.
        dropout: share of coordinates that a view lacks, drawn from torch's default generator (SimCSE: 0.1).
        temperature: tau; the smaller, the more the nearest negative counts (SimCSE: 0.05, for far more negatives).
    """
    mask = interests.mask
    vectors = interests.live_vectors
    views = F.dropout(vectors.expand(2, *vectors.shape), dropout)
    one, other = _normalised(views)  # [B, K, D] each
    logits = (one @ other.mT / temperature).masked_fill(~mask[:, None, :], -torch.inf)  # [B, K, K]
    positive = logits.diagonal(dim1=1, dim2=2)  # [B, K]
    terms = (logits.logsumexp(-1) - positive).masked_fill(~mask, 0)
    return _mean_over_several(terms.sum(-1) / mask.sum(-1), mask)


def routing(interests: Interests) -> Tensor:
    """REMI's routing regularization, |diag(Cov(C, C))|_F^2 with C [L, K] the routing matrix, averaged over users.

    Xie et al. (RecSys 2023, arXiv 2302.14532). C is the attention of their extractor; the k-th diagonal entry is the
    scatter sum_l (c_lk - mean_l c_lk)^2 over the user's behaviours. Every user counts, one of a single behaviour as 0.
    Capsules may be held to it too; their C sums over interests, so its scatter grows with L: give it less weight.

    Differs from the authors' code, where padding counts in the mean that is subtracted, the scatter is divided by D,
    and users are summed: its weight w at batch size B is w * B / D^2 here (100 at B = 128 and D = 64: 3.1).

    A user's behaviours are taken to end with the last row of `interests.routing` that is not 0, as histories are
    left-aligned; rows of 0 before it count: they are behaviours that no interest reads.

    Raises:
        BadInput: the method pools by no routing matrix.
    """
    if interests.routing is None:
        raise BadInput(
            "the regularizer 'routing' needs the matrix by which behaviours are pooled, and this method gives none; "
            "methods of attention (comirec_sa) and of capsules (comirec_dr, mind) do: take one, or drop its weight."
        )
    shares = interests.routing.masked_fill(~interests.mask[:, None, :], 0)  # [B, L, K]
    place = torch.arange(1, shares.shape[1] + 1, device=shares.device)
    n_behaviours = ((shares != 0).any(-1) * place).amax(-1, keepdim=True).clamp(min=1)  # [B, 1]
    scatter = shares.square().sum(1) - shares.sum(1).square() / n_behaviours  # [B, K]
    return scatter.square().sum(-1).mean()


REGULARIZERS: Mapping[str, Callable[[Interests], Tensor]] = {
    "cosine": cosine,
    "contrastive": contrastive,
    "routing": routing,
    "elementwise": elementwise,
}
"""Name in `loss.weights` -> regularizer."""


def _normalised(vectors: Tensor) -> Tensor:
    """Vectors [..., D] at unit length; 0, with a gradient of 0, where they are too short for a direction."""
    squares = vectors.square().sum(-1, keepdim=True)
    return vectors * squares.masked_fill(squares < _SHORTEST**2, torch.inf).rsqrt()


def _directions(interests: Interests) -> Tensor:
    """Live interests at unit length, dead ones 0, [B, K, D]."""
    return _normalised(interests.live_vectors)


def _mean_over_pairs(directions: Tensor, mask: Tensor) -> Tensor:
    """Mean inner product of a user's live vectors [B, K, D] over pairs, then over the users who have a pair."""
    both_ways = directions.sum(1).square().sum(-1) - directions.square().sum((1, 2))  # [B] sum over i != j
    k = mask.sum(-1)
    return _mean_over_several(both_ways / (k * (k - 1)).clamp(min=1), mask)


def _mean_over_several(terms: Tensor, mask: Tensor) -> Tensor:
    """Mean of [B] over the users with at least two live interests; 0 where there is none."""
    several = mask.sum(-1) > 1
    return (terms * several).sum() / several.sum().clamp(min=1)
