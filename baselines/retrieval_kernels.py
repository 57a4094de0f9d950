"""The compiled half of `retrieval`: proposed scores -> pools of candidates -> canonical scores -> lists.

A proposed score is what a matrix product and a short exponential make of a user and an item; the canonical score is
the float64 sum in a fixed order, rounded once to float32. They differ by less than the user's `slack`.

B users of a tile, R their interests, D width, C items of a chunk, N items, n places.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from baselines.retrieval_pools import BLOCK

BEST, SOFT, ATTENTIVE = 0, 1, 2
"""How the scores of a user's interests are joined: maximum, log-sum-exp, mean weighted by softmax."""


@njit(cache=True, nogil=True)
def collect(proposed, begin, users, items, join, top_n, pool):  # type: ignore[no-untyped-def]
    """Add to each user's pool the items begin, begin + 1, ... whose `proposed` score [R, C] may be among the best n."""
    C = proposed.shape[1]
    n_blocks = (C + BLOCK - 1) // BLOCK
    score = np.full(n_blocks * BLOCK, -np.inf, np.float32)  # past the C items no score reaches a floor
    reaches = np.empty(n_blocks, np.bool_)
    total, drop = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    for b in range(len(users.offsets) - 1):
        first, last = users.offsets[b], users.offsets[b + 1]
        _best_of_interests(proposed, users.log_weight, first, last, score[:C])
        joins = join if last - first > 1 else BEST
        headroom = np.float32(math.log(last - first)) if joins == SOFT else np.float32(0.0)  # max + log K bounds it
        _which_reach(score, pool.floor[b] - headroom, reaches)
        for block in range(n_blocks):
            if reaches[block]:
                start, stop = block * BLOCK, min((block + 1) * BLOCK, C)
                if joins == SOFT:
                    _log_sum_exp(proposed, users.log_weight, first, last, start, score[start:stop], total)
                elif joins == ATTENTIVE:
                    _attend(proposed, users.log_weight, first, last, start, score[start:stop], total, drop)
                if pool.size[b] + BLOCK > pool.items.shape[1]:
                    _shrink(pool, b, users, items, join, top_n)
                _append(score[start:stop], begin + start, pool, b)


@njit(cache=True, nogil=True)
def finish(users, items, join, pool, out_items, out_scores):  # type: ignore[no-untyped-def]
    """Score the candidates canonically and write each user's best n."""
    top_n = out_items.shape[1]
    for b in range(len(pool.size)):
        if pool.size[b] > top_n:
            _lift_floor(pool, b, users.slack[b], top_n)
        keys = np.sort(_canonical(pool.items[b, : pool.size[b]], users, b, items, join))
        _write(keys[:top_n], out_items[b], out_scores[b])


@njit(cache=True, nogil=True)
def score_candidates(users, items, join, candidates, scores):  # type: ignore[no-untyped-def]
    """Write the canonical scores [B, C] of each user's `candidates` [B, C]."""
    for b in range(len(candidates)):
        keys = _canonical(candidates[b], users, b, items, join)
        for c in range(len(keys)):
            scores[b, c] = _score_of(keys[c])


@njit(cache=True, nogil=True)
def top_n_rows(scores, out_items, out_scores):  # type: ignore[no-untyped-def]
    """Write each row's best n by descending score, then ascending id; -inf is never recommended."""
    B, columns = scores.shape
    top_n = out_items.shape[1]
    keys = np.empty(columns, np.uint64)
    for b in range(B):
        size = 0
        for c in range(1, columns):
            if scores[b, c] > -np.inf:
                keys[size] = _key(scores[b, c], c)
                size += 1
        best = np.partition(keys[:size], top_n - 1)[:top_n] if size > top_n else keys[:size]
        _write(np.sort(best), out_items[b], out_scores[b])


# Proposals. Rows are taken as views and loops run over their length, which is what lets the compiler vectorise them.


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def _best_of_interests(proposed, log_weight, first, last, best):  # type: ignore[no-untyped-def]
    """best[c] = max over the user's interests of score + log weight, for every item of the chunk."""
    row, weight = proposed[first], log_weight[first]
    for c in range(len(best)):
        best[c] = row[c] + weight
    for r in range(first + 1, last):
        row, weight = proposed[r], log_weight[r]
        for c in range(len(best)):
            best[c] = max(best[c], row[c] + weight)


