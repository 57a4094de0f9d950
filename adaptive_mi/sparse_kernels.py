"""The compiled second half of `sparse_pooling`: pooling by lists of chosen prototypes, and the gradient of it all.

Lists are those of `sparse_choice`. Rows are taken as views and loops run over the width, which is what the compiler
vectorises. Nothing compiled is shared with another file: numba's cache sees no change outside a function's own.

B users, L behaviours, K prototypes, J slots, M longest list, H longest history, D width.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

TOP_M, SPARSEMAX = 0, 1  # as in `sparse_choice`
_FAST = {"nnan", "nsz", "contract", "reassoc", "arcp"}
_ZERO, _ONE = np.float32(0), np.float32(1)


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def pool(history, index, count, share, ratio, slot, vectors, log_mass, shares, interests):  # type: ignore[no-untyped-def]
    """Pool behaviours into slots. `ratio` comes as the weights and leaves as weight over mass of the slot."""
    B, L, D = history.shape
    J, K = vectors.shape[1], slot.shape[1]
    mass = np.empty(J, np.float32)
    for b in range(B):
        slots, pooled, live = slot[b], vectors[b], 0
        for k in range(K):
            if slots[k] >= 0:
                interests[b, live] = k
                live += 1
        n = 0
        while n < L and count[b, n] > 0:
            n += 1
        mass[:] = _ZERO
        pooled[:] = _ZERO
        total = _ZERO
        for i in range(n):
            x = history[b, i]
            for j in range(count[b, i]):
                s = slots[index[b, j, i]]
                shares[b, i, s] = share[b, j, i]
                u, into = share[b, j, i] * ratio[b, j, i], pooled[s]
                mass[s] += u
                total += u
                for d in range(D):
                    into[d] += u * x[d]
        for s in range(live):
            log_mass[b, s] = math.log(mass[s] / total)
            mass[s] = _ONE / mass[s]
            into = pooled[s]
            for d in range(D):
                into[d] *= mass[s]
        log_mass[b, live:] = _ZERO
        for i in range(n):
            for j in range(count[b, i]):
                ratio[b, j, i] *= mass[slots[index[b, j, i]]]


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def pull_back(  # type: ignore[no-untyped-def]
    history, prototypes, scale, gate, index, count, share, ratio, cosine, inverse, reach, slot, vectors, log_mass, kind,
    to_vectors, to_log_mass, to_shares, to_history, to_prototypes, to_position, to_recency, to_gate,
):  # fmt: skip
    """Gradients, added to what `to_prototypes` and the rest hold; `to_history` is overwritten.

    Returns that of the logarithm of the scale.
    """
    B, L, D = history.shape
    K, J, M = len(prototypes), vectors.shape[1], index.shape[1]
    # a behaviour with one interest has a share of 1, wherever it points
    content = prototypes.shape[1] > 0 and (kind != TOP_M or M > 1)
    gated, placed, own_recency = len(gate) > 0, len(to_position) > 0, to_recency.shape[1] > 1
    to_share, q, step = np.empty(M, np.float32), np.empty(M, np.float32), np.zeros(M, np.float32)
    constant, turned, to_scale = np.empty(J, np.float32), np.zeros(K, np.float32), _ZERO
    q_is_share, q_is_one = kind == TOP_M, kind == SPARSEMAX
    for b in range(B):
        slots, everywhere = slot[b], _ZERO
        for s in range(J):
            everywhere += to_log_mass[b, s]
        for s in range(J):
            # to a unit of mass in slot s: (to_vectors . (x - vectors) + to_log_mass) / mass - everywhere / all mass
            along, up, at = _ZERO, to_vectors[b, s], vectors[b, s]
            for d in range(D):
                along += up[d] * at[d]
            constant[s] = to_log_mass[b, s] - along - everywhere * math.exp(log_mass[b, s])
        n = 0
        while n < L and count[b, n] > 0:
            n += 1
        to_history[b, n:] = _ZERO
        for i in range(n):
            x, to_x, size = history[b, i], to_history[b, i], count[b, i]
            to_weight, mean, sum_q, own = _ZERO, _ZERO, _ZERO, _ZERO
            for j in range(size):
                k = index[b, j, i]
                up, along = to_vectors[b, slots[k]], _ZERO
                for d in range(D):
                    along += up[d] * x[d]
                along = (along + constant[slots[k]]) * ratio[b, j, i]
                to_share[j] = along
                to_recency[n - 1 - i, k if own_recency else 0] += along * share[b, j, i]
                to_weight += along * share[b, j, i]
                if len(to_shares) > 0:
                    to_share[j] += to_shares[b, i, slots[k]]
                q[j] = share[b, j, i] if q_is_share else (_ONE if q_is_one else math.sqrt(share[b, j, i]))
                mean += q[j] * to_share[j]
                sum_q += q[j]
            mean /= sum_q
            for j in range(size):
                to_logit, k = q[j] * (to_share[j] - mean), index[b, j, i]
                if placed:
                    to_position[n - 1 - i, k] += to_logit
                if content:
                    to_cosine = scale * to_logit * cosine[b, j, i]
                    own += to_cosine
                    turned[k] += to_cosine
                    step[j] = to_logit * (scale * inverse[b, i] * reach[k])
            to_scale += own
            own *= inverse[b, i] * inverse[b, i]  # along the behaviour itself: its length does not count
            weigh = to_weight if gated else _ZERO
            opens = gate if gated else x
            if content and size == 2:  # the usual case, in as few passes as there can be
                k, other = index[b, 0, i], index[b, 1, i]
                up, up_2 = to_vectors[b, slots[k]], to_vectors[b, slots[other]]
                part, part_2 = share[b, 0, i] * ratio[b, 0, i], share[b, 1, i] * ratio[b, 1, i]
                towards, towards_2, pull, pull_2 = prototypes[k], prototypes[other], step[0], step[1]
                for d in range(D):
                    to_x[d] = (
                        part * up[d] + part_2 * up_2[d] + pull * towards[d] + pull_2 * towards_2[d]
                        + (weigh * opens[d] - own * x[d])
                    )  # fmt: skip
                to_prototype, to_prototype_2 = to_prototypes[k], to_prototypes[other]
                for d in range(D):
                    to_prototype[d] += pull * x[d]
                    to_prototype_2[d] += pull_2 * x[d]
            else:
                for d in range(D):
                    to_x[d] = weigh * opens[d] - own * x[d]
                for j in range(size):
                    k = index[b, j, i]
                    up, part = to_vectors[b, slots[k]], share[b, j, i] * ratio[b, j, i]
                    for d in range(D):
                        to_x[d] += part * up[d]
                    if content:
                        towards, to_prototype, pull = prototypes[k], to_prototypes[k], step[j]
                        for d in range(D):
                            to_x[d] += pull * towards[d]
                        for d in range(D):
                            to_prototype[d] += pull * x[d]
            if gated:
                for d in range(D):
                    to_gate[d] += to_weight * x[d]
    if content:
        for k in range(K):  # nor does a prototype's
            to_prototype, along = to_prototypes[k], turned[k] * reach[k] * reach[k]
            for d in range(D):
                to_prototype[d] -= along * prototypes[k, d]
    return to_scale
