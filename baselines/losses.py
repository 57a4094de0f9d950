"""Softmax losses over the catalogue, in full or from sampled negatives.

B users, N items, S negatives.

With scores s and target t the full softmax loses -s_t + log Z, Z = sum over the N items of exp(s_i). The sampled one
replaces Z by a sum over the target and S negatives drawn from a proposal q; what that estimates depends on the
correction (`sampled_softmax` lists the choices, and the tests hold it to each limit). With every item as a negative
once, uncorrected, hits removed, it is the full one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.errors import require_number

Reduction = Literal["mean", "none"]


@dataclass(frozen=True)
class OwnScores:
    """Candidates of one user alone, present for certain: the items of the history, where those score by a bonus.

    Attributes:
        ids: [B, L] int64, distinct; 0 where there is none. No negative stands for them.
        beside_target: [B] log-sum-exp of the scores of those that are not the target; very low where there is none.
        has_target: [B] bool, the target is one of them: its expected count is 1, and its score is not corrected.
        target_bonus: [B], added to the target's score.
    """

    ids: Tensor
    beside_target: Tensor
    has_target: Tensor
    target_bonus: Tensor


def sampled_softmax(
    target_scores: Tensor,
    negative_scores: Tensor,
    target: Tensor,
    negatives: Tensor,
    *,
    log_q_target: Tensor | None = None,
    log_q_negatives: Tensor | None = None,
    remove_accidental_hits: bool = True,
    hardness: float = 0.0,
    own: OwnScores | None = None,
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

    With `hardness` beta > 0 a negative counts the more the higher it scores: REMI's interest-aware hard negatives (Xie
    et al., RecSys 2023, arXiv 2302.14532), so called since under the hard readout they score with the interest that
    serves the target. They stand for draws from p ~ exp(beta s), and by importance sampling the sum over them becomes

        sum_j 1 / m_j * (sum_j exp((1 + beta) s_j) / m_j) / (sum_j exp(beta s_j) / m_j),

    m_j = S q_j, the expected count, where negatives are corrected, and 1 where they are not: the authors' own
    S * sum_j exp((1 + beta) s_j) / sum_j exp(beta s_j). As in their code the weights carry gradient, so a negative with
    exp(s) below beta / (1 + beta) of the mean under p is pushed up. Differs from their code: corrected, p is the same
    whatever the proposal (theirs is uniform and needs no correction); hardness reads the score before correction; and
    accidental hits, the hardest negatives of all, are removed first if they are removed (theirs stay).

    Args:
        target_scores: [B] float.
        negative_scores: [B, S] float.
        target: [B] int64 ids.
        negatives: [S] ids shared by the batch, or [B, S].
        log_q_target: [B] log-probability of the target under the proposal, or None = not corrected.
        log_q_negatives: [S] or [B, S] log-probability of the negatives, or None = not corrected.
        remove_accidental_hits: whether a negative equal to the user's target is left out.
        hardness: beta, at least 0; 0 = all negatives alike. It multiplies the scores as they enter the softmax, their
            temperature included (REMI: 0.1 to 10, by data set, for plain dot products).
        own: candidates beside the sampled ones, each user's own.
        reduction: `mean` over users, or `none`.

    Returns:
        A scalar, or [B].
    """
    if log_q_target is not None and log_q_negatives is None:
        raise ValueError("log_q_target without log_q_negatives corrects nothing: give both, the negatives', or none")
    require_number("loss.hardness", hardness, at_least=0)
    log_S = math.log(max(negative_scores.shape[1], 1))
    hits = negatives == target[:, None] if remove_accidental_hits else None  # [B, S]
    if own is not None:
        known = (negatives[..., None, :] == own.ids[..., None]).any(1)
        hits = known if hits is None else hits | known
        target_scores = target_scores + own.target_bonus
    log_weight = _log_hardness(negative_scores, log_q_negatives, hits, hardness) if hardness else None
    if log_q_target is not None:
        shift = log_q_target + log_S
        target_scores = target_scores - (shift if own is None else shift.masked_fill(own.has_target, 0.0))
    if log_q_negatives is not None:
        negative_scores = negative_scores - (log_q_negatives + log_S)
    if log_weight is not None:
        negative_scores = negative_scores + log_weight
    if hits is not None:
        negative_scores = negative_scores.masked_fill(hits, -torch.inf)
    beside = [] if own is None else [own.beside_target[:, None]]
    scores = torch.cat([target_scores[:, None], negative_scores, *beside], dim=1)  # the target first
    return F.cross_entropy(scores, torch.zeros_like(target), reduction=reduction)


def _log_hardness(scores: Tensor, log_q: Tensor | None, hits: Tensor | None, hardness: float) -> Tensor:
    """Log of the negatives' weights exp(beta s_j) [B, S], divided by their mean under the shares 1 / q_j.

    Hits hold no share, except where every negative is one: they score -inf later, and until then all must be finite.
    """
    log_share = torch.zeros_like(scores) if log_q is None else (-log_q).expand_as(scores)  # [B, S]
    if hits is not None:
        log_share = log_share.masked_fill(hits & ~hits.all(1, keepdim=True), -torch.inf)
    log_share = log_share.log_softmax(1)  # sums over negatives
    log_weight = hardness * scores
    return log_weight - (log_weight + log_share).logsumexp(1, keepdim=True)
