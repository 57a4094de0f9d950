"""ComiRec-DR: algorithm 1 by hand and against a slow twin, its maps, and its gradient."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from slow_routing import slow_route

from baselines.errors import BadInput
from baselines.extractors.capsules import squash
from baselines.extractors.comirec import ComiRecDR

LENGTHS = [6, 1, 4]
MASK = torch.arange(6) < torch.tensor(LENGTHS)[:, None]

both_kinds = pytest.mark.parametrize("maps", ["shared_over_positions", "per_position"])


def make(maps: str = "shared_over_positions", **knobs: object) -> ComiRecDR:
    torch.manual_seed(0)
    return ComiRecDR(4, 9, maps=maps, **knobs)  # type: ignore[arg-type]


def random_history(B: int = 3, L: int = 6, D: int = 4) -> torch.Tensor:
    return torch.randn(B, L, D, generator=torch.Generator().manual_seed(1))


def map_of(model: ComiRecDR, rank: int, interest: int) -> torch.Tensor:
    """W_ij [D, D] of the behaviour at that distance from the end."""
    return (model.maps[rank, :, interest] if model.per_position else model.maps[interest]).T


@both_kinds
def test_three_items_by_hand(maps: str) -> None:
    """W_1 = 1, W_2 = 0 and x = 1, 2, 3. Round 1 halves every item: s_1 = 3, h_1 = 9/10.

    Round 2: the logits of interest 1 are 0.9 x, those of interest 2 are 0, so that the softmax over INTERESTS is the
    logistic function of 0.9 x. Over positions round 1 would give s_1 = 2, h_1 = 4/5.
    """
    model = ComiRecDR(1, 3, n_interests=2, n_rounds=2, maps=maps)  # type: ignore[arg-type]
    with torch.no_grad():
        model.maps.view(-1, 2).copy_(torch.tensor([1.0, 0.0]))
    found = model(torch.tensor([[[1.0], [2.0], [3.0]]]), torch.ones(1, 3, dtype=torch.bool))
    share = [1 / (1 + math.exp(-0.9 * x)) for x in (1, 2, 3)]
    s = share[0] + share[1] * 2 + share[2] * 3
    assert found.vectors.flatten().tolist() == pytest.approx([s**2 / (1 + s**2), 0])
    assert found.assignment[0, :, 0].tolist() == pytest.approx(share)
    assert found.assignment[0, :, 1].tolist() == pytest.approx([1 - c for c in share])


@both_kinds
@pytest.mark.parametrize("n_rounds", [1, 3])
@pytest.mark.parametrize("training", [False, True])
def test_it_agrees_with_a_slow_twin_user_by_user(maps: str, n_rounds: int, training: bool) -> None:
    model, history = make(maps, n_interests=3, n_rounds=n_rounds).train(training), random_history()
    found = model(history, MASK)
    for b, n in enumerate(LENGTHS):
        with torch.no_grad():
            votes = [[map_of(model, n - 1 - i, j) @ history[b, i] for j in range(3)] for i in range(n)]
        v, c = slow_route(
            np.array([[vote.double().numpy() for vote in row] for row in votes]), np.zeros((n, 3)), n_rounds
        )
        np.testing.assert_allclose(found.vectors[b].detach().numpy(), v, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found.assignment[b, :n].numpy(), c, rtol=1e-4, atol=1e-6)
        assert not found.assignment[b, n:].any()
    assert found.mask.all()


def test_maps_that_are_the_same_at_every_position_are_shared_maps() -> None:
    shared, placed = make(), make("per_position")
    with torch.no_grad():
        placed.maps.copy_(shared.maps.transpose(0, 1).expand(9, 4, 4, 4))
    one, other = shared(random_history(), MASK), placed(random_history(), MASK)
    torch.testing.assert_close(one.vectors, other.vectors)
    torch.testing.assert_close(one.assignment, other.assignment)
    for found in (one, other):
        (found.vectors * torch.arange(16.0).view(4, 4)).sum().backward()
    assert placed.maps.grad is not None
    torch.testing.assert_close(placed.maps.grad.sum(0).transpose(0, 1), shared.maps.grad)


def test_order_counts_only_where_positions_have_maps_of_their_own() -> None:
    history, whole = random_history(), torch.ones(3, 6, dtype=torch.bool)
    turned = history.flip(1)
    torch.testing.assert_close(make()(history, whole).vectors, make()(turned, whole).vectors)
    placed = make("per_position")
    assert not torch.allclose(placed(history, whole).vectors, placed(turned, whole).vectors, atol=1e-3)


def test_interests_differ_though_their_logits_start_equal() -> None:
    found = make()(random_history(), MASK).vectors
    for j in range(1, 4):
        assert not torch.allclose(found[:, 0], found[:, j], atol=1e-2)


@both_kinds
def test_what_lies_under_padding_changes_nothing(maps: str) -> None:
    model, history = make(maps), random_history()
    rubbish = torch.where(MASK[..., None], history, 1e6)
    wide, wide_mask = torch.nn.functional.pad(history, (0, 0, 0, 6), value=-7), torch.nn.functional.pad(MASK, (0, 6))
    clean = model(history, MASK)
    for found in (model(rubbish, MASK), model(wide, wide_mask)):
        torch.testing.assert_close(found.vectors, clean.vectors)
        torch.testing.assert_close(found.assignment[:, :6], clean.assignment)


@both_kinds
def test_the_gradient_runs_through_the_last_round_only(maps: str) -> None:
    """As if the last coupling were given: the same gradients for the maps and for the history."""
    model, other = make(maps), make(maps)
    g = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(2))
    one, two = random_history().requires_grad_(), random_history().requires_grad_()
    found = model(one, MASK)
    (found.vectors * g).sum().backward()
    assert found.routing is not None
    for b, n in enumerate(LENGTHS):
        for j in range(4):
            given = found.routing[b, :, j].detach()
            pooled = sum((given[i] * (map_of(other, n - 1 - i, j) @ two[b, i]) for i in range(n)), torch.zeros(4))
            (squash(pooled) @ g[b, j]).backward()
    torch.testing.assert_close(model.maps.grad, other.maps.grad, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(one.grad, two.grad, rtol=1e-4, atol=1e-6)


@both_kinds
def test_the_coupling_in_training_is_the_assignment_and_can_be_regularized(maps: str) -> None:
    model = make(maps)
    found = model(random_history(), MASK)
    assert found.routing is not None
    assert torch.equal(found.routing, found.assignment)
    assert not found.assignment.requires_grad
    found.routing.square().sum().backward()
    assert model.maps.grad is not None
    assert float(model.maps.grad.abs().max()) > 1e-3
    assert model.eval()(random_history(), MASK).routing is None


def test_a_wrong_name_of_maps_and_too_few_rounds_are_refused() -> None:
    with pytest.raises(BadInput, match="did you mean 'per_position'"):
        make("per_positions")
    with pytest.raises(BadInput, match=r"model\.n_rounds must be a finite number of at least 1, got 0"):
        make(n_rounds=0)
