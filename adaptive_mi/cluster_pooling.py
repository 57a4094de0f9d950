"""One vector for each cluster: the weighted mean of its behaviours, and the log of their weight.

    v_k = sum over i in k of w_i x_i / m_k,   m_k = sum over i in k of w_i,   w_i = exp(log weight of behaviour i).

n behaviours of all users, packed; R clusters of all users, packed; D width.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor


def pool_clusters(behaviours: Tensor, log_weight: Tensor, cluster: Tensor, n_clusters: int) -> tuple[Tensor, Tensor]:
    """Pool behaviours by cluster.

    On a CPU in one compiled pass, where a sum's order depends on nothing but the cluster itself.

    Args:
        behaviours: [n, D] float.
        log_weight: [n] float.
        cluster: [n] int64 from 0 to `n_clusters` - 1, or -1 = in none.
        n_clusters: R.

    Returns:
        vectors [R, D] and log m [R]; 0 and -inf for a cluster without a behaviour.
    """
    if _on_cpu(behaviours):
        pooled: tuple[Tensor, Tensor] = _ClusterPooling.apply(behaviours, log_weight, cluster, n_clusters)  # type: ignore[no-untyped-call]
        return pooled
    member = cluster >= 0
    behaviours, log_weight, cluster = behaviours[member], log_weight[member], cluster[member]
    highest = log_weight.new_full((n_clusters,), -torch.inf)
    highest = highest.scatter_reduce(0, cluster, log_weight.detach(), "amax")
    weight = (log_weight - highest[cluster]).exp()
    mass = weight.new_zeros(n_clusters).index_add(0, cluster, weight)
    share = weight / mass[cluster]
    vectors = behaviours.new_zeros(n_clusters, behaviours.shape[1]).index_add(0, cluster, share[:, None] * behaviours)
    return vectors, mass.log() + highest


def _on_cpu(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu"


class _ClusterPooling(torch.autograd.Function):
    """dL/dx_i = p_i g_k and dL/d(log w_i) = p_i (g_k . (x_i - v_k) + h_k), p_i = w_i / m_k, for gradients g_k, h_k."""

    @staticmethod
    def forward(
        ctx: Any, behaviours: Tensor, log_weight: Tensor, cluster: Tensor, n_clusters: int
    ) -> tuple[Tensor, Tensor]:
        n, D = behaviours.shape
        behaviours, log_weight = behaviours.detach().contiguous(), log_weight.detach().contiguous()
        share, vectors, log_mass = torch.empty(n), torch.zeros(n_clusters, D), torch.empty(n_clusters)
        read = behaviours.numpy(), log_weight.numpy(), cluster.numpy()
        _pool(*read, share.numpy(), vectors.numpy(), log_mass.numpy())
        ctx.save_for_backward(behaviours, cluster, share, vectors)
        return vectors, log_mass

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        behaviours, cluster, share, vectors = ctx.saved_tensors
        to_vectors, to_log_mass = (gradient.contiguous().numpy() for gradient in gradients)
        to_behaviours, to_log_weight = torch.empty_like(behaviours), torch.empty_like(share)
        read = behaviours.numpy(), cluster.numpy(), share.numpy(), vectors.numpy()
        _pull_back(*read, to_vectors, to_log_mass, to_behaviours.numpy(), to_log_weight.numpy())
        return to_behaviours, to_log_weight, None, None


@njit(cache=True, nogil=True, fastmath={"contract", "nsz"}, error_model="numpy")
def _pool(behaviours, log_weight, cluster, share, vectors, log_mass):  # type: ignore[no-untyped-def]
    n, D = behaviours.shape
    mass = np.zeros(len(vectors), np.float32)
    log_mass[:] = -np.inf
    for i in range(n):
        k = cluster[i]
        if k >= 0:
            log_mass[k] = max(log_mass[k], log_weight[i])
    for i in range(n):
        k = cluster[i]
        share[i] = 0.0
        if k >= 0:
            share[i] = np.exp(log_weight[i] - log_mass[k])
            mass[k] += share[i]
            vector, behaviour = vectors[k], behaviours[i]
            for d in range(D):
                vector[d] += share[i] * behaviour[d]
    for i in range(n):
        if cluster[i] >= 0:
            share[i] /= mass[cluster[i]]
    for k in range(len(vectors)):
        if mass[k] > 0:
            vector = vectors[k]
            for d in range(D):
                vector[d] /= mass[k]
            log_mass[k] += np.log(mass[k])


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"}, error_model="numpy")
def _pull_back(behaviours, cluster, share, vectors, to_vectors, to_log_mass, to_behaviours, to_log_weight):  # type: ignore[no-untyped-def]
    n, D = behaviours.shape
    for i in range(n):
        k = cluster[i]
        if k < 0:
            to_behaviours[i], to_log_weight[i] = 0.0, 0.0
            continue
        slope, behaviour, vector, into = to_vectors[k], behaviours[i], vectors[k], to_behaviours[i]
        along = np.float32(0.0)
        for d in range(D):
            along += slope[d] * (behaviour[d] - vector[d])
            into[d] = share[i] * slope[d]
        to_log_weight[i] = share[i] * (along + to_log_mass[k])
