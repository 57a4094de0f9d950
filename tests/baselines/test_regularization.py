"""Regularizers: twins in plain Python, values worked by hand, and what dead slots, order and scale may not change."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from baselines.errors import BadInput
from baselines.interests import Interests
from baselines.regularization import REGULARIZERS, contrastive, cosine, elementwise, routing
from experiments.evaluation.diagnostics import gram, mean_pairwise_cosine

Array = NDArray[np.float64]
TAU = 0.5


def undropped(interests: Interests) -> Tensor:
    return contrastive(interests, dropout=0.0, temperature=TAU)


OF_PAIRS = {"cosine": cosine, "elementwise": elementwise, "contrastive": undropped}
every_pairwise = pytest.mark.parametrize("regularizer", OF_PAIRS.values(), ids=list(OF_PAIRS))
ALL = {**OF_PAIRS, "routing": routing, "contrastive, dropped": contrastive}
every = pytest.mark.parametrize("regularizer", ALL.values(), ids=list(ALL))


def holding(vectors: Tensor, mask: Tensor | None = None, shares: Tensor | None = None) -> Interests:
    B, K, _ = vectors.shape
    mask = torch.ones(B, K, dtype=torch.bool) if mask is None else mask
    return Interests(vectors, mask, vectors.new_zeros(B, K), vectors.new_zeros(B, 1, K), routing=shares)


def some(seed: int, B: int = 5, L: int = 6, K: int = 4, D: int = 3) -> Interests:
    """Users with 1 to K live interests and 1 to L behaviours, left-aligned; garbage in dead slots."""
    generator = torch.Generator().manual_seed(seed)
    n_live = torch.randint(1, K + 1, (B,), generator=generator)
    lengths = torch.randint(1, L + 1, (B,), generator=generator)
    mask = torch.rand(B, K, generator=generator).argsort(-1) < n_live[:, None]
    is_behaviour = (torch.arange(L) < lengths[:, None])[..., None]
    logits = 3 * torch.randn(B, L, K, generator=generator, dtype=torch.float64)
    shares = logits.masked_fill(~is_behaviour, -torch.inf).softmax(1).masked_fill(~mask[:, None], torch.nan)
    vectors = torch.randn(B, K, D, generator=generator, dtype=torch.float64).masked_fill(~mask[..., None], torch.nan)
    return holding(vectors, mask, shares)


def live_of(interests: Interests) -> list[Array]:
    """Each user's live vectors [K_u, D]."""
    return [v[m].detach().numpy() for v, m in zip(interests.vectors, interests.mask, strict=True)]


def unit(vector: Array) -> Array:
    return np.asarray(vector / np.linalg.norm(vector))


def mean(terms: list[float]) -> float:
    return sum(terms) / len(terms) if terms else 0.0


def slow_over_pairs(interests: Interests, likeness: Callable[[Array, Array], float]) -> float:
    users = []
    for live in live_of(interests):
        pairs = [likeness(unit(live[i]), unit(live[j])) for i in range(len(live)) for j in range(i)]
        if pairs:
            users.append(mean(pairs))
    return mean(users)


def slow_contrastive(interests: Interests) -> float:
    users = []
    for live in live_of(interests):
        if len(live) > 1:
            match = [[math.exp(float(unit(a) @ unit(b)) / TAU) for b in live] for a in live]
            users.append(mean([-math.log(match[k][k] / sum(match[k])) for k in range(len(live))]))
    return mean(users)


def slow_routing(interests: Interests) -> float:
    assert interests.routing is not None
    users = []
    for C, mask in zip(interests.routing.numpy(), interests.mask.numpy(), strict=True):
        C = C[:, mask]
        C = C[: 1 + max(l for l in range(len(C)) if C[l].any())]
        centred = C - C.mean(0)
        users.append(float(np.linalg.norm(np.diag(centred.T @ centred)) ** 2))
    return mean(users)


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_each_regularizer_equals_its_slow_twin(seed: int) -> None:
    interests = some(seed)
    assert float(cosine(interests)) == pytest.approx(slow_over_pairs(interests, lambda a, b: float(a @ b)), abs=1e-9)
    of_coordinates = slow_over_pairs(interests, lambda a, b: float(np.abs(a * b).sum()))
    assert float(elementwise(interests)) == pytest.approx(of_coordinates, abs=1e-9)
    assert float(undropped(interests)) == pytest.approx(slow_contrastive(interests), abs=1e-9)
    assert float(routing(interests)) == pytest.approx(slow_routing(interests), abs=1e-9)


