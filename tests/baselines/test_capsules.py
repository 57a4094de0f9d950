"""What both capsule extractors are made of."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.extractors.capsules import new_maps, route, squash

coordinates = st.lists(st.floats(-1e3, 1e3, width=32), min_size=2, max_size=5)


@settings(max_examples=50, deadline=None)
@given(coordinates)
def test_squash_keeps_the_direction_and_maps_the_length_below_one(coordinates: list[float]) -> None:
    s = torch.tensor(coordinates, dtype=torch.float64)
    length = s.norm()
    torch.testing.assert_close(squash(s).norm(), length**2 / (1 + length**2))
    torch.testing.assert_close(squash(s) * length, s * squash(s).norm())


def test_squash_of_zero_is_zero_and_so_is_its_gradient() -> None:
    zero = torch.zeros(2, 3, requires_grad=True)
    squash(zero).sum().backward()
    assert not squash(zero).any()
    assert zero.grad is not None
    assert not zero.grad.any()


@pytest.mark.parametrize("n_rounds", [1, 2, 4])
def test_votes_are_pooled_and_asked_once_a_round(n_rounds: int) -> None:
    asked = {"pool": 0, "agree": 0}

    def pool(coupling: torch.Tensor) -> torch.Tensor:
        asked["pool"] += 1
        return coupling.sum(-1, keepdim=True)

    def agree(capsules: torch.Tensor) -> torch.Tensor:
        asked["agree"] += 1
        return capsules.expand(-1, -1, 5)

    route(torch.zeros(2, 3, 5), torch.ones(2, 5, dtype=torch.bool), n_rounds, pool, agree)
    assert asked == {"pool": n_rounds, "agree": n_rounds - 1}


def test_new_maps_are_random_or_near_the_identity_and_random_ones_keep_a_length_on_average() -> None:
    drawn = []
    for near_identity in (False, True):
        torch.manual_seed(0)
        drawn.append(new_maps(200, 64, 64, near_identity=near_identity))
    torch.testing.assert_close(drawn[1], torch.eye(64) + drawn[0] / 2)
    mapped = torch.ones(64) @ drawn[0]  # [200, 64]
    assert float(mapped.square().sum(-1).mean()) == pytest.approx(64, rel=4 / math.sqrt(200 * 64 / 2))
