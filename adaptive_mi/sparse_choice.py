"""The compiled first half of `sparse_pooling`: which prototypes a behaviour chooses, with which shares and weights.

Lists lie interests first, [M, L] for a user: what is done to all his behaviours alike runs over the last dimension,
which is what the compiler vectorises. What lies behind a behaviour's count in a list is undefined.

B users, L behaviours, K prototypes, M longest list, H longest history, D width.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

TOP_M, SPARSEMAX, ENTMAX15 = 0, 1, 2
"""How a behaviour's shares are made of its logits."""

_FAST = {"nnan", "nsz", "contract", "reassoc", "arcp"}
_LEAST_LOG_WEIGHT = np.float32(-30)  # beside a user's heaviest behaviour; less counts as this, so no mass underflows
_LEAST_SHARE = np.float32(1e-20)
_SHORTEST = np.float32(1e-12)
_NEVER = np.float32(-3e38)
_ZERO, _ONE, _HALF = np.float32(0), np.float32(1), np.float32(0.5)


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def choose(  # type: ignore[no-untyped-def]
    history, mask, dots, scale, position, bias, recency, gate, kind, index, count, share, weight, cosine, inverse, slot,
    load,
):  # fmt: skip
    """Fill each behaviour's list: prototypes, shares, weights beside the user's heaviest, cosines.

    Returns the number of live interests of the user with most, and the length of the longest history.

    `dots` is [K, B, L], or [0, B, L] where content is not read; `position` [K, H] or [K, 0]; `recency` [1 or K, H].
    """
    B, L, D = history.shape
    K, M, H = len(bias), index.shape[1], recency.shape[1]
    content, gated, placed, own_recency = len(dots) > 0, len(gate) > 0, position.shape[1] > 0, len(recency) > 1
    logits, opened, order = np.empty((K, L), np.float32), np.zeros(L, np.float32), np.empty(K, np.int64)
    best, which = np.empty((M, L), np.float32), np.empty((M, L), np.int32)
    row, shares = np.empty(K, np.float32), np.empty(K, np.float32)
    most, longest = 1, 0
    for b in range(B):
        n = 0
        for i in range(L):
            if mask[b, i]:
                n = i + 1
        longest = max(longest, n)
        if n > H:
            continue
        lengths = inverse[b]
        for i in range(n):
            x, square, along = history[b, i], _ZERO, _ZERO
            for d in range(D):
                square += x[d] * x[d]
            if gated:
                for d in range(D):
                    along += x[d] * gate[d]
                opened[i] = along
            lengths[i] = max(square, _SHORTEST * _SHORTEST)
        for i in range(n):
            lengths[i] = _ONE / math.sqrt(lengths[i])
        for k in range(K):
            of_k, at, add = logits[k], position[k], scale[0] * bias[k] if kind == TOP_M else _ZERO
            if content:
                dot = dots[k, b]
                for i in range(n):
                    of_k[i] = dot[i] * (scale[0] * lengths[i]) + add
            else:
                of_k[:n] = add
            if placed:
                for i in range(n):
                    of_k[i] += at[n - 1 - i]
        counts = count[b]
        if kind == TOP_M:
            _top(logits, n, best, which)
            for j in range(M):
                for i in range(n):
                    index[b, j, i] = which[j, i]
                    best[j, i] -= scale[0] * bias[which[j, i]]
            _softmax(best, n, share[b])
            counts[:n] = M
        else:
            for i in range(n):
                for k in range(K):
                    row[k] = logits[k, i]
                counts[i] = _entmax(row, kind, order, shares)
                for j in range(counts[i]):
                    index[b, j, i], share[b, j, i] = order[j], shares[j]
        counts[n:] = 0
        chosen, heaviest = slot[b], _NEVER
        for i in range(n):
            for j in range(counts[i]):
                k = index[b, j, i]
                weight[b, j, i] = opened[i] + recency[k if own_recency else 0, n - 1 - i]
                heaviest = max(heaviest, weight[b, j, i])
                if content:
                    cosine[b, j, i] = dots[k, b, i] * lengths[i]
                chosen[k] = 0
                load[k] += 1
        for j in range(M):
            weights = weight[b, j, :n]
            for i in range(n):
                weights[i] = max(weights[i] - heaviest, _LEAST_LOG_WEIGHT)
            _exponentiate(weights)
        live = 0
        for k in range(K):
            if chosen[k] == 0:
                chosen[k] = live
                live += 1
        most = max(most, live)
    return most, longest


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _top(logits, n, best, which):  # type: ignore[no-untyped-def]
    """Put the largest of each of n columns into `best`, descending, and their rows into `which`; ties: first row."""
    M = len(best)
    carried, name = np.empty(n, np.float32), np.empty(n, np.int32)
    for j in range(M):
        best[j, :n] = _NEVER
        which[j, :n] = j
    for k in range(len(logits)):
        of_k = logits[k]
        for i in range(n):
            carried[i] = of_k[i]
            name[i] = k
        for j in range(min(M, k + 1)):
            held, owner = best[j], which[j]
            for i in range(n):
                new, old, new_name, old_name = carried[i], held[i], name[i], owner[i]
                larger = new > old
                held[i], carried[i] = (new, old) if larger else (old, new)
                owner[i], name[i] = (new_name, old_name) if larger else (old_name, new_name)


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _softmax(logits, n, shares):  # type: ignore[no-untyped-def]
    """Shares [M, n] that sum to 1 over M."""
    highest, total = logits[0, :n].copy(), np.zeros(n, np.float32)
    for j in range(1, len(logits)):
        for i in range(n):
            highest[i] = max(highest[i], logits[j, i])
    for j in range(len(logits)):
        of_j, out = logits[j], shares[j]
        for i in range(n):
            out[i] = of_j[i] - highest[i]
        _exponentiate(out[:n])
        for i in range(n):
            out[i] = max(out[i], _LEAST_SHARE)
            total[i] += out[i]
    for j in range(len(logits)):
        out = shares[j]
        for i in range(n):
            out[i] /= total[i]


