"""From K interests to one score: readouts see the training target, aggregators serve and see only items.

B users, K interests, D width, C candidate items.
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.config import Aggregation, Readout
from baselines.interests import Interests
from baselines.soft_scores import soft_scores


def matches(interests: Interests, items: Tensor) -> Tensor:
    """Match every interest with every item, log importance added; dead interests match nothing.

    Args:
        items: [C, D], candidates shared by the batch, or [B, C, D], candidates of each user.

    Returns:
        [B, K, C] float; -inf in the rows of dead interests.
    """
    vectors, offset = _silenced(interests)
    if items.ndim == 2:
        B, K, D = vectors.shape
        return torch.addmm(offset.view(B * K, 1), vectors.view(B * K, D), items.T).view(B, K, len(items))
    return torch.baddbmm(offset[..., None], vectors, items.mT)


def aggregate(scores: Tensor, aggregation: Aggregation) -> Tensor:
    """Join matches [B, K, C] into scores [B, C] over live interests: maximum or log-sum-exp."""
    if aggregation == "best_interest":
        return scores.amax(1)
    return scores.logsumexp(1)


def read_out(
    interests: Interests, target: Tensor, candidates: Tensor, readout: Readout, power: float
) -> tuple[Tensor, Tensor]:
    """Score the target and the candidates as training sees them.

    `hard` (ComiRec, eq. 9): the interest that matches the target best scores everything; `label_aware` (MIND, eq. 8):
    one vector, the interests weighted by `label_attention`; `soft`: log-sum-exp over interests of the matches with each
    item.

    Args:
        target: [B, D] vectors of the targets; candidates: [C, D].

    Returns:
        Target scores [B] and candidate scores [B, C].
    """
    vectors, offset = _silenced(interests)
    of_target = (vectors @ target[..., None]).squeeze(-1) + offset  # [B, K]
    if readout == "soft":
        return of_target.logsumexp(1), soft_scores(vectors, offset, candidates)
    if readout == "hard":
        chosen = of_target.argmax(1)  # [B]
        row = torch.arange(len(chosen), device=chosen.device)
        vector, constant = vectors[row, chosen], offset[row, chosen]
    else:
        weight = label_attention(of_target, interests.mask, power)
        vector, constant = (weight[..., None] * vectors).sum(1), target.new_zeros(len(target))
    return (vector * target).sum(-1) + constant, vector @ candidates.T + constant[:, None]


def label_attention(match: Tensor, mask: Tensor, power: float) -> Tensor:
    """Softmax over live interests of sign(m) |m|^power, m [B, K] the match with the target, log importance added.

    As in the paper, power 0 weighs all alike, and a large one chooses the best match, m*, provided that |m*| > 1.
    Powers are taken of m / |m*| and then multiplied by |m*|^power, each capped at 1e15: finite, and still in order.
    """
    if power == 0:
        return mask / mask.sum(-1, keepdim=True)
    best = match.detach().masked_fill(~mask, -torch.inf).amax(-1, keepdim=True).abs().clamp(min=1)  # [B, 1]
    match = match.masked_fill(~mask, 0) / best  # an infinity would spoil the power's gradient
    logits = match.sign() * match.abs().clamp(1e-6, 1e15 ** (1 / power)) ** power * (best**power).clamp(max=1e15)
    return logits.masked_fill(~mask, -torch.inf).softmax(-1)  # [B, K]


def _silenced(interests: Interests) -> tuple[Tensor, Tensor]:
    """Vectors [B, K, D] and log importance [B, K], with 0 and -inf in dead slots, whatever those hold, NaN included."""
    vectors = interests.vectors.masked_fill(~interests.mask[..., None], 0)
    return vectors, interests.log_weight.masked_fill(~interests.mask, -torch.inf)
