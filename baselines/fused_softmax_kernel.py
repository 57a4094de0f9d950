"""The compiled inside of `fused_softmax`: scores turned into the loss and its gradient while they lie in the cache.

B users, K interests, R live interests of all users, S negatives.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit


class Known(NamedTuple):
    """What is known of the draws, as arrays for the compiled code.

    Attributes:
        ascending: [S] int64, the negatives' ids in order; order: [S] int64, where each of them was.
        excluded: [B, E] int64, ids that are no negatives of the user; 0 = none.
        target_shift: [B] float32, subtracted from a target's score; negative_shift: [S], from a negative's.
        hardness: float32, beta of `losses.sampled_softmax`.
    """

    ascending: Any
    order: Any
    excluded: Any
    target_shift: Any
    negative_shift: Any
    hardness: Any


class OfInterests(NamedTuple):
    """A number for each of the R live interests, float32: log importance, score of the target, and their gradients."""

    offset: Any
    of_target: Any
    to_target: Any
    to_offset: Any


class OfUsers(NamedTuple):
    """A number for each of B users, float32: the target's bonus, the score that the history's other items have together
    (`beside`), their gradients, and the loss; and where each user's interests begin, [B + 1] int64.
    """

    bonus: Any
    to_bonus: Any
    beside: Any
    to_beside: Any
    loss: Any
    starts: Any


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz", "contract"}, error_model="numpy")
def to_gradients(scores, interests, users, first, last, known):  # type: ignore[no-untyped-def]
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
        if known.hardness > 0:
            of_negatives = _harden(joined, known.negative_shift, known.hardness)
            best = max(of_negatives, score, beside)
            together = np.float32(math.exp(of_negatives - best))
            for s in range(S):
                joined[s] *= together
        else:
            best = max(_highest(joined), score, beside)
            for s in range(S):
                joined[s] = _exp(joined[s] - best)
            together = _sum(joined)
        of_the_target, of_beside = np.float32(math.exp(score - best)), np.float32(math.exp(beside - best))
        sum_of_all = of_the_target + of_beside + together
        users.to_beside[user] = of_beside / sum_of_all
        users.loss[user] = best + np.float32(math.log(sum_of_all)) - score
        for s in range(S):
            joined[s] /= sum_of_all * total[s]  # the gradient by a negative's score, over its interests' sum
        users.to_bonus[user] = short = of_the_target / sum_of_all - np.float32(1.0)
        for k in range(stop - start):
            row = own[k]
            for s in range(S):
                row[s] *= joined[s]
            to_target[k] *= short / mass
            interests.to_offset[start + k] = _sum(row) + to_target[k]


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz", "contract"}, error_model="numpy")
def _harden(joined, shift, hardness):  # type: ignore[no-untyped-def]
    """Let negatives count the more the higher they score; return the log of what they count together.

    With c_j = exp(-shift_j), or 0 of a hit, that is log of C A / B, where C = sum of c_j, A = sum of c_j exp((1 + beta)
    s_j), B = sum of c_j exp(beta s_j). In `joined` the corrected scores s_j - shift_j make room for its gradient,
    (1 + beta) times the share of j in A less beta times that in B.
    """
    S = len(joined)
    of_all, harder = np.empty(S, np.float32), np.empty(S, np.float32)
    count = _count(joined, shift)
    for s in range(S):
        score = joined[s] + shift[s]
        of_all[s] = max(hardness * score - shift[s], _NEVER)
        harder[s] = max(hardness * score + joined[s], _NEVER)
    top_of_all, top_harder = _highest(of_all), _highest(harder)
    for s in range(S):
        of_all[s] = _exp(of_all[s] - top_of_all)
        harder[s] = _exp(harder[s] - top_harder)
    sum_of_all, sum_harder = _sum(of_all), _sum(harder)
    more, less = (np.float32(1.0) + hardness) / sum_harder, hardness / sum_of_all
    for s in range(S):
        joined[s] = more * harder[s] - less * of_all[s]
    return np.float32(top_harder - top_of_all + math.log(sum_harder / sum_of_all) + math.log(count))


@njit(cache=True, nogil=True)
def _count(scores, shift):  # type: ignore[no-untyped-def]
    """Sum exp(-shift) over the scores that are no hits; NaN where one of them is, which exponentials would hide."""
    count = np.float32(0.0)
    for s in range(len(scores)):
        count += (np.float32(0.0) if scores[s] < _HIT else _exp(-shift[s])) + np.float32(0.0) * scores[s]
    return count


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
_HIT = np.float32(-1e38)  # below it lies no score, but what was set to `_NEVER`
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
