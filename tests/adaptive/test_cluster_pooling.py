"""Pooling by cluster, compiled and in torch, is the weighted mean that the formula says, with its gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from adaptive_mi import cluster_pooling
from adaptive_mi.cluster_pooling import pool_clusters

N, D, R = 23, 5, 6


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    of = torch.Generator().manual_seed(0)
    cluster = torch.randint(-1, R - 1, (N,), generator=of)  # the last cluster is empty, some behaviours are in none
    return torch.randn(N, D, generator=of), 3 * torch.randn(N, generator=of), cluster


def by_hand(behaviours: Tensor, log_weight: Tensor, cluster: Tensor) -> tuple[Tensor, Tensor]:
    vectors, log_mass = [], []
    for k in range(R):
        own = cluster == k
        if own.any():
            weight = log_weight[own].exp()
            vectors.append((weight[:, None] * behaviours[own]).sum(0) / weight.sum())
            log_mass.append(weight.sum().log())
        else:
            vectors.append(torch.zeros(D))
            log_mass.append(torch.tensor(-torch.inf))
    return torch.stack(vectors), torch.stack(log_mass)


@pytest.mark.parametrize("compiled", [True, False])
def test_it_is_the_weighted_mean_and_so_is_its_gradient(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    behaviours, log_weight, cluster = inputs()
    found = []
    for pool in (lambda *given: pool_clusters(*given, R), by_hand):
        x, w = behaviours.clone().requires_grad_(), log_weight.clone().requires_grad_()
        if not compiled and pool is not by_hand:
            monkeypatch.setattr(cluster_pooling, "_on_cpu", lambda _: False)
        vectors, log_mass = pool(x, w, cluster)
        of = torch.Generator().manual_seed(1)
        total = (vectors * torch.randn(R, D, generator=of)).sum()
        total = total + (log_mass[:-1] * torch.randn(R - 1, generator=of)).sum()
        found.append((vectors.detach(), log_mass.detach(), *torch.autograd.grad(total, (x, w))))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_great_weights_do_not_overflow() -> None:
    behaviours, _, cluster = inputs()
    vectors, log_mass = pool_clusters(behaviours, torch.full((N,), 300.0), cluster, R)
    assert torch.isfinite(vectors).all()
    torch.testing.assert_close(log_mass[0], 300 + (cluster == 0).sum().log())
