"""Tests of significance against scipy, plain loops, and their own promises."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.errors import BadInput
from experiments.evaluation import significance
from experiments.evaluation.significance import holm, percentile_interval, resampled_means, sign_flip_test

P_VALUES = st.lists(st.floats(0, 1), min_size=0, max_size=8)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_few_users_are_enumerated_exactly(differences: list[int]) -> None:
    d = np.array(differences, float)
    sums = [abs(np.dot(signs, d)) for signs in itertools.product((1, -1), repeat=len(d))]
    expected = np.mean(np.array(sums) >= abs(d.sum()))
    assert sign_flip_test(d, 10_000, rng()) == pytest.approx(expected)


def test_the_exact_test_equals_scipy() -> None:
    ours, theirs = rng(1).random(10), rng(2).random(10)
    known = scipy.stats.permutation_test(
        (ours, theirs), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples", vectorized=True
    )
    assert sign_flip_test(ours - theirs, 2**10, rng()) == pytest.approx(known.pvalue)


def test_drawn_flips_agree_with_scipy_within_their_own_error() -> None:
    d = rng(3).normal(0.12, 1, 200)
    known = scipy.stats.permutation_test(
        (d,), np.mean, permutation_type="samples", n_resamples=20_000, rng=rng(4), vectorized=True
    )
    p = sign_flip_test(d, 20_000, rng(5))
    assert abs(p - known.pvalue) < 6 * np.sqrt(p * (1 - p) / 20_000)


@pytest.mark.parametrize("more", [0, 40, 90, 200])
def test_drawn_flips_of_equal_differences_are_the_sign_test(more: int) -> None:
    d = np.repeat([1.0, -1.0], [1000 + more, 1003])  # their number is no multiple of eight
    known = scipy.stats.binomtest(1000 + more, len(d)).pvalue
    assert abs(sign_flip_test(d, 20_000, rng(8)) - known) < 1e-4 + 5 * np.sqrt(known * (1 - known) / 20_000)


def test_users_without_a_value_or_a_difference_change_nothing() -> None:
    d = rng(6).normal(0.2, 1, 60)
    padded = np.concatenate([[np.nan, 0, 0], d, [0, np.nan]])
    assert sign_flip_test(d, 999, rng()) == sign_flip_test(padded, 999, rng())
    assert sign_flip_test(np.array([0, np.nan]), 999, rng()) == 1


def test_the_test_is_two_sided_and_symmetric() -> None:
    d = rng(7).normal(0.3, 1, 80)
    assert sign_flip_test(d, 999, rng()) == sign_flip_test(-d, 999, rng())


def test_p_is_never_below_one_in_the_flips_drawn_plus_one() -> None:
    assert sign_flip_test(np.ones(100), 999, rng()) == 1 / 1000


def test_false_alarms_are_no_more_frequent_than_the_level() -> None:
    alarms = [sign_flip_test(rng(seed).normal(size=30), 199, rng(seed)) <= 0.05 for seed in range(400)]
    assert np.mean(alarms) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_memory_chunks_do_not_change_the_exact_test(monkeypatch: pytest.MonkeyPatch) -> None:
    d = rng(8).normal(0.3, 1, 11)
    whole = sign_flip_test(d, 10_000, rng())
    monkeypatch.setattr(significance, "_CELLS", 100)
    assert sign_flip_test(d, 10_000, rng()) == whole


@pytest.mark.parametrize("kind", ["skewed", "of few values"])
def test_the_interval_over_users_agrees_with_scipy(kind: str) -> None:
    values = rng(9).exponential(size=300) if kind == "skewed" else rng(9).integers(0, 3, 3000) / 2
    known = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", vectorized=True, batch=500, rng=rng(10)
    ).confidence_interval
    low, high = percentile_interval(resampled_means(np.append(values, np.nan)[:, None], 20_000))
    assert (low, high) == pytest.approx(known, abs=0.04 * (high - low))


def test_seeds_are_drawn_as_well_as_users() -> None:
    """Of users who are all alike what is left is the luck of the seeds, drawn S at a time."""
    of_seeds = rng(3).normal(size=5)
    found = resampled_means(np.tile(of_seeds, (40, 1)), 20_000)
    assert found.mean() == pytest.approx(of_seeds.mean(), abs=0.02)
    assert found.std() == pytest.approx(of_seeds.std() / 5**0.5, rel=0.03)


def test_arms_with_the_same_users_and_seeds_are_resampled_alike() -> None:
    one = rng(4).normal(size=(50, 3))
    np.testing.assert_allclose(resampled_means(one + 0.25, 500) - resampled_means(one, 500), 0.25)
    users = rng(5).normal(size=(50, 1))
    assert np.ptp(resampled_means(users + one, 500) - resampled_means(one, 500) - resampled_means(users, 500)) < 1e-9


def test_memory_chunks_do_not_change_the_means(monkeypatch: pytest.MonkeyPatch) -> None:
    values = rng(6).normal(size=(30, 2))
    whole = resampled_means(values, 200)
    monkeypatch.setattr(significance, "_CELLS", 100)
    np.testing.assert_allclose(resampled_means(values, 200), whole)


def test_a_higher_level_gives_a_wider_interval() -> None:
    means = rng(12).normal(size=2_000)
    low, high = percentile_interval(means, level=0.99)
    inner_low, inner_high = percentile_interval(means, level=0.8)
    assert low < inner_low < inner_high < high
    with pytest.raises(BadInput, match="level"):
        percentile_interval(means, level=1.0)


@settings(max_examples=50, deadline=None)
@given(P_VALUES)
def test_holm_equals_its_definition(p_values: list[float]) -> None:
    adjusted = holm(np.array(p_values))
    for p, found in zip(p_values, adjusted, strict=True):
        steps = sorted(p_values)
        upto = max(i for i, step in enumerate(steps) if step == p)
        expected = min(1, max((len(steps) - i) * steps[i] for i in range(upto + 1)))
        assert found == pytest.approx(expected)


@settings(max_examples=50, deadline=None)
@given(P_VALUES)
def test_holm_lies_between_no_correction_and_bonferroni(p_values: list[float]) -> None:
    p = np.array(p_values)
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(1, p * max(len(p), 1) + 1e-12)).all()


@pytest.mark.parametrize("n", [0, -5])
def test_no_repetitions_are_refused(n: int) -> None:
    with pytest.raises(BadInput, match="n_permutations"):
        sign_flip_test(np.ones(3), n, rng())
    with pytest.raises(BadInput, match="n_resamples"):
        resampled_means(np.ones((3, 1)), n)
