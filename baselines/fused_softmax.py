"""Sampled softmax of several interests in one pass: what most of a training step's time would go to.

The same loss and gradient as `soft_scores` followed by `losses.sampled_softmax`, which the tests hold it to; there, ten
arrays of B x K x S numbers pass through memory. Here a few users at a time are scored, and their scores turned into
gradients in place while they lie in the cache, so neither time nor memory is spent on arrays of that size. The way of
"fused linear cross-entropy" (Hsu et al. 2024, Liger), with interests joined by log-sum-exp inside. For the CPU.

B users, K interests, D width, S negatives, b users of a chunk.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit
from torch import Tensor

_CELLS = 256 * 1024  # scores of a chunk: 1 MB, half of what a core's second-level cache holds


class Corrections(NamedTuple):
    """What is known of the draws, as arrays for the compiled code.

    Attributes:
        target: [B] int64 ids; negatives: [S] int64 ids, shared by the batch.
        target_shift: [B] float32, subtracted from a target's score; negative_shift: [S], from a negative's.
        remove_hits: whether a negative equal to the user's target is left out.
    """

    target: Any
    negatives: Any
    target_shift: Any
    negative_shift: Any
    remove_hits: bool


class _FusedSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, vectors: Tensor, offset: Tensor, targets: Tensor, negatives: Tensor, known: Corrections
    ) -> Tensor:
        B, K, D = vectors.shape
        S = len(negatives)
        rows = vectors.detach().contiguous().view(B * K, D)
        items = negatives.detach().contiguous()
        of_target = (vectors.detach() @ targets.detach()[..., None]).squeeze(-1) + offset.detach()  # [B, K]
        to_target, to_offset = torch.empty_like(of_target), torch.empty_like(of_target)  # gradients
        to_rows, to_items = torch.empty_like(rows), torch.zeros_like(items)
        loss = np.empty(B, np.float32)
        n_users = max(1, min(B, _CELLS // (K * S)))
        scores = torch.empty(n_users * K, S)
        views = offset.detach().numpy(), of_target.numpy(), to_target.numpy(), to_offset.numpy()
        for start in range(0, B, n_users):
            stop = min(start + n_users, B)
            some = slice(start * K, stop * K)
            part = scores[: (stop - start) * K]
            torch.mm(rows[some], items.T, out=part)
            _to_gradients(part.numpy().reshape(-1, K, S), *views, start, known, loss)
            torch.mm(part, items, out=to_rows[some])
            to_items.addmm_(part.T, rows[some])
        to_rows.view(B, K, D).addcmul_(to_target[..., None], targets.detach()[:, None])
        to_targets = (to_target[..., None] * vectors.detach()).sum(1)
        ctx.save_for_backward(to_rows.view(B, K, D), to_offset, to_targets, to_items)
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
) -> Tensor:
    """Mean cross-entropy of the target among itself and S negatives, scores joined over interests by log-sum-exp.

    Args:
        vectors: [B, K, D] float32 on the CPU, finite, also where dead.
        offset: [B, K] log importance; -inf where dead, and at least one finite entry a row.
        targets: [B, D] vectors of the targets; negatives: [S, D] of the negatives.
        target_ids, negative_ids, log_q_target, log_q_negatives, remove_accidental_hits: as in `sampled_softmax`.

    Returns:
        A scalar; exponentials and logarithms are good to 1e-6.
    """
    log_S = math.log(len(negatives))
    known = Corrections(
        target_ids.numpy(),
        negative_ids.numpy(),
        _shift(log_q_target, len(targets), log_S),
        _shift(log_q_negatives, len(negatives), log_S),
        remove_accidental_hits,
    )
    loss: Tensor = _FusedSoftmax.apply(vectors, offset, targets, negatives, known)  # type: ignore[no-untyped-call]
    return loss


def _shift(log_q: Tensor | None, n: int, log_S: float) -> Any:
    return np.zeros(n, np.float32) if log_q is None else (log_q + log_S).numpy()


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz", "contract"}, error_model="numpy")
def _to_gradients(scores, offset, of_target, to_target, to_offset, start, known, loss):  # type: ignore[no-untyped-def]
    """Turn scores [b, K, S] of users start, start + 1, ... into the loss's gradient, in place, and note the loss."""
    b, K, S = scores.shape
    joined, total = np.empty(S, np.float32), np.empty(S, np.float32)
    for u in range(b):
        user = start + u
        _join(scores[u], offset[user], joined, total)
        target_id = known.target[user]
        if known.remove_hits:
            for s in range(S):
                corrected = joined[s] - known.negative_shift[s]
                joined[s] = _NEVER if known.negatives[s] == target_id else corrected
        else:
            for s in range(S):
                joined[s] -= known.negative_shift[s]
        highest = of_target[user].max()
        mass = np.float32(0.0)
        for k in range(K):
            to_target[user, k] = math.exp(of_target[user, k] - highest)
            mass += to_target[user, k]
        score = highest + np.float32(math.log(mass)) - known.target_shift[user]
        best = max(_highest(joined), score)
        for s in range(S):
            joined[s] = _exp(joined[s] - best)
        of_the_target = np.float32(math.exp(score - best))
        sum_of_all = of_the_target + _sum(joined)
        loss[user] = best + np.float32(math.log(sum_of_all)) - score
        for s in range(S):
            joined[s] /= sum_of_all * total[s]  # the softmax's share of a negative, over its interests' sum
        short = of_the_target / sum_of_all - np.float32(1.0)
        for k in range(K):
            row = scores[u, k]
            for s in range(S):
                row[s] *= joined[s]
            to_target[user, k] *= short / mass
            to_offset[user, k] = _sum(row) + to_target[user, k]


