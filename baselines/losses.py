"""Softmax losses over the catalogue, in full or from sampled negatives.

B users, N items, S negatives.

With scores s and target t the full softmax loses -s_t + log Z, Z = sum over the N items of exp(s_i). The sampled one
replaces Z by a sum over the target and S negatives drawn from a proposal q; what that estimates depends on the
correction (`sampled_softmax` lists the choices, and the tests hold it to each limit).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Reduction = Literal["mean", "none"]


def full_softmax(scores: Tensor, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Cross-entropy of the target among all N items.

    Args:
        scores: [B, N + 1] float; column 0 (padding) is left out.
        target: [B] int64 in 1..N.
        reduction: `mean` over users, or `none`.

    Returns:
        A scalar, or [B].
    """
    return F.cross_entropy(scores[:, 1:], target - 1, reduction=reduction)


def sampled_softmax(
    target_scores: Tensor,
    negative_scores: Tensor,
    target: Tensor,
    negatives: Tensor,
    *,
    log_q_target: Tensor | None = None,
    log_q_negatives: Tensor | None = None,
    remove_accidental_hits: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross-entropy of the target among itself and S sampled negatives.

    Each corrected score has the log of its expected count among S draws, log(S q), subtracted. Three forms:

    * both corrected: candidate sampling as in TensorFlow's `sampled_softmax_loss` and Jean et al. 2015 (section 3); the
      constant log S cancels. Its optimum orders items like the full softmax's. As S grows with accidental hits kept it
      tends to the full softmax, up to a constant; with hits removed, to -s_t + log(Z - exp(s_t)) up to a constant,
      since the target then stands against negatives that leave it out.
    * negatives corrected, the target not: importance sampling of Z (Bengio and Senecal 2003) with the target's own term
      exact, since the target is present for certain and was not drawn (the point of Khrylchenko et al. 2025). Remove
      accidental hits; then the estimate of Z is unbiased at every S and the loss tends to the full softmax itself.
    * none: the loss then learns s - log q, that is, popular negatives are pushed down unless q is uniform.

    A removed hit scores -inf, so it gets no gradient. Where every negative is a hit the loss is 0 and so is its
    gradient.

    Args:
        target_scores: [B] float.
        negative_scores: [B, S] float.
        target: [B] int64 ids.
        negatives: [S] ids shared by the batch, or [B, S].
        log_q_target: [B] log-probability of the target under the proposal, or None = not corrected.
        log_q_negatives: [S] or [B, S] log-probability of the negatives, or None = not corrected.
        remove_accidental_hits: whether a negative equal to the user's target is left out.
        reduction: `mean` over users, or `none`.

    Returns:
        A scalar, or [B].
    """
    if log_q_target is not None and log_q_negatives is None:
        raise ValueError("log_q_target without log_q_negatives corrects nothing: give both, the negatives', or none")
    log_S = math.log(max(negative_scores.shape[1], 1))
    if log_q_target is not None:
        target_scores = target_scores - (log_q_target + log_S)
    if log_q_negatives is not None:
        negative_scores = negative_scores - (log_q_negatives + log_S)
    if remove_accidental_hits:
        negative_scores = negative_scores.masked_fill(negatives == target[:, None], -torch.inf)
    scores = torch.cat([target_scores[:, None], negative_scores], dim=1)  # [B, 1 + S], the target first
    return F.cross_entropy(scores, torch.zeros_like(target), reduction=reduction)