def test_cosine_is_the_diagnostic_of_the_same_name() -> None:
    interests = some(3, B=40)
    mask = interests.mask.numpy()
    per_user = mean_pairwise_cosine(gram(interests.vectors.numpy(), mask), mask)
    assert float(cosine(interests)) == pytest.approx(float(np.nanmean(per_user)))


def test_routing_is_the_variance_that_numpy_knows() -> None:
    C = torch.rand(1, 7, 3, dtype=torch.float64)
    covariance = np.cov(C[0].numpy().T, bias=True) * 7
    vectors = torch.ones(1, 3, 2, dtype=torch.float64)
    assert float(routing(holding(vectors, shares=C))) == pytest.approx(float((np.diag(covariance) ** 2).sum()))


def test_three_interests_by_hand() -> None:
    """(1, 0), (0, 2) and (3, 3): cosines 0, r, r with r = 1 / sqrt 2."""
    three, r = holding(torch.tensor([[[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]]])), 1 / math.sqrt(2)
    assert float(cosine(three)) == pytest.approx(2 * r / 3)
    assert float(elementwise(three)) == pytest.approx(2 * r / 3)
    outer = math.log((math.exp(1 / TAU) + 1 + math.exp(r / TAU)) / math.exp(1 / TAU))
    diagonal = math.log((math.exp(1 / TAU) + 2 * math.exp(r / TAU)) / math.exp(1 / TAU))
    assert float(undropped(three)) == pytest.approx((2 * outer + diagonal) / 3)


def test_three_behaviours_by_hand() -> None:
    """Interest 1 reads the first behaviour alone, interest 2 all alike; the fourth row is padding."""
    third = 1 / 3
    C = torch.tensor([[[1.0, third], [0.0, third], [0.0, third], [0.0, 0.0]]])
    expected = (4 / 9 + 1 / 9 + 1 / 9) ** 2 + 0
    assert float(routing(holding(torch.ones(1, 2, 5), shares=C))) == pytest.approx(expected)


def test_a_behaviour_that_no_interest_reads_is_a_behaviour_all_the_same() -> None:
    C = torch.tensor([[[0.5], [0.0], [0.5]]])
    assert float(routing(holding(torch.ones(1, 1, 2), shares=C))) == pytest.approx((1 / 36 + 1 / 9 + 1 / 36) ** 2)


@pytest.mark.parametrize("K", [2, 3, 4])
def test_identical_interests_are_the_worst_and_orthogonal_ones_as_documented(K: int) -> None:
    identical = holding(torch.tensor([1.0, -2.0, 0.5, 3.0]).expand(1, K, 4) * torch.arange(1, K + 1)[:, None])
    apart = holding(torch.eye(4)[None, :K] * 7)
    assert float(cosine(identical)) == pytest.approx(1)
    assert float(elementwise(identical)) == pytest.approx(1)
    assert float(undropped(identical)) == pytest.approx(math.log(K))
    assert float(cosine(apart)) == float(elementwise(apart)) == pytest.approx(0)
    assert float(undropped(apart)) == pytest.approx(math.log(1 + (K - 1) * math.exp(-1 / TAU)))


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_no_interests_are_outside_the_documented_range(seed: int) -> None:
    interests = some(seed, B=1)
    K = int(interests.n_live)
    assert -1 / max(K - 1, 1) - 1e-9 <= float(cosine(interests)) <= 1 + 1e-9
    assert -1e-9 <= float(elementwise(interests)) <= 1 + 1e-9
    assert 0 <= float(undropped(interests)) <= math.log(K) + 1e-9
    assert -1e-9 <= float(routing(interests)) <= K


def test_elementwise_wants_more_than_right_angles() -> None:
    crossed = holding(torch.tensor([[[1.0, 1.0], [1.0, -1.0]]]))
    assert float(cosine(crossed)) == pytest.approx(0)
    assert float(elementwise(crossed)) == pytest.approx(1)


@pytest.mark.parametrize("garbage", [0.0, 1e30, math.nan, math.inf])
@every
def test_what_dead_slots_hold_changes_neither_value_nor_gradient(
    regularizer: Callable[[Interests], Tensor], garbage: float
) -> None:
    def term_and_gradients(filler: float) -> list[Tensor]:
        interests = some(1, B=30)
        assert interests.routing is not None
        vectors = interests.vectors.masked_fill(~interests.mask[..., None], filler).requires_grad_()
        shares = interests.routing.masked_fill(~interests.mask[:, None], filler).requires_grad_()
        torch.manual_seed(0)
        term = regularizer(replace(interests, vectors=vectors, routing=shares))
        term.backward()  # type: ignore[no-untyped-call]
        return [term.detach(), *(t.grad for t in (vectors, shares) if t.grad is not None)]

    clean, disturbed = term_and_gradients(1.0), term_and_gradients(garbage)
    assert len(clean) == len(disturbed) == 2
    for one, other in zip(clean, disturbed, strict=True):
        assert torch.isfinite(one).all()
        assert torch.equal(one, other)
    assert clean[1].abs().max() > 0


