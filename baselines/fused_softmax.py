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
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit
from torch import Tensor

from baselines.live_rows import LiveRows
from baselines.losses import OwnScores
from baselines.repeats import NEVER

_CELLS = 256 * 1024  # scores of a chunk: 1 MB, half of what a core's second-level cache holds


class _Known(NamedTuple):
    """What is known of the draws, as arrays for the compiled code.

    Attributes:
        ascending: [S] int64, the negatives' ids in order; order: [S] int64, where each of them was.
        excluded: [B, E] int64, ids that are no negatives of the user; 0 = none.
        target_shift: [B] float32, subtracted from a target's score; negative_shift: [S], from a negative's.
    """

    ascending: Any
    order: Any
    excluded: Any
    target_shift: Any
    negative_shift: Any


class _OfInterests(NamedTuple):
    """A number for each of the R live interests, float32: log importance, score of the target, and their gradients."""

    offset: Any
    of_target: Any
    to_target: Any
    to_offset: Any


class _OfUsers(NamedTuple):
    """A number for each of B users, float32: the target's bonus, the score that the history's other items have together
    (`beside`), their gradients, and the loss; and where each user's interests begin, [B + 1] int64.
    """

    bonus: Any
    to_bonus: Any
    beside: Any
    to_beside: Any
    loss: Any
    starts: Any


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
        known: _Known,
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
        interests = _OfInterests(live.offset.numpy(), of_target.numpy(), to_target.numpy(), to_offset.numpy())
        users = _OfUsers(
            bonus.detach().numpy(), to_bonus.numpy(), beside.detach().numpy(), to_beside.numpy(), loss, live.starts
        )
        chunks = list(live.chunks(max(1, _CELLS // S)))
        scores = torch.empty(max(live.starts[last] - live.starts[first] for first, last in chunks), S)
        for first, last in chunks:
            some = slice(live.starts[first], live.starts[last])
            part = scores[: some.stop - some.start]
            torch.mm(rows[some], items.T, out=part)
            _to_gradients(part.numpy(), interests, users, first, last, known)
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
    own: OwnScores | None = None,
) -> Tensor:
    """Mean cross-entropy of the target among itself and S negatives, scores joined over interests by log-sum-exp.

    Args:
        vectors: [B, K, D] float32 on the CPU; finite, but for dead interests, of which nothing is read.
        offset: [B, K] log importance; -inf where dead, and at least one finite entry a row.
        targets: [B, D] vectors of the targets; negatives: [S, D] of the negatives.
        target_ids, negative_ids, log_q_target, log_q_negatives, remove_accidental_hits, own: as in `sampled_softmax`.

    Returns:
        A scalar; exponentials and logarithms are good to 1e-6.
    """
    B, log_S = len(targets), math.log(len(negatives))
    target_shift = targets.new_zeros(B) if log_q_target is None else log_q_target + log_S
    excluded = target_ids[:, None] * remove_accidental_hits
    bonus, beside = targets.new_zeros(B), targets.new_full((B,), NEVER)
    if own is not None:
        excluded = torch.cat([excluded, own.ids], 1)
        bonus, beside = own.target_bonus, own.beside_target
        target_shift = target_shift.masked_fill(own.has_target, 0.0)
    ascending, order = negative_ids.sort()
    known = _Known(
        ascending.numpy(),
        order.numpy(),
        excluded.numpy(),
        target_shift.numpy(),
        np.zeros(len(negatives), np.float32) if log_q_negatives is None else (log_q_negatives + log_S).numpy(),
    )
    loss: Tensor = _FusedSoftmax.apply(  # type: ignore[no-untyped-call]
        vectors, offset, targets, negatives, bonus, beside, known
    )
    return loss


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz", "contract"}, error_model="numpy")
def _to_gradients(scores, interests, users, first, last, known):  # type: ignore[no-untyped-def]
    """Turn the scores [r, S] of the users from `first` to `last` into the loss's gradient, in place; note the loss."""
    S = scores.shape[1]
    joined, total = np.empty(S, np.float32), np.empty(S, np.float32)
    for user in range(first, last):
        start, stop = users.starts[user], users.starts[user + 1]
        own = scores[start - users.starts[first] : stop - users.starts[first]]
        _join(own, interests.offset[start:stop], joined, total)
        for s in range(S):
            joined[s] -= known.negative_shift[s]
        for item in known.excluded[user]:
            place = np.searchsorted(known.ascending, item)
            while place < S and known.ascending[place] == item:
                joined[known.order[place]] = _NEVER
                place += 1
        of_target, to_target = interests.of_target[start:stop], interests.to_target[start:stop]
        highest = of_target.max()
        mass = np.float32(0.0)
        for k in range(stop - start):
            to_target[k] = math.exp(of_target[k] - highest)
            mass += to_target[k]
        score = highest + np.float32(math.log(mass)) + users.bonus[user] - known.target_shift[user]
        beside = users.beside[user]
        best = max(_highest(joined), score, beside)
        for s in range(S):
            joined[s] = _exp(joined[s] - best)
        of_the_target, of_beside = np.float32(math.exp(score - best)), np.float32(math.exp(beside - best))
        sum_of_all = of_the_target + of_beside + _sum(joined)
        users.to_beside[user] = of_beside / sum_of_all
        users.loss[user] = best + np.float32(math.log(sum_of_all)) - score
        for s in range(S):
            joined[s] /= sum_of_all * total[s]  # the softmax's share of a negative, over its interests' sum
        users.to_bonus[user] = short = of_the_target / sum_of_all - np.float32(1.0)
        for k in range(stop - start):
            row = own[k]
            for s in range(S):
                row[s] *= joined[s]
            to_target[k] *= short / mass
            interests.to_offset[start + k] = _sum(row) + to_target[k]


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
