"""The recovery of planted interests against scikit-learn's, and what it must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from experiments.data.dataset import Dataset
from experiments.evaluation.context import EvaluationContext
from experiments.evaluation.recovery import assignment_ari

Labels = NDArray[np.int64]


def random_labels(seed: int, n_ours: int, n_theirs: int, B: int = 8, L: int = 9) -> tuple[Labels, Labels]:
    """Labels of which some are -1; the users have between no and L behaviours left."""
    rng = np.random.default_rng(seed)
    assigned, planted = rng.integers(0, n_ours, (B, L)), rng.integers(0, n_theirs, (B, L))
    kept = rng.random((B, L)) < rng.random((B, 1))
    return np.where(kept, assigned, -1), np.where(rng.random((B, L)) < 0.9, 10 * planted, -1)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 6))
def test_it_is_the_index_of_scikit_learn_over_the_behaviours_with_an_interest(
    seed: int, n_ours: int, n_theirs: int
) -> None:
    assigned, planted = random_labels(seed, n_ours, n_theirs)
    found = assignment_ari(assigned, planted)
    for value, ours, theirs in zip(found, assigned, planted, strict=True):
        known = (ours >= 0) & (theirs >= 0)
        expected = adjusted_rand_score(theirs[known], ours[known]) if known.sum() > 1 else np.nan
        assert value == pytest.approx(expected, nan_ok=True, abs=1e-12)


def test_the_names_of_interests_and_the_neighbours_of_a_user_change_nothing() -> None:
    assigned, planted = random_labels(0, 4, 4)
    found = assignment_ari(assigned, planted)
    renamed = np.where(assigned >= 0, np.array([7, 2, 40, 3])[assigned], -1)
    np.testing.assert_array_equal(assignment_ari(renamed, planted), found)
    np.testing.assert_array_equal(assignment_ari(planted, assigned), found)
    for user in range(len(assigned)):
        np.testing.assert_array_equal(assignment_ari(assigned[[user]], planted[[user]]), found[[user]])


def test_without_any_behaviour_of_an_interest_no_user_has_a_value() -> None:
    nothing = np.full((2, 3), -1)
    assert np.isnan(assignment_ari(nothing, np.zeros((2, 3), np.int64))).all()


def test_chance_is_worth_nothing_and_the_truth_is_worth_1() -> None:
    rng = np.random.default_rng(0)
    planted = rng.integers(0, 3, (2000, 30))
    assert abs(assignment_ari(rng.integers(0, 4, planted.shape), planted).mean()) < 0.01
    np.testing.assert_array_equal(assignment_ari(planted, planted), np.ones(2000))


def test_the_planted_interests_of_a_history_are_those_that_the_data_tell(
    dataset: Dataset, context: EvaluationContext
) -> None:
    part = dataset.test
    lengths, told = part.histories.lengths, dataset.history_interests(part)
    assert context.planted is not None
    wide = context.planted.of_histories(part.users, lengths, int(lengths.max()))
    np.testing.assert_array_equal(wide[np.arange(wide.shape[1]) < lengths[:, None]], told)
    narrow = context.planted.of_histories(part.users, lengths, 4)
    for user, (row, n) in enumerate(zip(narrow, lengths, strict=True)):
        latest = told[part.histories.offsets[user] : part.histories.offsets[user + 1]][-4:]
        assert row.tolist() == [*latest.tolist(), *[-1] * (4 - min(4, n))]
