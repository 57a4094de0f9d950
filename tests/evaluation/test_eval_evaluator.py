"""The whole evaluation against plain Python, and its laws."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import slow_twins
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from baselines.errors import BadInput
from baselines.ranker import Ranking
from experiments.evaluation.config import EvaluationConfig
from experiments.evaluation.context import PlantedAssignment
from experiments.evaluation.evaluator import evaluate, quick

CONFIG = EvaluationConfig(cutoffs=(1, 3, 8), head_share=0.25, mid_share=0.35, alpha=0.25, batch_size=3)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 9, 1000]), st.booleans())
def test_every_metric_equals_its_slow_twin(seed: int, n_levels: int, categories: bool) -> None:
    world = slow_twins.random_world(seed, n_levels=n_levels, categories=categories)
    found = evaluate(slow_twins.ScoreRanker(world), world.users(), world.context(), CONFIG)
    expected = slow_twins.per_user(world, CONFIG.cutoffs, CONFIG.head_share, CONFIG.mid_share, CONFIG.alpha)
    assert found.per_user.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found.per_user[name], values, atol=1e-12, err_msg=name)
    expected_overall = slow_twins.overall(world, CONFIG.cutoffs, CONFIG.head_share, CONFIG.mid_share)
    assert found.overall.keys() == expected_overall.keys()
    for name, value in expected_overall.items():
        assert found.overall[name] == pytest.approx(value, abs=1e-12), name
    for name, values in expected.items():
        defined = np.array(values)[~np.isnan(values)]
        if len(defined):
            assert found.means()[name] == pytest.approx(defined.mean(), abs=1e-12)
        else:
            assert name not in found.means()
        if len(defined) > 1:
            error = defined.std(ddof=1) / np.sqrt(len(defined))
            assert found.standard_errors()[name] == pytest.approx(error, abs=1e-12)


def test_accuracy_shares_and_distances_lie_between_0_and_1_whatever_the_ties() -> None:
    for seed in range(20):
        world = slow_twins.random_world(seed, n_levels=1 + seed % 3)
        found = evaluate(slow_twins.ScoreRanker(world), world.users(), world.context(), CONFIG)
        for name, values in found.per_user.items():
            if not name.startswith(("arp", "aclt", "novelty", "alpha_ndcg")):
                defined = values[~np.isnan(values)]
                assert (defined >= -1e-12).all() and (defined <= 1 + 1e-12).all(), name  # noqa: PT018


@pytest.mark.parametrize("max_history", [None, 6])
def test_results_do_not_depend_on_batch_size(max_history: int | None) -> None:
    world = slow_twins.random_world(1, n_users=30)
    ranker = slow_twins.ScoreRanker(world, interests=True, max_history=max_history)
    one, *others = (
        evaluate(ranker, world.users(), world.context(), dataclasses.replace(CONFIG, batch_size=size))
        for size in (1, 7, 1000)
    )
    for other in others:
        np.testing.assert_array_equal(one.items, other.items)
        np.testing.assert_array_equal(one.live_k, other.live_k)
        assert one.overall == other.overall
        for name, values in one.per_user.items():
            np.testing.assert_array_equal(values, other.per_user[name], err_msg=name)


def test_results_follow_the_order_of_the_users() -> None:
    world = slow_twins.random_world(2, n_users=12)
    ranker, context = slow_twins.ScoreRanker(world, interests=True), world.context()
    order = np.random.default_rng(0).permutation(12).tolist()
    straight = evaluate(ranker, world.users(), context, CONFIG)
    shuffled = evaluate(ranker, world.users(order), context, CONFIG)
    np.testing.assert_array_equal(shuffled.users, order)
    np.testing.assert_array_equal(straight.items[order], shuffled.items)
    for name, values in straight.per_user.items():
        np.testing.assert_array_equal(values[order], shuffled.per_user[name])
    assert straight.interests == shuffled.interests


@pytest.mark.parametrize("metric", ["recall@8", "ndcg@3:novel", "map@1", "hit_rate@8:tail75"])
def test_the_quick_metric_equals_the_full_evaluation(metric: str) -> None:
    world = slow_twins.random_world(3, n_users=20)
    ranker = slow_twins.ScoreRanker(world)
    full = evaluate(ranker, world.users(), world.context(), CONFIG).means()[metric]
    assert quick(ranker, world.users(), metric, world.context(), CONFIG) == pytest.approx(full, abs=1e-12)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("recal@50", "did you mean 'recall'"),
        ("recall", "lacks a cutoff"),
        ("recall@0", "lacks a cutoff"),
        ("recall@20:nvel", "did you mean 'novel'"),
        ("recall@20:tail80", "unknown subset"),
        ("gini@20", "cannot steer training"),
    ],
)
def test_a_metric_that_cannot_steer_training_is_refused(metric: str, message: str) -> None:
    world = slow_twins.random_world(3)
    with pytest.raises(BadInput, match=message):
        quick(slow_twins.ScoreRanker(world), world.users(), metric)


def test_metrics_that_are_not_asked_for_are_not_there() -> None:
    world = slow_twins.random_world(4)
    config = dataclasses.replace(CONFIG, metrics=("ild", "recall", "gini", "live_k"), cutoffs=(5,))
    found = evaluate(slow_twins.ScoreRanker(world, interests=True), world.users(), world.context(), config)
    families = {name.split("@")[0] for name in found.means()}
    assert families == {"ild", "recall", "gini", "live_k"}


def test_category_metrics_are_absent_without_categories_and_no_interests_leave_no_diagnostics() -> None:
    world = slow_twins.random_world(5, categories=False)
    found = evaluate(slow_twins.ScoreRanker(world), world.users(), world.context(), CONFIG)
    families = {name.split("@")[0] for name in found.definitions()}
    assert not families & {
        "div",
        "alpha_ndcg",
        "interest_coverage",
        "held_out_coverage",
        "exposure_deviation",
        "live_k",
        "effective_rank",
    }
    assert found.live_k is None
    assert found.interests is None


def test_every_metric_and_subset_that_was_measured_is_defined_in_one_line() -> None:
    world = slow_twins.random_world(6)
    found = evaluate(slow_twins.ScoreRanker(world, interests=True), world.users(), world.context(), CONFIG)
    definitions = found.definitions()
    for name in (*found.per_user, *found.overall):
        family, at, rest = name.partition("@")
        assert definitions[family + ("@n" if at else "")].endswith(".") or ":" in definitions[family + "@n" * bool(at)]
        subset = rest.partition(":")[2]
        assert not subset or definitions[f":{subset}"]
    assert all("\n" not in line and len(line) > 20 for line in definitions.values())


def test_users_are_grouped_by_activity_and_by_true_interests_or_category_entropy() -> None:
    world = slow_twins.random_world(7, n_users=30)
    ranker = slow_twins.ScoreRanker(world)
    real = evaluate(ranker, world.users(), world.context(), EvaluationConfig(cutoffs=(5,)))
    assert {group.by for group in real.groups} == {"history length", "category entropy"}
    rng = np.random.default_rng(0)
    of_each = [rng.integers(-1, 3, len(history) + 4) for history in world.histories]  # histories are beginnings
    true_k = np.array([len({*of[:-4].tolist()} - {-1}) for of in of_each])
    context = world.context(
        PlantedAssignment(np.concatenate(of_each).astype(np.int32), np.cumsum([0, *map(len, of_each)]))
    )
    planted = evaluate(ranker, world.users(), context, EvaluationConfig(cutoffs=(5,)))
    by_k = [group for group in planted.groups if group.by == "true interests"]
    assert [group.name for group in by_k] == [f"true interests {k}" for k in np.unique(true_k)]
    for group in by_k:
        inside = planted.per_user["recall@5"][true_k == group.low]
        assert group.n_users == len(inside)
        assert group.means["recall@5"] == pytest.approx(np.nanmean(inside))


@pytest.mark.parametrize("max_history", [None, 6])
def test_planted_interests_are_held_against_the_behaviours_that_the_method_read(max_history: int | None) -> None:
    """The method of `slow_twins` gives a behaviour to interest (item mod 3), where that lives for the user."""
    world = slow_twins.random_world(9, n_users=40)
    rng = np.random.default_rng(0)
    of_each = [rng.integers(-1, 3, len(history) + 2) for history in world.histories]  # histories are beginnings
    offsets = np.cumsum([0, *map(len, of_each)])
    planted = PlantedAssignment(np.concatenate(of_each).astype(np.int32), offsets)
    ranker = slow_twins.ScoreRanker(world, interests=True, max_history=max_history)
    context = dataclasses.replace(world.context(), planted=planted)
    order = rng.permutation(40).tolist()
    found = evaluate(ranker, world.users(order), context, CONFIG)
    expected = []
    for user in order:
        n = len(world.histories[user])
        live = {0, *[1] * (user % 2 == 0), *[2] * (user % 3 == 0)}
        pairs = [*zip(world.histories[user], of_each[user][:n].tolist(), strict=True)][-(max_history or n) :]
        pairs = [(item % 3, true) for item, true in pairs if item % 3 in live and true >= 0]
        given_to, true = zip(*pairs, strict=True) if len(pairs) > 1 else ((), ())
        expected.append(adjusted_rand_score(true, given_to) if true else np.nan)
    np.testing.assert_allclose(found.per_user["assignment_ari"], expected, atol=1e-12)
    n_read = [[*of_each[user][: len(world.histories[user])]][-(max_history or 99) :] for user in order]
    planted_k = np.array([len({*map(int, of)} - {-1}) for of in n_read])
    np.testing.assert_array_equal(found.per_user["planted_k"], planted_k)
    np.testing.assert_array_equal(found.per_user["k_error"], np.abs(found.per_user["held_k"] - planted_k))
    assert found.means()["assignment_ari"] == pytest.approx(np.nanmean(expected))
    assert "planted" in found.definitions()["assignment_ari"]


def test_without_planted_interests_nothing_is_said_of_them() -> None:
    world = slow_twins.random_world(9)
    found = evaluate(slow_twins.ScoreRanker(world, interests=True), world.users(), world.context(), CONFIG)
    assert "assignment_ari" not in found.per_user
    assert "assignment_ari" not in found.definitions()


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"cutoffs": (20, 10)}, "ascending"),
        ({"cutoffs": ()}, "cutoffs"),
        ({"batch_size": 0}, "batch_size"),
        ({"head_share": 0.7, "mid_share": 0.3}, "head_share"),
        ({"alpha": 1.5}, "alpha"),
        ({"metrics": ("recal",)}, "did you mean 'recall'"),
        ({"group_metrics": ("ndgc",)}, "did you mean 'ndcg'"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(knobs: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        EvaluationConfig(**knobs)  # type: ignore[arg-type]


def test_a_ranking_that_is_not_one_is_refused() -> None:
    world = slow_twins.random_world(8, n_users=1)

    class Broken(slow_twins.ScoreRanker):
        items, scores = [[1, 2]], [[2.0, 1.0]]

        def rank(self, batch: object, top_n: int) -> Ranking:  # noqa: ARG002
            return Ranking(np.array(self.items, np.int32), np.array(self.scores, np.float32))

    for items, scores, message in (
        ([[1, 2]], [[1.0, 2.0]], "descend"),
        ([[1, 2]], [[1.0, np.nan]], "NaN"),
        ([[1, 24]], [[2.0, 1.0]], "ids"),
        ([[3, 3]], [[1.0, 1.0]], "twice"),
        ([[3]], [[2.0]], "wider"),
    ):
        broken = Broken(world)
        broken.items, broken.scores = items, scores
        with pytest.raises(ValueError, match=message):
            evaluate(broken, world.users(), world.context(), EvaluationConfig(cutoffs=(1,)))