@njit(cache=True, nogil=True, fastmath={"reassoc"})
def _sum(values):  # type: ignore[no-untyped-def]
    total = np.float32(0.0)
    for s in range(len(values)):
        total += values[s]
    return total


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz", "reassoc"})
def _highest(values):  # type: ignore[no-untyped-def]
    best = values[0]
    for s in range(len(values)):
        best = max(best, values[s])
    return best


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz", "contract"}, error_model="numpy")
def _join(scores, offset, joined, total):  # type: ignore[no-untyped-def]
    """Join one user's scores [K, S] by log-sum-exp into `joined`; scores become exp(score - max), `total` their sum."""
    K, S = scores.shape
    row, add = scores[0], offset[0]
    for s in range(S):
        joined[s] = row[s] + add
    if K == 1:
        row[:] = 1.0
        total[:] = 1.0
        return
    for k in range(1, K):
        row, add = scores[k], offset[k]
        for s in range(S):
            joined[s] = max(joined[s], row[s] + add)
    total[:] = 0.0
    for k in range(K):
        row, add = scores[k], offset[k]
        for s in range(S):
            row[s] = _exp(row[s] + add - joined[s])
            total[s] += row[s]
    for s in range(S):
        joined[s] += _log(total[s])


# As in `retrieval_kernels`, to more digits: numba's cache sees no change outside a function's own file, so compiled
# functions do not call across files.
_NEVER = np.float32(-3e38)  # finite, so that its difference from any score is a number
_MAGIC = np.float32(1.5 * 2**23)
_LOG2_E, _LN_2 = np.float32(1 / math.log(2)), np.float32(math.log(2))
_C1, _C2, _C3, _C4, _C5, _C6 = (np.float32(math.log(2) ** i / math.factorial(i)) for i in range(1, 7))
_SQRT_HALF_BITS = int(np.float32(math.sqrt(0.5)).view(np.int32))


@njit(inline="always")
def _exp(x):  # type: ignore[no-untyped-def]
    power = max(x * _LOG2_E, np.float32(-126.0))
    shifted = power + _MAGIC
    rest = power - (shifted - _MAGIC)
    series = np.float32(1) + rest * (_C1 + rest * (_C2 + rest * (_C3 + rest * (_C4 + rest * (_C5 + rest * _C6)))))
    return np.int32(np.float32(series).view(np.int32) + (np.float32(shifted).view(np.int32) << 23)).view(np.float32)


@njit(inline="always")
def _log(x):  # type: ignore[no-untyped-def]
    bits = np.float32(x).view(np.int32)
    exponent = np.int32((bits - _SQRT_HALF_BITS) >> 23)
    rest = np.int32(bits - (exponent << 23)).view(np.float32)
    s = (rest - np.float32(1)) / (rest + np.float32(1))
    z = s * s
    series = s * (np.float32(2) + z * (np.float32(2 / 3) + z * (np.float32(2 / 5) + z * np.float32(2 / 7))))
    return np.float32(exponent) * _LN_2 + series
