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
    history, mask, prototypes, scale, position, bias, recency, gate, kind, index, count, share, weight, cosine,
    inverse, reach, slot, load,
):  # fmt: skip
    """Fill each behaviour's list: prototypes, shares, weights beside the user's heaviest, cosines.

    Returns the number of live interests of the user with most, and the length of the longest history.

    `prototypes` are [K, D], or [K, 0] where content is not read; `position` [H, K] or [0, K]; `recency` [H, 1 or K].
    `inverse` and `reach` become one over the lengths of behaviours and prototypes.
    """
    B, L, D = history.shape
    K, M, H = len(bias), index.shape[1], len(recency)
    content, gated, placed = prototypes.shape[1] > 0, len(gate) > 0, len(position) > 0
    own_recency, biased = recency.shape[1] > 1, False
    logits, opened, order = np.empty((K, L), np.float32), np.zeros(L, np.float32), np.empty(K, np.int64)
    best, total, name = np.empty((M, L), np.float32), np.empty(L, np.float32), np.empty(L, np.int32)
    dots, row, shares = np.empty((K, L), np.float32), np.empty(K, np.float32), np.empty(K, np.float32)
    for k in range(K):
        square, p = _SHORTEST * _SHORTEST, prototypes[k]
        for d in range(len(p)):
            square += p[d] * p[d]
        reach[k] = _ONE / math.sqrt(square)
        biased |= kind == TOP_M and bias[k] != 0
    most, longest = 1, 0
    for b in range(B):
        n = L
        while n > 0 and not mask[b, n - 1]:
            n -= 1
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
        if content:
            _match(history[b], prototypes, n, dots)
        for k in range(K):
            of_k, add = logits[k], scale * bias[k] if kind == TOP_M else _ZERO
            if content:
                dot, far = dots[k], scale * reach[k]
                for i in range(n):
                    of_k[i] = dot[i] * (far * lengths[i]) + add
            else:
                of_k[:n] = add
            if placed:
                for i in range(n):
                    of_k[i] += position[n - 1 - i, k]
        counts, names = count[b], index[b]
        if kind == TOP_M:
            _top(logits, n, best, names, total, name)
            if biased:
                for j in range(M):
                    for i in range(n):
                        best[j, i] -= scale * bias[names[j, i]]
            _softmax(best, n, share[b], total)
            counts[:n] = M
        else:
            for i in range(n):
                for k in range(K):
                    row[k] = logits[k, i]
                counts[i] = _entmax(row, kind, order, shares)
                for j in range(counts[i]):
                    names[j, i], share[b, j, i] = order[j], shares[j]
        counts[n:] = 0
        chosen = slot[b]
        for j in range(M):
            for i in range(n):
                if j < counts[i]:
                    k = names[j, i]
                    chosen[k] = 0
                    load[k] += 1
                    if content:
                        cosine[b, j, i] = dots[k, i] * (lengths[i] * reach[k])
        _weigh(names, counts, n, opened, recency, own_recency, weight[b])
        live = 0
        for k in range(K):
            if chosen[k] == 0:
                chosen[k] = live
                live += 1
        most = max(most, live)
    return most, longest


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _match(behaviours, prototypes, n, dots):  # type: ignore[no-untyped-def]
    """Products [K, n] of prototypes and behaviours, four by two at a time, the last of them repeated.

    A large product by a library is faster where K is 32 or more, but its last bits may depend on the other users.
    """
    K, D = prototypes.shape
    for k in range(0, K, 4):
        k_2, k_3, k_4 = min(k + 1, K - 1), min(k + 2, K - 1), min(k + 3, K - 1)
        p, p_2, p_3, p_4 = prototypes[k], prototypes[k_2], prototypes[k_3], prototypes[k_4]
        for i in range(0, n, 2):
            i_2 = min(i + 1, n - 1)
            x, dot, dot_2, dot_3, dot_4 = behaviours[i], _ZERO, _ZERO, _ZERO, _ZERO
            y, also, also_2, also_3, also_4 = behaviours[i_2], _ZERO, _ZERO, _ZERO, _ZERO
            for d in range(D):
                dot += x[d] * p[d]
                dot_2 += x[d] * p_2[d]
                dot_3 += x[d] * p_3[d]
                dot_4 += x[d] * p_4[d]
                also += y[d] * p[d]
                also_2 += y[d] * p_2[d]
                also_3 += y[d] * p_3[d]
                also_4 += y[d] * p_4[d]
            dots[k, i], dots[k_2, i], dots[k_3, i], dots[k_4, i] = dot, dot_2, dot_3, dot_4
            dots[k, i_2], dots[k_2, i_2], dots[k_3, i_2], dots[k_4, i_2] = also, also_2, also_3, also_4


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _weigh(names, counts, n, opened, recency, own_recency, weight):  # type: ignore[no-untyped-def]
    """Weights [M, n] beside the heaviest of them; all rows are the same where recency is not an interest's own."""
    heaviest, M = _NEVER, len(weight)
    for j in range(M if own_recency else 1):
        weights = weight[j]
        for i in range(n):
            weights[i] = opened[i] + recency[n - 1 - i, names[j, i] if own_recency and j < counts[i] else 0]
            if j < counts[i]:
                heaviest = max(heaviest, weights[i])
    for j in range(M):
        weights = weight[j]
        if j == 0 or own_recency:
            for i in range(n):
                weights[i] = max(weights[i] - heaviest, _LEAST_LOG_WEIGHT)
            _exponentiate(weights[:n])
        else:
            for i in range(n):
                weights[i] = weight[0, i]


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _top(logits, n, best, which, carried, name):  # type: ignore[no-untyped-def]
    """Put the largest of each of n columns into `best`, descending, and their rows into `which`; ties: first row."""
    M = len(best)
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
def _softmax(logits, n, shares, total):  # type: ignore[no-untyped-def]
    """Shares [M, n] that sum to 1 over M; `total` [n] is overwritten."""
    total[:n] = _NEVER  # the largest, to begin with
    for j in range(len(logits)):
        for i in range(n):
            total[i] = max(total[i], logits[j, i])
    for j in range(len(logits)):
        of_j, out = logits[j], shares[j]
        for i in range(n):
            out[i] = of_j[i] - total[i]
        _exponentiate(out[:n])
    total[:n] = _ZERO
    for j in range(len(logits)):
        out = shares[j]
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
