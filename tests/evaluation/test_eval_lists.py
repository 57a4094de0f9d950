"""Long tail, diversity and categories: what the formulas promise at their extremes."""

from __future__ import annotations

import numpy as np
import pytest
import slow_twins
from sklearn.metrics.pairwise import cosine_distances

from experiments.evaluation import popularity
from experiments.evaluation.alpha_ndcg import alpha_ndcg
from experiments.evaluation.categories import category_entropy, exposure_deviation, interest_coverage
from experiments.evaluation.context import EvaluationContext, Segments
from experiments.evaluation.diversity import div, ild
from experiments.evaluation.ranks import TargetRanks


@pytest.fixture
def context() -> EvaluationContext:
    return slow_twins.random_world(0).context()


def lists_of(*rows: list[int]) -> np.ndarray:
    width = max(map(len, rows))
    return np.array([row + [0] * (width - len(row)) for row in rows], np.int32)


def test_intra_list_distance_equals_scikit_learn_on_dense_vectors(context: EvaluationContext) -> None:
    dense = np.zeros((context.n_items + 1, len(context.train)))
    dense[context.train.items, context.train.users] = 1
    rng = np.random.default_rng(0)
    lists = np.array([rng.permutation(context.n_items)[:10] + 1 for _ in range(8)], np.int32)
    expected = [cosine_distances(dense[row])[np.triu_indices(10, 1)].mean() for row in lists]
    np.testing.assert_allclose(ild(lists, context.item_users, np.array([10]))[0], expected)


def test_a_list_of_one_item_has_no_distance_and_an_empty_list_no_mean(context: EvaluationContext) -> None:
    lists, n = lists_of([3], [0]), np.array([5])
    lists = np.pad(lists, ((0, 0), (0, 4)))
    assert context.categories is not None
    assert np.isnan(ild(lists, context.item_users, n)).all()
    assert np.isnan(div(lists, context.categories, n)).all()
    np.testing.assert_array_equal(np.isnan(popularity.arp(lists, context.popularity, n)), [[False, True]])
    np.testing.assert_array_equal(popularity.aclt(lists, np.arange(context.n_items + 1) > 0, n), [[1, 0]])


def test_head_mid_and_tail_divide_the_catalogue_by_popularity(context: EvaluationContext) -> None:
    segments = Segments.of(context.popularity, 0.2, 0.3)
    head, mid, rest, tail = segments.members.values()
    assert list(segments.members) == ["head20", "mid30", "tail50", "tail80"]
    assert segments.tail == "tail80"
    np.testing.assert_array_equal(head[1:].astype(int) + mid[1:] + rest[1:], 1)
    np.testing.assert_array_equal(tail, mid | rest)
    assert not (head | tail)[0]
    assert context.popularity[head].min() >= context.popularity[mid].max()
    assert context.popularity[mid].min() >= context.popularity[rest].max()


def test_popularity_and_owners_count_training_only() -> None:
    context = slow_twins.World(3, [[1, 1, 2], [1]], [[3]], [[3]], np.zeros((1, 4)), [()] * 4).context()
    np.testing.assert_array_equal(context.popularity, [0, 3, 1, 0])
    np.testing.assert_array_equal(context.item_users.lengths, [0, 2, 1, 0])
    np.testing.assert_allclose(context.self_information, [1, 0, 1, 1])


def test_gini_is_0_for_equal_exposure_and_nearly_1_for_one_item() -> None:
    cutoffs = np.array([2])
    equal = popularity.exposures(lists_of([1, 2], [3, 4]), 4, cutoffs)
    one = popularity.exposures(lists_of([1, 0], [1, 0]), 1000, cutoffs)
    assert popularity.gini(equal)[0] == 0
    assert popularity.gini(one)[0] == pytest.approx(0.999)
    assert np.isnan(popularity.gini(popularity.exposures(lists_of([0, 0]), 5, cutoffs))[0])


def test_div_with_one_category_an_item_is_the_share_of_unlike_pairs() -> None:
    names = [(), ("a",), ("a",), ("b",), ("c",)]
    context = slow_twins.World(4, [[1]], [[1]], [[1]], np.zeros((1, 5)), names).context()
    assert context.categories is not None
    assert div(lists_of([1, 2, 3, 4]), context.categories, np.array([4]))[0, 0] == pytest.approx(5 / 6)


def test_alpha_ndcg_prefers_targets_of_different_categories() -> None:
    names = [(), ("a",), ("a",), ("b",)]
    world = slow_twins.World(3, [[1]], [[1]], [[1, 2, 3]] * 2, np.zeros((2, 4)), names)
    targets = TargetRanks.unranked(world.users().histories, slow_twins.sequences(world.targets, 3))
    categories = world.context().categories
    assert categories is not None
    same, different = alpha_ndcg(lists_of([1, 2], [1, 3]), targets, categories, 0.5, np.array([2]))[0]
    assert same < different == pytest.approx(1)
    indifferent = alpha_ndcg(lists_of([1, 2], [1, 3]), targets, categories, 0.0, np.array([2]))[0]
    assert indifferent[0] == pytest.approx(indifferent[1])


def test_a_list_like_the_history_covers_every_interest_and_does_not_deviate() -> None:
    world = slow_twins.random_world(3)
    world.histories = [list(range(1, 11))] * 2
    categories = world.context().categories
    assert categories is not None
    histories = slow_twins.sequences(world.histories, world.n_items)
    known = [item for item in range(1, world.n_items + 1) if world.categories[item]]
    strange = [item for item in known if not set(world.categories[item]) & {"c0"}]
    lists, n = lists_of(list(range(10, 0, -1)), strange[:10]), np.array([10])
    assert interest_coverage(lists, histories, categories, n)[0, 0] == 1
    assert exposure_deviation(lists, histories, categories, n)[0, 0] == pytest.approx(0, abs=1e-12)
    assert exposure_deviation(lists, histories, categories, n)[0, 1] > 0


def test_category_entropy_equals_its_slow_twin() -> None:
    world = slow_twins.random_world(4, n_users=25)
    categories = world.context().categories
    assert categories is not None
    found = category_entropy(world.users().histories, categories)
    for user, history in enumerate(world.histories):
        p = np.array([*slow_twins.distribution(history, world.categories).values()])
        expected = -(p * np.log(p)).sum() if len(p) else np.nan
        assert found[user] == pytest.approx(expected, nan_ok=True, abs=1e-12)
