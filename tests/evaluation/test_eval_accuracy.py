"""Ranks against scipy, accuracy against scikit-learn, and the rules that no library states."""

from __future__ import annotations

import numpy as np
import pytest
import slow_twins
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, dcg_score, ndcg_score

from baselines.ranker import Ranking
from experiments.evaluation.accuracy import accuracy
from experiments.evaluation.ranks import TargetRanks

N_ITEMS = 17


def placed(scores: np.ndarray, n: int, targets: list[list[int]] | None = None) -> TargetRanks:
    """Rank `scores` [U, N + 1] through lists of 2n places; every item is a target unless told otherwise."""
    every = [list(range(1, scores.shape[1]))] * len(scores)
    ranks = TargetRanks.unranked(*(slow_twins.sequences(targets or every, scores.shape[1] - 1) for _ in range(2)))
    order = np.argsort(-scores[:, 1:], axis=1, kind="stable")[:, : 2 * n].astype(np.int32) + 1
    ranking = Ranking(order, np.take_along_axis(scores, order, 1).astype(np.float32))
    ranks.place(np.arange(len(scores)), ranking, n)
    return ranks


def measured(ranks: TargetRanks, *cutoffs: int) -> dict[str, np.ndarray]:
    everything = np.ones((1, len(ranks.items)), bool)
    return {k: v[:, 0] for k, v in accuracy(ranks.ranks, ranks.offsets, everything, np.array(cutoffs)).items()}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.integers(1, 25))
def test_average_ranks_up_to_n_are_exact_from_a_list_of_2n_places(seed: int, n_levels: int, n: int) -> None:
    scores = np.random.default_rng(seed).integers(0, n_levels, (3, N_ITEMS + 1)).astype(float)
    expected = np.array([rankdata(-row[1:], method="average") for row in scores])
    expected[expected > n] = np.inf
    np.testing.assert_array_equal(placed(scores, n).ranks.reshape(3, N_ITEMS), expected)


def test_targets_are_a_set_and_novel_where_the_full_history_lacks_them() -> None:
    histories = slow_twins.sequences([[1, 2, 1], [4]], 9)
    targets = slow_twins.sequences([[3, 2, 3, 3], [1, 2]], 9)
    ranks = TargetRanks.unranked(histories, targets)
    np.testing.assert_array_equal(ranks.items, [3, 2, 1, 2])
    np.testing.assert_array_equal(ranks.offsets, [0, 2, 4])
    np.testing.assert_array_equal(ranks.novel, [True, False, True, True])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_untied_ndcg_and_average_precision_equal_scikit_learn(seed: int, n_targets: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.permutation(N_ITEMS + 1)[None].astype(float)
    targets = (rng.permutation(N_ITEMS)[:n_targets] + 1).tolist()
    relevant = np.isin(np.arange(1, N_ITEMS + 1), targets)
    found = measured(placed(scores, N_ITEMS, [targets]), 3, 8, N_ITEMS)
    for q, n in enumerate((3, 8, N_ITEMS)):
        assert found["ndcg"][q, 0] == pytest.approx(ndcg_score(relevant[None], scores[:, 1:], k=n))
    assert found["map"][-1, 0] == pytest.approx(average_precision_score(relevant, scores[0, 1:]))


def test_ndcg_hits_is_the_dcg_over_that_of_a_list_of_the_hits_alone() -> None:
    rng = np.random.default_rng(0)
    scores = rng.permutation(N_ITEMS + 1)[None].astype(float)
    targets = [1, 5, 9]
    found = measured(placed(scores, 8, [targets]), 8)
    relevant = np.isin(np.arange(1, N_ITEMS + 1), targets)
    n_hits = round(found["recall"][0, 0] * 3)
    ideal = dcg_score(np.arange(N_ITEMS)[None] < n_hits, -np.arange(N_ITEMS)[None])
    assert found["ndcg_hits"][0, 0] == pytest.approx(dcg_score(relevant[None], scores[:, 1:], k=8) / ideal)


def test_a_perfect_list_scores_1_even_if_all_its_targets_are_tied() -> None:
    scores = np.zeros((1, N_ITEMS + 1))
    scores[0, [2, 4, 6, 8]] = 1
    found = measured(placed(scores, 8, [[2, 4, 6, 8]]), 8)
    assert found["recall"][0, 0] == found["map"][0, 0] == found["hit_rate"][0, 0] == 1
    assert found["ndcg"][0, 0] == pytest.approx(4 / np.log2(1 + 2.5) / sum(1 / np.log2(np.arange(2, 6))))
    assert found["ndcg"][0, 0] < 1  # an average rank hides which of the tied comes first; the order is not a merit


def test_a_method_that_scores_all_items_alike_gets_no_hits_at_small_n() -> None:
    """Where ties are broken by id, frequency-ordered ids would make a constant score as good as popularity."""
    found = measured(placed(np.ones((1, N_ITEMS + 1)), 8, [[1, 2, 3]]), 8)
    assert found["recall"][0, 0] == 0


def test_recall_and_hit_rate_never_fall_as_n_grows() -> None:
    scores = np.random.default_rng(1).integers(0, 6, (40, N_ITEMS + 1)).astype(float)
    targets = [[1 + u % 7, 9, 12] for u in range(40)]
    found = measured(placed(scores, 12, targets), 1, 2, 5, 9, 12)
    for family in ("recall", "hit_rate", "mrr"):
        assert (np.diff(found[family], axis=0) >= 0).all()


def test_a_user_without_a_target_in_the_subset_has_no_value() -> None:
    ranks = placed(np.arange(N_ITEMS + 1.0)[None].repeat(2, 0), 3, [[17], [1]])
    values = accuracy(ranks.ranks, ranks.offsets, np.array([[True, False]]), np.array([3]))
    for family in values.values():
        assert np.isfinite(family[0, 0, 0])
        assert np.isnan(family[0, 0, 1])
