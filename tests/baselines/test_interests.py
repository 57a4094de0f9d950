"""The value that every method hands over, and the small functions extractors are made of."""

from __future__ import annotations

import pytest
import torch

from baselines.interests import Interests, assign, concatenate, recency_rank, scatter

MASK = torch.tensor([[True, True, True], [True, False, False]])


def make(B: int, L: int, K: int, D: int = 3) -> Interests:
    generator = torch.Generator().manual_seed(K)
    return Interests(
        torch.randn(B, K, D, generator=generator),
        torch.ones(B, K, dtype=torch.bool),
        torch.randn(B, K, generator=generator),
        torch.rand(B, L, K, generator=generator),
    )


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("mask", torch.ones(2, 4), r"mask must be bool \[2, 4\], got torch.float32 \[2, 4\]"),
        ("mask", torch.ones(2, 3, dtype=torch.bool), "mask must be bool"),
        ("log_weight", torch.zeros(2, 4, 1), "log_weight must be"),
        ("assignment", torch.zeros(2, 4), "assignment must be"),
        ("assignment", torch.zeros(2, 5, 3), "assignment must be"),
    ],
)
def test_a_part_of_the_wrong_shape_is_refused(part: str, value: torch.Tensor, message: str) -> None:
    good = make(2, 5, 4)
    parts = {name: getattr(good, name) for name in ("vectors", "mask", "log_weight", "assignment")}
    with pytest.raises(ValueError, match=message):
        Interests(**{**parts, part: value})


def test_live_interests_are_counted() -> None:
    found = Interests(torch.zeros(2, 3, 1), MASK, torch.zeros(2, 3), torch.zeros(2, 1, 3))
    assert found.n_live.tolist() == [3, 1]


def test_assignment_is_to_the_nearest_live_interest_by_cosine_and_ties_go_to_the_first() -> None:
    history = torch.tensor([[[5.0, 0.1], [0.1, 0.2], [1.0, 1.0], [9.0, 9.0]]])
    vectors = torch.tensor([[[0.0, 1.0], [1.0, 0.0], [float("nan"), 0.0], [100.0, 0.0]]])
    live = torch.tensor([[True, True, False, True]])
    history_mask = torch.tensor([[True, True, True, False]])
    found = assign(history, history_mask, vectors, live)
    assert found.tolist() == [[[0, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]]


def test_scatter_undoes_the_choice_by_a_mask_and_passes_gradients_on() -> None:
    packed = torch.arange(8.0).view(4, 2).requires_grad_()
    padded = scatter(packed, MASK)
    assert padded.tolist() == [[[0, 1], [2, 3], [4, 5]], [[6, 7], [0, 0], [0, 0]]]
    assert torch.equal(padded[MASK], packed)
    (padded * torch.arange(12.0).view(2, 3, 2)).sum().backward()
    assert packed.grad is not None
    assert packed.grad.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_recency_counts_from_the_end_of_each_history() -> None:
    assert recency_rank(MASK).tolist() == [[2, 1, 0], [0, 0, 0]]


def test_joined_groups_are_padded_with_dead_slots() -> None:
    small, large = make(2, 4, 1), make(3, 5, 3)
    joined = concatenate([small, large], 6)
    assert joined.vectors.shape == (5, 3, 3)
    assert joined.assignment.shape == (5, 6, 3)
    assert joined.n_live.tolist() == [1, 1, 3, 3, 3]
    assert torch.equal(joined.vectors[:2, :1], small.vectors)
    assert torch.equal(joined.assignment[2:, :5], large.assignment)
    assert not joined.assignment[:2, :, 1:].any()
    assert not joined.assignment[:, 5:].any()
    assert torch.equal(joined.log_weight[2:], large.log_weight)