@every_pairwise
def test_the_order_and_the_length_of_interests_change_nothing(regularizer: Callable[[Interests], Tensor]) -> None:
    interests = some(2, B=30)
    turned = holding(interests.vectors.flip(1) * 9, interests.mask.flip(1))
    torch.testing.assert_close(regularizer(turned), regularizer(interests), rtol=1e-12, atol=0)


def test_neither_the_order_of_behaviours_nor_more_padding_changes_the_routing_term() -> None:
    interests = holding(torch.ones(4, 3, 2), shares=torch.rand(4, 5, 3).softmax(1))
    assert interests.routing is not None
    for other in (interests.routing.flip(1), torch.nn.functional.pad(interests.routing, (0, 0, 0, 4))):
        torch.testing.assert_close(routing(replace(interests, routing=other)), routing(interests))


@every
@pytest.mark.parametrize("length", [0.0, 1e-30, 1e-9])
def test_gradients_stay_finite_next_to_vectors_without_direction(
    regularizer: Callable[[Interests], Tensor], length: float
) -> None:
    vectors = torch.tensor([[[1.0, 2.0], [length, 0.0], [0.0, length]], [[length, 0.0]] * 3])
    shares = torch.zeros(2, 2, 3)
    shares[:, 0] = 1
    vectors.requires_grad_(), shares.requires_grad_()
    term = regularizer(holding(vectors, shares=shares))
    term.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(term)
    for tensor in (vectors, shares):
        assert tensor.grad is None or (tensor.grad.abs() < 100).all()


@every_pairwise
def test_a_user_with_one_interest_is_left_out(regularizer: Callable[[Interests], Tensor]) -> None:
    several = holding(torch.tensor([[[1.0, 2.0], [2.0, 1.0]]]))
    lonely = holding(torch.tensor([[[1.0, 2.0], [9.0, 9.0]]]), torch.tensor([[True, False]]))
    both = holding(torch.cat([several.vectors, lonely.vectors]), torch.cat([several.mask, lonely.mask]))
    assert float(regularizer(lonely)) == 0
    torch.testing.assert_close(regularizer(both), regularizer(several))


@pytest.mark.parametrize("name", ["cosine", "contrastive", "elementwise"])
def test_a_step_down_the_gradient_pushes_interests_apart(name: str) -> None:
    vectors = torch.ones(1, 4, 8) + 0.1 * torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(0))
    before = float(cosine(holding(vectors)))
    vectors.requires_grad_()
    for _ in range(50):
        (slope,) = torch.autograd.grad(REGULARIZERS[name](holding(vectors)), vectors)
        vectors = (vectors - 0.5 * slope).detach().requires_grad_()
    assert float(cosine(holding(vectors.detach()))) < before - 0.2


def test_a_step_down_the_routing_term_spreads_the_attention() -> None:
    logits = (4 * torch.eye(6)[None, :, :3]).requires_grad_()  # each interest reads mostly one behaviour
    entropy = []
    for _ in range(60):
        attention = logits.softmax(1)
        entropy.append(float(-(attention * attention.log()).sum(1).mean().detach()))
        (slope,) = torch.autograd.grad(routing(holding(torch.ones(1, 3, 2), shares=attention)), logits)
        logits = (logits - 2 * slope).detach().requires_grad_()
    assert entropy[-1] > entropy[0] + 0.5
    assert entropy == sorted(entropy)


def test_dropout_follows_torchs_default_generator() -> None:
    interests = some(4, D=16)
    terms = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        terms.append(float(contrastive(interests)))
    assert terms[0] == terms[1] != terms[2]


def test_identical_interests_cannot_be_told_from_views_of_one() -> None:
    torch.manual_seed(0)
    identical = holding(torch.randn(2_000, 1, 32).expand(-1, 4, -1))
    assert float(contrastive(identical, temperature=1.0)) == pytest.approx(math.log(4), abs=5e-3)


def test_a_method_without_routing_is_told_which_have_one() -> None:
    with pytest.raises(BadInput, match="comirec_sa"):
        routing(holding(torch.ones(1, 2, 3)))
