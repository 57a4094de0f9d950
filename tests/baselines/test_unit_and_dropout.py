"""The quick forms of normalisation and dropout are the plain ones."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from baselines.dropout import Dropout, dropout
from baselines.errors import BadInput
from baselines.unit import unit


def test_unit_is_torchs_normalisation_and_so_is_its_gradient() -> None:
    of = torch.Generator().manual_seed(0)
    vectors = torch.randn(3, 20, 8, generator=of) * torch.logspace(-8, 8, 20)[:, None]
    slope = torch.randn(3, 20, 8, generator=of)
    ours, theirs = vectors.clone().requires_grad_(), vectors.clone().requires_grad_()
    one, other = unit(ours), F.normalize(theirs, dim=-1)
    torch.testing.assert_close(one, other)
    one.backward(slope)
    other.backward(slope)
    assert ours.grad is not None
    assert theirs.grad is not None
    size = vectors.norm(dim=-1, keepdim=True)  # a gradient goes with the inverse of the length
    torch.testing.assert_close(ours.grad * size, theirs.grad * size, rtol=1e-4, atol=1e-5)


def test_units_gradient_is_the_derivative() -> None:
    vectors = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    assert torch.autograd.gradcheck(unit, (vectors,))


def test_a_vector_of_zeros_stays_one() -> None:
    assert unit(torch.zeros(2, 3)).tolist() == [[0] * 3] * 2


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_dropout_drops_that_share_and_keeps_the_mean(probability: float) -> None:
    torch.manual_seed(0)
    values = torch.full((1001, 999), 3.0)
    found = dropout(values, probability, training=True)
    assert (found == 0).float().mean().item() == pytest.approx(probability, abs=2e-3)
    assert found.mean().item() == pytest.approx(3, rel=1e-2)
    assert len(found.unique()) == 2
    rows, columns = ((found == 0).float().mean(dim) for dim in (0, 1))
    spread = (probability * (1 - probability) / 1000) ** 0.5  # of independent draws
    for means in (rows, columns):
        assert means.std().item() == pytest.approx(spread, rel=0.15)


def test_what_is_dropped_learns_nothing_and_the_rest_in_proportion() -> None:
    torch.manual_seed(0)
    values = torch.ones(7, 3, requires_grad=True)
    found = dropout(values, 0.5, training=True)
    (found * torch.arange(21.0).view(7, 3)).sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad, torch.arange(21.0).view(7, 3) * found.detach())


def test_outside_training_and_at_zero_nothing_happens() -> None:
    values = torch.randn(5, 5)
    assert dropout(values, 0.7, training=False) is values
    assert dropout(values, 0.0, training=True) is values
    assert Dropout(0.7).eval()(values) is values


def test_the_generator_decides_what_is_dropped() -> None:
    values = torch.ones(100)
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(Dropout(0.5)(values))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_a_probability_just_below_one_leaves_next_to_nothing() -> None:
    torch.manual_seed(0)
    found = dropout(torch.ones(1000), 1 - 1e-9, training=True)
    assert (found == 0).float().mean() > 0.99
    assert torch.isfinite(found).all()


def test_a_probability_of_one_is_refused() -> None:
    with pytest.raises(BadInput, match=r"model\.dropout must be a finite number of at least 0 and less than 1, got 1"):
        Dropout(1.0)
