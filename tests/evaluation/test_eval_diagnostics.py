"""Diagnostics of interests against plain loops over live vectors."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from baselines.interests import Interests
from experiments.evaluation.config import EvaluationConfig
from experiments.evaluation.diagnostics import DIAGNOSTICS, NOTES, InterestSummary, diagnose


def random_interests(seed: int, B: int = 9, K: int = 5, L: int = 6) -> Interests:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(B, K, generator=generator) < 0.6
    mask[:, 0] = True
    assignment = torch.rand(B, L, K, generator=generator) * mask[:, None]
    assignment = assignment / assignment.sum(-1, keepdim=True)
    assignment[0] = 0  # all noise
    log_weight = torch.randn(B, K, generator=generator)
    vectors = torch.randn(B, K, 4, generator=generator)
    return Interests(vectors, mask, log_weight, assignment)


def test_every_diagnostic_equals_its_slow_twin() -> None:
    interests = random_interests(0)
    found = diagnose(interests)
    for b in range(len(interests.mask)):
        live = interests.mask[b]
        vectors = interests.vectors[b, live].double().numpy()
        units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        cosines = [float(x @ y) for x, y in itertools.combinations(units, 2)]
        mass = interests.assignment[b][:, live].sum(0).double().numpy()
        shares = mass / mass.sum() if mass.sum() else torch.softmax(interests.log_weight[b, live].double(), 0).numpy()
        assert found["live_k"][b] == live.sum()
        expected = np.mean(cosines) if cosines else np.nan
        assert found["mean_pairwise_cosine"][b] == pytest.approx(expected, nan_ok=True, abs=1e-6)
        assert found["effective_rank"][b] == pytest.approx(np.exp(entropy(np.linalg.svd(vectors)[1])), rel=1e-6)
        assert found["effective_k"][b] == pytest.approx(np.exp(entropy(shares)), rel=1e-5)
        assert found["dominant_share"][b] == pytest.approx(shares.max(), rel=1e-5)
        assert found["held_k"][b] == (mass > 0).sum()


def test_what_a_method_notes_of_users_is_told_with_the_diagnostics() -> None:
    noted = replace(random_interests(0), notes={"noise_share": torch.arange(9) / 9})
    found = diagnose(noted)
    np.testing.assert_allclose(found.pop("noise_share"), np.arange(9) / 9)
    assert found.keys() == DIAGNOSTICS.keys()
    assert all(len(text) > 20 and text.endswith(".") for text in NOTES.values())


def test_agreement_with_planted_k_counts_interests_that_hold_a_behaviour() -> None:
    """Three live interests, of which the last is the whole history and holds none."""
    assignment = torch.tensor([[[1.0, 0, 0], [0, 1, 0], [0, 0, 0]], [[1, 0, 0], [1, 0, 0], [1, 0, 0]]])
    mask = torch.ones(2, 3, dtype=torch.bool)
    interests = Interests(torch.randn(2, 3, 4), mask, torch.zeros(2, 3), assignment)
    summary = InterestSummary.of(diagnose(interests, np.array([[5, 7, -1], [1, 2, 3]])), EvaluationConfig())
    assert summary.k_found == 0.5
    assert summary.k_correlation == pytest.approx(-1)
    unknown = InterestSummary.of(diagnose(interests), EvaluationConfig())
    assert unknown.k_found is unknown.k_correlation is None


def test_garbage_in_dead_slots_changes_no_diagnostic() -> None:
    clean = random_interests(1)
    dead = ~clean.mask
    dirty = Interests(
        clean.vectors.masked_fill(dead[..., None], torch.nan),
        clean.mask,
        clean.log_weight.masked_fill(dead, torch.inf),
        clean.assignment.masked_fill(dead[:, None], torch.nan),
    )
    planted = np.arange(54, dtype=np.int32).reshape(9, 6) % 4
    for name, values in diagnose(clean, planted).items():
        np.testing.assert_array_equal(values, diagnose(dirty, planted)[name], err_msg=name)


def test_the_order_of_interests_changes_no_diagnostic() -> None:
    one = random_interests(2)
    order = torch.tensor([3, 0, 4, 2, 1])
    other = Interests(one.vectors[:, order], one.mask[:, order], one.log_weight[:, order], one.assignment[:, :, order])
    planted = np.arange(54, dtype=np.int32).reshape(9, 6) % 4
    for name, values in diagnose(one, planted).items():
        np.testing.assert_allclose(values, diagnose(other, planted)[name], rtol=1e-6, err_msg=name)


@pytest.mark.parametrize(("spread", "collapsed"), [(0.0, True), (0.01, True), (10.0, False)])
def test_nearly_parallel_interests_raise_the_collapse_flag(spread: float, collapsed: bool) -> None:
    noise = torch.randn(50, 4, 8, generator=torch.Generator().manual_seed(0))
    vectors = torch.ones(50, 4, 8) + spread * noise
    interests = Interests(vectors, torch.ones(50, 4, dtype=torch.bool), torch.zeros(50, 4), torch.zeros(50, 3, 4))
    summary = InterestSummary.of(diagnose(interests), EvaluationConfig())
    assert summary.collapsed is collapsed
    assert summary.live_k_histogram == {4: 50}


def test_opposite_interests_are_a_collapse_that_the_cosine_does_not_see() -> None:
    vectors = torch.tensor([[[1.0, 2.0], [-1.0, -2.0]]])
    interests = Interests(vectors, torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 2), torch.zeros(1, 3, 2))
    found = diagnose(interests)
    assert found["mean_pairwise_cosine"][0] == pytest.approx(-1)
    assert InterestSummary.of(found, EvaluationConfig()).collapsed


def test_a_method_with_one_interest_for_everybody_cannot_collapse() -> None:
    interests = Interests(
        torch.ones(3, 1, 2), torch.ones(3, 1, dtype=torch.bool), torch.zeros(3, 1), torch.ones(3, 4, 1)
    )
    summary = InterestSummary.of(diagnose(interests), EvaluationConfig())
    assert summary == InterestSummary(live_k_histogram={1: 3}, collapsed_share=None, collapsed=False)
