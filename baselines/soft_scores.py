"""Scores of shared candidates, joined from several interests item by item: what most of a training step's time goes to.

The same values and gradients as of the plain formulas over `matches`, with one [B, K, C] array (two for attention) that
is reused at every step of the way instead of seven that are allocated.

B users, K interests, D width, C candidate items.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _JoinedScores(torch.autograd.Function):
    """Matches m_k -> their log-sum-exp, or their mean s weighted by the softmax p over interests.

    The derivative by m_k is p_k of the former, p_k (1 + m_k - s) of the latter.
    """

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, offset: Tensor, items: Tensor, attentive: bool) -> Tensor:
        B, K, D = vectors.shape
        flat = vectors.reshape(B * K, D)
        if attentive:
            offset = offset.clamp(min=torch.finfo(offset.dtype).min / 4)  # 0 times this is 0, times infinity it is not
        below = torch.addmm(offset.reshape(B * K, 1), flat, items.T).view(B, K, -1)
        top = below.amax(1, keepdim=True)
        below.sub_(top)
        slope = below.exp() if attentive else below.exp_()
        total = slope.sum(1, keepdim=True)
        slope.div_(total)  # [B, K, C]: p, an item's shares among interests
        if attentive:
            fall = below.mul_(slope).sum(1, keepdim=True)  # s - top
            slope.mul_(1 - fall).add_(below)
            score = fall.add_(top)
        else:
            score = total.log_().add_(top)
        ctx.save_for_backward(flat, items, slope)
        return score.squeeze(1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        flat, items, slope = ctx.saved_tensors
        B, K, C = slope.shape
        by_match = (slope * gradients[0][:, None]).view(B * K, C)
        return (by_match @ items).view(B, K, -1), by_match.sum(-1).view(B, K), by_match.T @ flat, None


def soft_scores(vectors: Tensor, offset: Tensor, items: Tensor) -> Tensor:
    """Score candidates by log-sum-exp over interests.

    Args:
        vectors: [B, K, D] finite, also where dead.
        offset: [B, K] log importance; -inf where dead, and at least one finite entry a row.
        items: [C, D] candidates shared by the batch.

    Returns:
        [B, C] float.
    """
    scores: Tensor = _JoinedScores.apply(vectors, offset, items, False)  # type: ignore[no-untyped-call]
    return scores


def attentive_scores(vectors: Tensor, offset: Tensor, items: Tensor) -> Tensor:
    """Score candidates by the mean over interests of their matches, weighted by softmax; arguments as `soft_scores`."""
    scores: Tensor = _JoinedScores.apply(vectors, offset, items, True)  # type: ignore[no-untyped-call]
    return scores