@njit(cache=True, nogil=True)
def _which_reach(score, floor, reaches):  # type: ignore[no-untyped-def]
    """reaches[j] = whether any score of block j is at least `floor`; counted, since a maximum does not vectorise."""
    for block in range(len(reaches)):
        row, count = score[block * BLOCK : (block + 1) * BLOCK], np.int32(0)
        for c in range(BLOCK):
            count += np.int32(row[c] >= floor)
        reaches[block] = count > 0


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz", "contract"}, error_model="numpy")
def _log_sum_exp(proposed, log_weight, first, last, start, best, total):  # type: ignore[no-untyped-def]
    """Turn the interests' maximum `best` into their log-sum-exp, in place."""
    total[:] = 0.0
    for r in range(first, last):
        row, weight = proposed[r, start : start + len(best)], log_weight[r]
        for c in range(len(row)):
            total[c] += _exp(row[c] + weight - best[c])
    for c in range(len(best)):
        best[c] += _log(total[c])


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz", "contract"}, error_model="numpy")
def _attend(proposed, log_weight, first, last, start, best, total, drop):  # type: ignore[no-untyped-def]
    """Turn the interests' maximum `best` into their mean weighted by softmax, in place; it never gets larger."""
    total[:], drop[:] = 0.0, 0.0
    for r in range(first, last):
        row, weight = proposed[r, start : start + len(best)], log_weight[r]
        for c in range(len(row)):
            below = row[c] + weight - best[c]
            share = _exp(below)
            total[c] += share
            drop[c] += share * below
    for c in range(len(best)):
        best[c] += drop[c] / total[c]


_MAGIC = np.float32(1.5 * 2**23)  # adding it rounds to a whole number, which then stands in the lowest bits
_LOG2_E, _LN_2 = np.float32(1 / math.log(2)), np.float32(math.log(2))
_2, _3, _4, _5, _6 = (np.float32(math.log(2) ** i / math.factorial(i)) for i in range(1, 6))
_SQRT_HALF_BITS = int(np.float32(math.sqrt(0.5)).view(np.int32))


@njit(inline="always")
def _exp(x):  # type: ignore[no-untyped-def]
    """exp(x) for x <= 0 to a relative 1e-5 where it counts, vectorisable: 2^whole by its bits, 2^rest by its series."""
    power = max(x * _LOG2_E, np.float32(-126.0))
    shifted = power + _MAGIC
    rest = power - (shifted - _MAGIC)
    series = np.float32(1) + rest * (_2 + rest * (_3 + rest * (_4 + rest * (_5 + rest * _6))))
    return np.int32(np.float32(series).view(np.int32) + (np.float32(shifted).view(np.int32) << 23)).view(np.float32)


@njit(inline="always")
def _log(x):  # type: ignore[no-untyped-def]
    """log(x) for x >= 1 to 1e-6: exponent by its bits, and 2 artanh((m - 1) / (m + 1)) of the rest by its series."""
    bits = np.float32(x).view(np.int32)
    exponent = np.int32((bits - _SQRT_HALF_BITS) >> 23)
    rest = np.int32(bits - (exponent << 23)).view(np.float32)  # in [sqrt 1/2, sqrt 2)
    s = (rest - np.float32(1)) / (rest + np.float32(1))
    z = s * s
    series = s * (np.float32(2) + z * (np.float32(2 / 3) + z * (np.float32(2 / 5) + z * np.float32(2 / 7))))
    return np.float32(exponent) * _LN_2 + series


# Pools.


@njit(cache=True, nogil=True)
def _append(score, begin, pool, b):  # type: ignore[no-untyped-def]
    """Add what reaches the floor; every item is written and the next overwrites it, which spares a branch each."""
    items, scores, size, floor = pool.items[b], pool.scores[b], pool.size[b], pool.floor[b]
    for c in range(len(score)):
        items[size], scores[size] = begin + c, score[c]
        size += score[c] >= floor
    pool.size[b] = size


@njit(cache=True, nogil=True)
def _shrink(pool, b, users, items, join, top_n):  # type: ignore[no-untyped-def]
    """Make room for a block.

    Where ties within rounding would leave more than half of the places beyond n taken, the candidates are scored
    canonically and n are kept.
    """
    _lift_floor(pool, b, users.slack[b], top_n)
    if 2 * (pool.size[b] - top_n) > pool.items.shape[1] - top_n:
        keys = np.sort(_canonical(pool.items[b, : pool.size[b]], users, b, items, join))
        _write(keys[:top_n], pool.items[b], pool.scores[b])
        pool.size[b] = top_n
        pool.floor[b] = _score_of(keys[top_n - 1]) - np.float32(2.0) * users.slack[b]


