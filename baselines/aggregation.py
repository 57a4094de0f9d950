"""From K interests to one score: readouts see the training target, aggregators serve and see only items.

B users, K interests, D width, C candidate items.
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.config import Aggregation, Readout
from baselines.interests import Interests
from baselines.soft_scores import attentive_scores, soft_scores


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


def aggregate(interests: Interests, items: Tensor, aggregation: Aggregation) -> Tensor:
    """Score items as serving does, in plain form: `retrieval` gives the same by faster ways.

    With m_k the match of an item and live interest k: their maximum (`best_interest`), log-sum-exp (`soft_interests`),
    or a mean weighted by the softmax over interests of their log weight, the same for all items (`mean_interests`), or
    of m_k itself (`attentive_interests`, target attention; it lies between max - log K and max).

    Args:
        items: [C, D] or [B, C, D].

    Returns:
        [B, C] float.
    """
    match = matches(interests, items)
    if aggregation == "best_interest":
        return match.amax(1)
    if aggregation == "soft_interests":
        return match.logsumexp(1)
    weight = match.softmax(1) if aggregation == "attentive_interests" else _importance(interests)[..., None]
    return (weight * match.masked_fill(~interests.mask[..., None], 0)).sum(1)


def read_out(
    interests: Interests, target: Tensor, candidates: Tensor, readout: Readout, power: float
) -> tuple[Tensor, Tensor]:
    """Score the target and the candidates as training sees them: `queries` joined by log-sum-exp, or `attentive`.

    Args:
        target: [B, D] vectors of the targets; candidates: [C, D].

    Returns:
        Target scores [B] and candidate scores [B, C].
    """
    if readout == "attentive":
        vectors, offset = _silenced(interests)
        match = (vectors @ target[..., None]).squeeze(-1) + offset  # [B, K]
        of_target = (match.softmax(1) * match.masked_fill(~interests.mask, 0)).sum(1)
        return of_target, attentive_scores(vectors, offset, candidates)
    vectors, offset = queries(interests, target, readout, power)
    if vectors.shape[1] == 1:
        vector = vectors[:, 0]
        return (vector * target).sum(-1) + offset[:, 0], torch.addmm(offset, vector, candidates.T)
    return ((vectors @ target[..., None]).squeeze(-1) + offset).logsumexp(1), soft_scores(vectors, offset, candidates)


def read_out_own(interests: Interests, target: Tensor, own: Tensor, readout: Readout, power: float) -> Tensor:
    """Score candidates of each user's own as training sees them, [B, C], like `read_out` those of the batch.

    Args:
        target: [B, D] vectors of the targets; own: [B, C, D].
    """
    if readout == "attentive":
        return aggregate(interests, own, "attentive_interests")
    vectors, offset = queries(interests, target, readout, power)
    return (vectors @ own.mT + offset[..., None]).logsumexp(1)


def queries(interests: Interests, target: Tensor, readout: Readout, power: float) -> tuple[Tensor, Tensor]:
    """What scores the target and the candidates, by log-sum-exp of its matches, in training.

    `soft`: all interests; `hard` (ComiRec): the interest that matches the target best; `label_aware` (MIND): one
    vector, the interests weighted by `label_attention`; `mean`: one vector, their mean. Not `attentive`,
    which is no log-sum-exp.

    Args:
        target: [B, D] vectors of the targets.

    Returns:
        Vectors [B, Q, D], Q = K or 1, 0 where dead; and their log importance [B, Q], -inf where dead.
    """
    assert readout != "attentive", "a mean of matches by softmax is no log-sum-exp of them"
    vectors, offset = _silenced(interests)
    if readout == "soft" or vectors.shape[1] == 1:
        return vectors, offset
    if readout == "mean":
        weight = _importance(interests)
        constant = (weight * offset.masked_fill(~interests.mask, 0)).sum(1, keepdim=True)
        return weight[:, None] @ vectors, constant
    match = (vectors @ target[..., None]).squeeze(-1) + offset  # [B, K]
    if readout == "hard":
        chosen = match.argmax(1, keepdim=True)  # [B, 1]
        return vectors.take_along_dim(chosen[..., None], 1), offset.gather(1, chosen)
    weight = label_attention(match, interests.mask, power)
    return weight[:, None] @ vectors, offset.new_zeros(len(offset), 1)


def label_attention(match: Tensor, mask: Tensor, power: float) -> Tensor:
    """Softmax over the last dimension, where `mask` is True, of sign(m) |m|^power.

    MIND's label-aware attention, m [B, K] being the interests' matches with the target, log importance added; and
    ComiRec-SA's attention with a power, m [B, K, L] being its scores. As in MIND's paper, power 0 weighs all alike, and
    a large one chooses the best match, m*, provided that |m*| > 1. Powers are taken of m / |m*| and then multiplied by
    |m*|^power, each capped at 1e15: finite, and still in order.
    """
    if power == 0:
        return mask / mask.sum(-1, keepdim=True)
    best = match.detach().masked_fill(~mask, -torch.inf).amax(-1, keepdim=True).abs().clamp(min=1)  # [B, 1]
    match = match.masked_fill(~mask, 0) / best  # an infinity would spoil the power's gradient
    highest = 10.0 ** min(15 / power, 38)  # its power is 1e15, unless it would not be a float32
    logits = match.sign() * match.abs().clamp(1e-6, highest) ** power * (best**power).clamp(max=1e15)
    return logits.masked_fill(~mask, -torch.inf).softmax(-1)  # [B, K]


def _importance(interests: Interests) -> Tensor:
    """Softmax of log weight, [B, K]: 1 in all over a user's live interests, 0 in dead slots."""
    return interests.log_weight.masked_fill(~interests.mask, -torch.inf).softmax(1)


def _silenced(interests: Interests) -> tuple[Tensor, Tensor]:
    """Vectors [B, K, D] and log importance [B, K], with 0 and -inf in dead slots, whatever those hold, NaN included."""
    vectors = interests.live_vectors
    return vectors, interests.log_weight.masked_fill(~interests.mask, -torch.inf)
