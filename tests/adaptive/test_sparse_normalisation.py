"""Shares against brute force: every support tried, thresholds bisected, gradients by finite differences."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import chain, combinations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaptive_mi.sparse_normalisation import entmax15, sparsemax, top_m

Floats = NDArray[np.float64]
every_one = pytest.mark.parametrize(
    "normalise", [sparsemax, entmax15, partial(top_m, n_selected=2)], ids=["sparsemax", "entmax15", "top_m"]
)


def random_logits(*shape: int, spread: float = 1.0) -> Tensor:
    return spread * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def projection_by_trying_every_support(z: Floats) -> Floats:
    """The feasible point nearest to z among the projections onto every face of the simplex."""
    K = len(z)
    best, least = np.zeros(K), np.inf
    for support in map(list, chain.from_iterable(combinations(range(K), size) for size in range(1, K + 1))):
        p = np.zeros(K)
        p[support] = z[support] - (z[support].sum() - 1) / len(support)
        distance = ((p - z) ** 2).sum()
        if (p >= 0).all() and distance < least:
            best, least = p, distance
    return best


def entmax15_by_bisection(z: Floats) -> Floats:
    low, high = z.max() / 2 - 1, z.max() / 2
    for _ in range(200):
        tau = (low + high) / 2
        low, high = (tau, high) if (np.maximum(z / 2 - tau, 0) ** 2).sum() > 1 else (low, tau)
    p: Floats = np.maximum(z / 2 - low, 0) ** 2
    return p


@pytest.mark.parametrize("spread", [0.1, 1.0, 5.0])
def test_sparsemax_is_the_nearest_point_of_the_simplex(spread: float) -> None:
    z = random_logits(40, 6, spread=spread)
    for row, p in zip(z.numpy(), sparsemax(z).numpy(), strict=True):
        np.testing.assert_allclose(p, projection_by_trying_every_support(row), atol=1e-12)


@pytest.mark.parametrize("spread", [0.1, 1.0, 5.0])
def test_entmax15_has_the_threshold_that_bisection_finds(spread: float) -> None:
    z = random_logits(40, 9, spread=spread)
    for row, p in zip(z.numpy(), entmax15(z).numpy(), strict=True):
        np.testing.assert_allclose(p, entmax15_by_bisection(row), atol=1e-12)


def test_top_m_is_the_softmax_of_the_largest_and_of_all_where_there_are_no_more() -> None:
    z = random_logits(20, 5)
    for row, p in zip(z, top_m(z, 2), strict=True):
        values, places = row.topk(2)
        assert p[places].tolist() == pytest.approx(values.softmax(0).tolist())
        assert (p > 0).sum() == 2
    torch.testing.assert_close(top_m(z, 7), z.softmax(-1))


def test_a_tie_for_the_last_place_goes_to_the_first() -> None:
    z = torch.tensor([0.0, 1.0, 0.0, 0.0])
    assert (top_m(z, 2) > 0).tolist() == [True, True, False, False]
    assert sparsemax(torch.zeros(4)).tolist() == entmax15(torch.zeros(4)).tolist() == [0.25] * 4


def test_a_bias_picks_and_does_not_weigh() -> None:
    z = torch.tensor([2.0, 1.0, 0.0])
    picked = top_m(z, 2, bias=torch.tensor([-9.0, 0.0, 0.0]))
    assert picked.tolist() == pytest.approx([0, *torch.tensor([1.0, 0.0]).softmax(0).tolist()])


@every_one
def test_gradients_agree_with_finite_differences(normalise: Callable[..., Tensor]) -> None:
    z = random_logits(3, 5, 4).requires_grad_()
    for dim in (1, -1):
        assert torch.autograd.gradcheck(lambda z, dim=dim: normalise(z, dim=dim), (z,))


@every_one
def test_shares_sum_to_one_over_their_dimension_whatever_is_added_to_all(normalise: Callable[..., Tensor]) -> None:
    z = random_logits(3, 5, 4, spread=2.0)
    for dim in (0, 1, 2, -1):
        p = normalise(z, dim=dim)
        torch.testing.assert_close(p.sum(dim), torch.ones_like(p.sum(dim)))
        torch.testing.assert_close(normalise(z + 100, dim=dim), p)
        torch.testing.assert_close(normalise(z.movedim(dim, -1), dim=-1).movedim(-1, dim), p)


@every_one
def test_minus_infinity_has_no_share_and_no_gradient(normalise: Callable[..., Tensor]) -> None:
    z = torch.tensor([0.5, -torch.inf, 0.2, -torch.inf], requires_grad=True)
    p = normalise(z)
    torch.testing.assert_close(p[[0, 2]], normalise(torch.tensor([0.5, 0.2])))
    assert not p[[1, 3]].any()
    (p * torch.tensor([1.0, 2, 3, 4])).sum().backward()
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()
    assert not z.grad[[1, 3]].any()


@every_one
def test_one_entry_and_enormous_ones_are_safe(normalise: Callable[..., Tensor]) -> None:
    assert normalise(torch.tensor([[7.0]])).tolist() == [[1.0]]
    assert normalise(torch.tensor([1e30, -1e30, 0.0])).tolist() == [1.0, 0.0, 0.0]


def test_entmax15_is_sparser_than_softmax_and_denser_than_sparsemax() -> None:
    z = random_logits(200, 10)
    sizes = [(p > 0).sum(-1).double().mean() for p in (sparsemax(z), entmax15(z), z.softmax(-1))]
    assert 1 < sizes[0] < sizes[1] < sizes[2] == 10