@njit(cache=True, nogil=True, error_model="numpy")
def _entmax(logits, kind, order, share):  # type: ignore[no-untyped-def]
    """Sparsemax or entmax15 of the few logits that may have a share; returns how many do."""
    highest, size = logits[0], 0
    for k in range(1, len(logits)):
        highest = max(highest, logits[k])
    unit = _ONE if kind == SPARSEMAX else _HALF
    for k in range(len(logits)):
        value = (logits[k] - highest) * unit
        if value > -_ONE:  # insert, in descending order
            j = size
            while j > 0 and value > share[j - 1]:
                share[j], order[j] = share[j - 1], order[j - 1]
                j -= 1
            share[j], order[j] = value, k
            size += 1
    total, squares, tau, support = 0.0, 0.0, 0.0, 0
    for j in range(size):
        value = float(share[j])
        total += value
        squares += value * value
        mean = total / (j + 1)
        if kind == SPARSEMAX:
            candidate = mean - 1.0 / (j + 1)
        else:
            candidate = mean - math.sqrt(max((1.0 - (squares - total * mean)) / (j + 1), 0.0))
        if not candidate < value:
            break
        tau, support = candidate, j + 1
    if support == 0:  # NaN among the logits: let it through, the loss will show it
        share[0], order[0] = highest, 0
        return 1
    for j in range(support):
        excess = np.float32(share[j] - tau)
        share[j] = excess if kind == SPARSEMAX else excess * excess
    while support > 1 and share[support - 1] < _LEAST_SHARE:
        support -= 1
    return support


# As in `fused_softmax`, of which nothing can be shared: numba's cache sees no change outside a function's own file.
_MAGIC = np.float32(1.5 * 2**23)
_LOG2_E = np.float32(1 / math.log(2))
_C1, _C2, _C3, _C4, _C5, _C6 = (np.float32(math.log(2) ** i / math.factorial(i)) for i in range(1, 7))


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz", "contract"}, error_model="numpy")
def _exponentiate(values):  # type: ignore[no-untyped-def]
    """exp in place, of what is at most 0 or not far above; nothing may be reassociated here."""
    for i in range(len(values)):
        power = max(values[i] * _LOG2_E, np.float32(-126.0))
        shifted = power + _MAGIC
        rest = power - (shifted - _MAGIC)
        series = _ONE + rest * (_C1 + rest * (_C2 + rest * (_C3 + rest * (_C4 + rest * (_C5 + rest * _C6)))))
        values[i] = np.int32(np.float32(series).view(np.int32) + (np.float32(shifted).view(np.int32) << 23)).view(
            np.float32
        )
