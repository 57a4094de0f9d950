"""Readouts and aggregators: examples worked by hand, limits, and gradients next to dead slots."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from scipy.special import logsumexp, softmax
from torch import Tensor

from baselines.aggregation import aggregate, label_attention, matches, read_out
from baselines.config import Aggregation, Readout
from baselines.interests import Interests
from baselines.soft_scores import attentive_scores, soft_scores

every_aggregation = pytest.mark.parametrize("aggregation", get_args(Aggregation))
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
    def score(item: Tensor, aggregation: Aggregation) -> float:
        return float(aggregate(ONE, item, aggregation))

    assert score(TARGET, "best_interest") == pytest.approx(2 + math.log(3))
    assert score(TARGET, "soft_interests") == pytest.approx(math.log(math.exp(2) + 3 * math.exp(2)))
    assert score(TARGET, "mean_interests") == pytest.approx(2 + 3 / 4 * math.log(3))  # shares 1/4 and 3/4
    assert score(TARGET, "attentive_interests") == pytest.approx(2 + 3 / 4 * math.log(3))  # equal matches: likewise
    share = 3 * math.exp(2) / (1 + 3 * math.exp(2))  # of the second interest, in the candidate
    assert score(CANDIDATE, "mean_interests") == pytest.approx(3 / 4 * (2 + math.log(3)))
    assert score(CANDIDATE, "attentive_interests") == pytest.approx(share * (2 + math.log(3)))


def random_interests(seed: int, *, scale: float = 1.0) -> Interests:
    """Six users with 1 to 4 live interests among five slots; what is dead is NaN."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(6, 5, generator=generator) < 0.6
    mask[:, 2], mask[0] = True, torch.arange(5) == 2
    vectors = scale * torch.randn(6, 5, 4, generator=generator, dtype=torch.float64)
    log_weight = torch.randn(6, 5, generator=generator, dtype=torch.float64)
    return interests(vectors.masked_fill(~mask[..., None], NAN), mask, log_weight.masked_fill(~mask, NAN))


def twin(user: Interests, b: int, item: Tensor, aggregation: Aggregation) -> float:
    """One score from the live interests of user `b` alone, in NumPy."""
    live = user.mask[b].numpy()
    log_weight = user.log_weight[b].numpy()[live]
    match = user.vectors[b].numpy()[live] @ item.numpy() + log_weight
    return float({
        "best_interest": match.max(),
        "soft_interests": logsumexp(match),
        "mean_interests": softmax(log_weight) @ match,
        "attentive_interests": softmax(match) @ match,
    }[aggregation])  # fmt: skip


@every_aggregation
def test_aggregation_equals_its_formula_over_live_interests(aggregation: Aggregation) -> None:
    several = random_interests(0)
    items = torch.randn(7, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = aggregate(several, items, aggregation)
    expected = [[twin(several, b, item, aggregation) for item in items] for b in range(6)]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    torch.testing.assert_close(aggregate(several, items.expand(6, -1, -1), aggregation), found)


def test_all_aggregations_are_one_where_there_is_one_interest() -> None:
    only = random_interests(2)[torch.tensor([0])]
    of_best, *others = (aggregate(only, torch.eye(4, dtype=torch.float64), name) for name in get_args(Aggregation))
    for other in others:
        torch.testing.assert_close(other, of_best)


@pytest.mark.parametrize("scale", [0.0, 0.1, 1.0, 30.0])
def test_attention_lies_between_the_maximum_less_log_k_and_the_maximum(scale: float) -> None:
    several, items = random_interests(3, scale=scale), torch.eye(4, dtype=torch.float64)
    best, attentive = (aggregate(several, items, name) for name in ("best_interest", "attentive_interests"))
    assert (attentive <= best + 1e-12).all()
    assert (attentive >= best - several.n_live.log()[:, None] - 1e-12).all()


@pytest.mark.parametrize(
    ("readout", "aggregation"),
    [("soft", "soft_interests"), ("mean", "mean_interests"), ("attentive", "attentive_interests")],
)
def test_training_reads_out_what_serving_scores(readout: Readout, aggregation: Aggregation) -> None:
    several = random_interests(4)
    generator = torch.Generator().manual_seed(5)
    target, candidates = (torch.randn(n, 4, generator=generator, dtype=torch.float64) for n in (6, 9))
    of_target, of_candidates = read_out(several, target, candidates, readout, 1.0)
    torch.testing.assert_close(of_candidates, aggregate(several, candidates, aggregation))
    torch.testing.assert_close(of_target, aggregate(several, target[:, None], aggregation).squeeze(1))


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
    hard, *others = (read_out(only, target, candidates, name, 1.0) for name in get_args(Readout))
    for other in others:
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


@pytest.mark.parametrize("power", [1e-3, 0.1, 0.5, 1.0, 2.0, 3.0])
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
@pytest.mark.parametrize("power", [0.0, 0.1, 0.5, 1.0, 7.0, 300.0])
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


def leaves(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Vectors [3, 4, 5], log importance [3, 4] with a dead slot, and candidates [6, 5], all with gradients."""
    generator = torch.Generator().manual_seed(4)
    vectors, offset, items = (torch.randn(s, generator=generator, dtype=dtype) for s in ((3, 4, 5), (3, 4), (6, 5)))
    offset[1, 2] = -math.inf
    return vectors.requires_grad_(), offset.requires_grad_(), items.requires_grad_()


def test_soft_scores_are_the_log_sum_exp_of_matches() -> None:
    vectors, offset, items = leaves()
    match = vectors @ items.T + offset[..., None]
    assert_same_with_gradients(soft_scores(vectors, offset, items), match.logsumexp(1), (vectors, offset, items))


def test_attentive_scores_are_the_mean_of_matches_weighted_by_their_softmax() -> None:
    vectors, offset, items = leaves()
    match = vectors @ items.T + offset[..., None]
    naive = (match.softmax(1) * match.masked_fill(offset.isinf()[..., None], 0)).sum(1)
    assert_same_with_gradients(attentive_scores(vectors, offset, items), naive, (vectors, offset, items))


def assert_same_with_gradients(found: Tensor, naive: Tensor, leaves: tuple[Tensor, ...]) -> None:
    """Equal values, and equal derivatives of a weighted sum of them."""
    torch.testing.assert_close(found, naive)
    weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(6), dtype=found.dtype)
    for one, other in zip(*(torch.autograd.grad((v * weight).sum(), leaves) for v in (found, naive)), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("scores", [soft_scores, attentive_scores])
def test_single_precision_is_good_for_matches_near_and_far(scores: Callable[..., Tensor], scale: float) -> None:
    vectors, offset, items = (leaf.detach() for leaf in leaves(torch.float32))
    found = scores(vectors * scale, offset, items)
    expected = scores(vectors.double() * scale, offset.double(), items.double())
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=2e-6 * max(scale, 1))
