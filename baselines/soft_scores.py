"""Log-sum-exp over interests of their matches with shared candidates: what most of a training step's time goes to.

The same value and gradient as `matches(...).logsumexp(1)`, with one [B, K, C] array that is reused at every step of the
way instead of seven that are allocated.

B users, K interests, D width, C candidate items.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _SoftScores(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vectors: Tensor, offset: Tensor, items: Tensor) -> Tensor:
        B, K, D = vectors.shape
        flat = vectors.reshape(B * K, D)
        share = torch.addmm(offset.reshape(B * K, 1), flat, items.T).view(B, K, -1)
        top = share.amax(1, keepdim=True)
        share.sub_(top).exp_()
        total = share.sum(1, keepdim=True)
        share.div_(total)  # [B, K, C]: of an item's score among interests, the derivative of the log-sum-exp
        ctx.save_for_backward(flat, items, share)
        return total.log_().add_(top).squeeze(1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        flat, items, share = ctx.saved_tensors
        B, K, C = share.shape
        by_score = (share * gradients[0][:, None]).view(B * K, C)
        return (by_score @ items).view(B, K, -1), by_score.sum(-1).view(B, K), by_score.T @ flat


def soft_scores(vectors: Tensor, offset: Tensor, items: Tensor) -> Tensor:
    """Score candidates by log-sum-exp over interests.

    Args:
        vectors: [B, K, D] finite, also where dead.
        offset: [B, K] log importance; -inf where dead, and at least one finite entry a row.
        items: [C, D] candidates shared by the batch.

    Returns:
        [B, C] float.
    """
    scores: Tensor = _SoftScores.apply(vectors, offset, items)  # type: ignore[no-untyped-call]
    return scores