@njit(cache=True, nogil=True)
def _lift_floor(pool, b, slack, top_n):  # type: ignore[no-untyped-def]
    """Raise the floor to two slacks under a score that n candidates reach, and drop what is under it."""
    items, scores = pool.items[b], pool.scores[b]
    floor = _reached_by(scores[: pool.size[b]], top_n) - np.float32(2.0) * slack
    kept = 0
    for j in range(pool.size[b]):
        items[kept], scores[kept] = items[j], scores[j]
        kept += scores[j] >= floor
    pool.size[b], pool.floor[b] = kept, floor


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def _reached_by(scores, n):  # type: ignore[no-untyped-def]
    """Find, by bisection, a score that at least n of `scores` reach and not many more."""
    low, high = scores[0], scores[0]
    for j in range(len(scores)):
        low, high = min(low, scores[j]), max(high, scores[j])
    while True:
        middle = np.float32(0.5) * low + np.float32(0.5) * high
        if not low < middle < high:
            return low
        count = np.int32(0)
        for j in range(len(scores)):
            count += np.int32(scores[j] >= middle)
        if count < n:
            high = middle
        else:
            low = middle
            if count <= n + n // 16:
                return low


# Canonical scores.


@njit(cache=True, nogil=True)
def _canonical(candidates, users, b, items, join):  # type: ignore[no-untyped-def]
    """Score one user's candidates in float64, rounded once to float32; return their keys."""
    first, last = users.offsets[b], users.offsets[b + 1]
    K = last - first
    matches = np.empty(K, np.float64)
    keys = np.empty(len(candidates), np.uint64)
    for j in range(len(candidates)):
        item = items[candidates[j]]
        for k in range(K):
            _insert(matches, k, _dot(users.vectors[first + k], item) + users.log_weight[first + k])
        score = matches[0]
        if join != BEST and K > 1:
            total, drop = 1.0, 0.0
            for k in range(1, K):
                below = matches[k] - matches[0]
                share = math.exp(below)
                total += share
                drop += share * below
            score += math.log(total) if join == SOFT else drop / total
        keys[j] = _key(np.float32(score), candidates[j])
    return keys


@njit(cache=True, nogil=True)
def _insert(descending, size, value):  # type: ignore[no-untyped-def]
    """Insert into descending[:size]: summed in this order, the order of a user's interests changes no bit."""
    place = size
    while place > 0 and descending[place - 1] < value:
        descending[place] = descending[place - 1]
        place -= 1
    descending[place] = value


@njit(cache=True, nogil=True, fastmath={"reassoc"})
def _dot(left, right):  # type: ignore[no-untyped-def]
    """Inner product in float64, where products of float32 are exact; the compiler fixes the order of the sum once."""
    total = 0.0
    for d in range(len(left)):
        total += np.float64(left[d]) * np.float64(right[d])
    return total


# A key is one uint64: the score, turned so that a higher one is a smaller number, and below it the item id. Ascending
# keys are then descending scores with ties by ascending id.


@njit(cache=True, nogil=True)
def _key(score, item):  # type: ignore[no-untyped-def]
    bits = np.float32(score + np.float32(0.0)).view(np.uint32)  # adding 0 makes -0 and 0 one score
    turned = bits if bits >= np.uint32(0x80000000) else np.uint32(0x7FFFFFFF) - bits
    return (np.uint64(turned) << np.uint64(32)) | np.uint64(item)


@njit(cache=True, nogil=True)
def _score_of(key):  # type: ignore[no-untyped-def]
    turned = np.uint32(key >> np.uint64(32))
    bits = turned if turned >= np.uint32(0x80000000) else np.uint32(0x7FFFFFFF) - turned
    return np.uint32(bits).view(np.float32)


@njit(cache=True, nogil=True)
def _write(keys, out_items, out_scores):  # type: ignore[no-untyped-def]
    for place in range(len(keys)):
        out_items[place] = np.int32(keys[place] & np.uint64(0xFFFFFFFF))
        out_scores[place] = _score_of(keys[place])
