"""Readouts and aggregators: examples worked by hand, limits, and gradients next to dead slots."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from torch import Tensor

from baselines.aggregation import aggregate, label_attention, matches, read_out
from baselines.config import Readout
from baselines.interests import Interests
from baselines.soft_scores import soft_scores

every_readout = pytest.mark.parametrize("readout", get_args(Readout))


def interests(vectors: Tensor, mask: Tensor | None = None, log_weight: Tensor | None = None) -> Interests:
    B, K, _ = vectors.shape
    mask = torch.ones(B, K, dtype=torch.bool) if mask is None else mask
    log_weight = torch.zeros(B, K, dtype=vectors.dtype) if log_weight is None else log_weight
    return Interests(vectors, mask, log_weight, vectors.new_zeros(B, 1, K))


# One user: interests (1, 0) and (0, 2), a dead one full of NaN; log weights 0, log 3. Target (2, 1), candidate (0, 1).
NAN = float("nan")
ONE = interests(
    torch.tensor([[[1.0, 0.0], [0.0, 2.0], [NAN, NAN]]]),
    torch.tensor([[True, True, False]]),
    torch.tensor([[0.0, math.log(3.0), NAN]]),
)
TARGET, CANDIDATE = torch.tensor([[2.0, 1.0]]), torch.tensor([[0.0, 1.0]])


def test_matches_by_hand() -> None:
    shared = matches(ONE, torch.cat([TARGET, CANDIDATE]))
    expected = torch.tensor([[[2.0, 0.0], [2 + math.log(3), 2 + math.log(3)], [-math.inf, -math.inf]]])
    torch.testing.assert_close(shared, expected)
    torch.testing.assert_close(matches(ONE, torch.stack([TARGET, CANDIDATE], 1)), expected)


def test_aggregation_by_hand() -> None:
    scores = matches(ONE, TARGET)
    assert float(aggregate(scores, "best_interest")) == pytest.approx(2 + math.log(3))
    assert float(aggregate(scores, "soft_interests")) == pytest.approx(math.log(math.exp(2) + 3 * math.exp(2)))


def test_readouts_by_hand() -> None:
    of_target, of_candidate = read_out(ONE, TARGET, CANDIDATE, "hard", 1.0)
    assert float(of_target) == pytest.approx(2 + math.log(3))  # the second interest matches the target better
    assert float(of_candidate) == pytest.approx(2 + math.log(3))

    of_target, of_candidate = read_out(ONE, TARGET, CANDIDATE, "soft", 1.0)
    assert float(of_target) == pytest.approx(2 + math.log(4))
    assert float(of_candidate) == pytest.approx(math.log(1 + 3 * math.exp(2)))

    first, second = math.exp(2.0**2), math.exp((2 + math.log(3)) ** 2)
    share = first / (first + second)  # of interest 1; the vector is (share, 2 (1 - share))
    of_target, of_candidate = read_out(ONE, TARGET, CANDIDATE, "label_aware", 2.0)
    assert float(of_target) == pytest.approx(2 * share + 2 * (1 - share))
    assert float(of_candidate) == pytest.approx(2 * (1 - share))


def test_all_readouts_are_one_where_there_is_one_interest() -> None:
    generator = torch.Generator().manual_seed(0)
    only = interests(torch.randn(5, 1, 4, generator=generator))
    target, candidates = torch.randn(5, 4, generator=generator), torch.randn(7, 4, generator=generator)
    hard, label_aware, soft = (read_out(only, target, candidates, name, 1.0) for name in get_args(Readout))
    for other in (label_aware, soft):
        torch.testing.assert_close(other[0], hard[0])
        torch.testing.assert_close(other[1], hard[1])


@every_readout
def test_a_readout_of_the_target_among_the_candidates_is_the_target_score(readout: Readout) -> None:
    generator = torch.Generator().manual_seed(1)
    several = interests(torch.randn(5, 3, 4, generator=generator), log_weight=torch.randn(5, 3, generator=generator))
    target = torch.randn(5, 4, generator=generator)
    of_target, of_candidates = read_out(several, target, target, readout, 1.5)
    torch.testing.assert_close(of_candidates.diagonal(), of_target)


MATCH = torch.tensor([[3.0, 2.5, -4.0, 0.5], [2.0, -1.5, 1.75, 99.0]])
LIVE = torch.tensor([[True] * 4, [True, True, True, False]])


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 3.0])
def test_label_attention_is_the_softmax_of_signed_powers(power: float) -> None:
    for match, mask, found in zip(MATCH, LIVE, label_attention(MATCH, LIVE, power), strict=True):
        raised = [math.copysign(abs(m) ** power, m) if live else -math.inf for m, live in zip(match, mask, strict=True)]
        total = sum(math.exp(r) for r in raised)
        assert found.tolist() == pytest.approx([math.exp(r) / total for r in raised], abs=1e-6)


def test_power_0_weighs_live_interests_alike_and_a_large_power_chooses_the_best_match() -> None:
    torch.testing.assert_close(label_attention(MATCH, LIVE, 0.0), LIVE / LIVE.sum(1, keepdim=True))
    for power in (40.0, 1000.0):
        torch.testing.assert_close(label_attention(MATCH, LIVE, power), torch.eye(4)[[0, 0]])


def test_a_large_power_makes_the_label_aware_readout_the_hard_one() -> None:
    generator = torch.Generator().manual_seed(2)
    several = interests(3 * torch.randn(6, 3, 4, generator=generator))
    target, candidates = 2 * torch.randn(6, 4, generator=generator), torch.randn(7, 4, generator=generator)
    clear = matches(several, target).diagonal(dim1=0, dim2=2).amax(0) > 1.1  # [B]
    assert clear.sum() >= 4
    hard = read_out(several, target, candidates, "hard", 1.0)
    for found, expected in zip(read_out(several, target, candidates, "label_aware", 500.0), hard, strict=True):
        torch.testing.assert_close(found[clear], expected[clear])


@every_readout
@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 7.0, 300.0])
@pytest.mark.parametrize("dead", [NAN, math.inf, 1e9])
def test_gradients_are_finite_beside_dead_slots_and_none_reaches_them(
    readout: Readout, power: float, dead: float
) -> None:
    generator = torch.Generator().manual_seed(3)
    mask = torch.tensor([[True, False, True], [False, True, False]])
    vectors = (5 * torch.randn(2, 3, 4, generator=generator)).masked_fill(~mask[..., None], dead).requires_grad_()
    log_weight = torch.zeros(2, 3).masked_fill(~mask, dead).requires_grad_()
    target = torch.randn(2, 4, generator=generator)
    target[1] = 0  # a match of exactly 0
    target.requires_grad_()
    candidates = torch.randn(5, 4, generator=generator, requires_grad=True)
    scores = read_out(interests(vectors, mask, log_weight), target, candidates, readout, power)
    (scores[0].sum() + scores[1].sum()).backward()
    for leaf in (vectors, log_weight, target, candidates):
        if leaf.grad is not None:
            assert torch.isfinite(leaf.grad).all()
    assert vectors.grad is not None
    assert (vectors.grad[~mask] == 0).all()


def test_soft_scores_are_the_log_sum_exp_of_matches_with_its_gradient() -> None:
    generator = torch.Generator().manual_seed(4)
    vectors = torch.randn(3, 4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    offset = torch.randn(3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    items = torch.randn(6, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    found = soft_scores(vectors, offset, items)
    torch.testing.assert_close(found, matches(interests(vectors, log_weight=offset), items).logsumexp(1))
    assert torch.autograd.gradcheck(soft_scores, (vectors, offset, items))
