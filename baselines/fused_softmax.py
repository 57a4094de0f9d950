"""Sampled softmax of several interests in one pass: what most of a training step's time would go to.

The same loss and gradient as `soft_scores` followed by `losses.sampled_softmax`, which the tests hold it to; there, ten
arrays of B x K x S numbers pass through memory. Here a few users at a time are scored, and their scores turned into
gradients in place while they lie in the cache, so neither time nor memory is spent on arrays of that size. The way of
"fused linear cross-entropy" (Hsu et al. 2024, Liger), with interests joined by log-sum-exp inside. For the CPU.

Dead interests are left out at the door, so that where K varies from user to user the cost follows the mean of K.

B users, K interests, R live interests of all users, D width, S negatives.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baselines.errors import require_number
from baselines.fused_softmax_kernel import Known, OfInterests, OfUsers, to_gradients
from baselines.live_rows import LiveRows
from baselines.losses import OwnScores
from baselines.repeats import NEVER

_CELLS = 256 * 1024  # scores of a chunk: 1 MB, half of what a core's second-level cache holds


class _FusedSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        vectors: Tensor,
        offset: Tensor,
        targets: Tensor,
        negatives: Tensor,
        bonus: Tensor,
        beside: Tensor,
        known: Known,
    ) -> Tensor:
        B, S = len(vectors), len(negatives)
        live = LiveRows.of(vectors, offset)
        rows, items = live.rows, negatives.detach().contiguous()
        user = torch.from_numpy(np.repeat(np.arange(B), np.diff(live.starts)))  # [R] whose interest it is
        target = targets.detach()[user]  # [R, D]
        of_target = torch.linalg.vecdot(rows, target) + live.offset  # [R]
        to_target, to_offset = torch.empty_like(of_target), torch.empty_like(of_target)  # gradients
        to_rows, to_items = torch.empty_like(rows), torch.zeros_like(items)
        to_bonus, to_beside = torch.empty_like(bonus), torch.empty_like(beside)
        loss = np.empty(B, np.float32)
        interests = OfInterests(live.offset.numpy(), of_target.numpy(), to_target.numpy(), to_offset.numpy())
        users = OfUsers(
            bonus.detach().numpy(), to_bonus.numpy(), beside.detach().numpy(), to_beside.numpy(), loss, live.starts
        )
        chunks = list(live.chunks(max(1, _CELLS // S)))
        scores = torch.empty(max(live.starts[last] - live.starts[first] for first, last in chunks), S)
        for first, last in chunks:
            some = slice(live.starts[first], live.starts[last])
            part = scores[: some.stop - some.start]
            torch.mm(rows[some], items.T, out=part)
            to_gradients(part.numpy(), interests, users, first, last, known)
            torch.mm(part, items, out=to_rows[some])
            to_items.addmm_(part.T, rows[some])
        to_rows.addcmul_(to_target[:, None], target)
        to_targets = torch.zeros_like(targets).index_add_(0, user, to_target[:, None] * rows)
        to_interests = live.spread(to_rows, vectors.shape), live.spread(to_offset, offset.shape)
        ctx.save_for_backward(*to_interests, to_targets, to_items, to_bonus, to_beside)
        return torch.tensor(loss.mean(dtype=np.float64), dtype=vectors.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        scale = gradients[0] / len(ctx.saved_tensors[0])
        return (*(saved * scale for saved in ctx.saved_tensors), None)


def fused_sampled_softmax(
    vectors: Tensor,
    offset: Tensor,
    targets: Tensor,
    negatives: Tensor,
    target_ids: Tensor,
    negative_ids: Tensor,
    *,
    log_q_target: Tensor | None = None,
    log_q_negatives: Tensor | None = None,
    remove_accidental_hits: bool = True,
    hardness: float = 0.0,
    own: OwnScores | None = None,
) -> Tensor:
    """Mean cross-entropy of the target among itself and S negatives, scores joined over interests by log-sum-exp.

    Args:
        vectors: [B, K, D] float32 on the CPU; finite, but for dead interests, of which nothing is read.
        offset: [B, K] log importance; -inf where dead, and at least one finite entry a row.
        targets: [B, D] vectors of the targets; negatives: [S, D] of the negatives.
        target_ids, negative_ids, log_q_target, log_q_negatives, remove_accidental_hits, hardness, own: as in
            `sampled_softmax`.

    Returns:
        A scalar; exponentials and logarithms are good to 1e-6.
    """
    require_number("loss.hardness", hardness, at_least=0)
    B, log_S = len(targets), math.log(len(negatives))
    target_shift = targets.new_zeros(B) if log_q_target is None else log_q_target + log_S
    excluded = target_ids[:, None] * remove_accidental_hits
    bonus, beside = targets.new_zeros(B), targets.new_full((B,), NEVER)
    if own is not None:
        excluded = torch.cat([excluded, own.ids], 1)
        bonus, beside = own.target_bonus, own.beside_target
        target_shift = target_shift.masked_fill(own.has_target, 0.0)
    ascending, order = negative_ids.sort()
    known = Known(
        ascending.numpy(),
        order.numpy(),
        excluded.numpy(),
        target_shift.numpy(),
        np.zeros(len(negatives), np.float32) if log_q_negatives is None else (log_q_negatives + log_S).numpy(),
        np.float32(hardness),
    )
    loss: Tensor = _FusedSoftmax.apply(  # type: ignore[no-untyped-call]
        vectors, offset, targets, negatives, bonus, beside, known
    )
    return loss
