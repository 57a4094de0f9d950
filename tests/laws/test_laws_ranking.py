"""A ranking is a matter between a user's history and the items, for every registered method."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from under_law import assert_same, every_method, every_trained_method, odd_and_usual_histories, pad

from baselines.ranker import Ranking
from baselines.recommender import Recommender
from experiments.config import RunConfig
from experiments.data.dataset import Dataset
from experiments.evaluation.config import EvaluationConfig
from experiments.evaluation.context import EvaluationContext
from experiments.evaluation.evaluator import evaluate
from experiments.methods import AnyMethod, load_method, save_method

Fitted = Callable[[str], AnyMethod]
TOP_N = 20


def histories_for(method: AnyMethod, dataset: Dataset) -> list[list[int]]:
    return odd_and_usual_histories(dataset, method.max_history or 12)


@every_method
@pytest.mark.parametrize("more", [-100, 0, 17])
def test_a_ranking_keeps_its_contract(name: str, more: int, fitted: Fitted, dataset: Dataset) -> None:
    method, top_n = fitted(name), dataset.n_items + more
    ranking = method.rank(pad(histories_for(method, dataset)), top_n)
    assert ranking.items.shape == (len(histories_for(method, dataset)), top_n)
    assert ranking.items.dtype == np.int32
    assert ranking.scores.dtype == np.float32
    np.testing.assert_array_equal(ranking.items == 0, np.isneginf(ranking.scores))
    for items, scores in zip(ranking.items.tolist(), ranking.scores.tolist(), strict=True):
        listed = [item for item in items if item]
        assert len(set(listed)) == len(listed)
        assert all(1 <= item <= dataset.n_items for item in listed)
        keys = [(-score, item) for item, score in zip(items, scores, strict=True) if item]
        assert keys == sorted(keys), "descending scores, ties by ascending id"
        assert 0 not in items[: len(listed)], "nothing is recommended after the end of the list"


@every_method
def test_a_shorter_list_is_the_beginning_of_a_longer_one(name: str, fitted: Fitted, dataset: Dataset) -> None:
    method = fitted(name)
    batch = pad(histories_for(method, dataset))
    long = method.rank(batch, 70)
    for n in (1, 2, 33):
        assert_same(method.rank(batch, n), Ranking(long.items[:, :n].copy(), long.scores[:, :n].copy()))


@every_method
def test_a_user_alone_is_ranked_as_in_any_company(name: str, fitted: Fitted, dataset: Dataset) -> None:
    method = fitted(name)
    histories = histories_for(method, dataset)
    together = method.rank(pad(histories), TOP_N)
    for size in (1, 7):
        parts = [method.rank(pad(histories[i : i + size]), TOP_N) for i in range(0, len(histories), size)]
        assert_same(joined(parts), together)
    order = np.random.default_rng(0).permutation(len(histories))
    shuffled = method.rank(pad([histories[i] for i in order]), TOP_N)
    assert_same(shuffled, Ranking(together.items[order], together.scores[order]))
    crowd = [*histories, *([histories[9][::-1]] * 300)]
    in_a_crowd = method.rank(pad(crowd), TOP_N)
    assert_same(Ranking(in_a_crowd.items[: len(histories)], in_a_crowd.scores[: len(histories)]), together)


@every_method
def test_padding_changes_nothing_however_wide_and_whatever_it_holds(
    name: str, fitted: Fitted, dataset: Dataset
) -> None:
    method = fitted(name)
    histories = histories_for(method, dataset)
    plain = method.rank(pad(histories), TOP_N)
    for width, filler in ((40, 0), (None, 7), (64, dataset.n_items)):
        assert_same(method.rank(pad(histories, width, filler), TOP_N), plain)


@every_method
def test_only_the_latest_behaviours_of_a_long_history_are_read(name: str, fitted: Fitted, dataset: Dataset) -> None:
    method = fitted(name)
    if method.max_history is None:
        pytest.skip("reads all of a history")
    histories = histories_for(method, dataset)
    latest = [history[-method.max_history :] for history in histories]
    assert_same(method.rank(pad(histories), TOP_N), method.rank(pad(latest), TOP_N))


@every_trained_method
def test_neither_memory_nor_threads_change_a_bit(
    name: str, fitted: Fitted, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = fitted(name)
    assert isinstance(method, Recommender)
    batch = pad(histories_for(method, dataset))
    usual = method.rank(batch, TOP_N)
    try:
        for budget_mb, n_threads in ((1e-6, 1), (0.01, 2), (1000.0, 3)):
            torch.set_num_threads(n_threads)
            monkeypatch.setattr(method, "scoring", replaced(method, memory_budget_mb=budget_mb))
            assert_same(method.rank(batch, TOP_N), usual)
    finally:
        torch.set_num_threads(1)


@every_method
def test_the_evaluation_does_not_depend_on_the_batch_size(
    name: str, fitted: Fitted, dataset: Dataset, context: EvaluationContext
) -> None:
    one, *others = (
        evaluate(fitted(name), dataset.test, context, EvaluationConfig(cutoffs=(5, 20), batch_size=size))
        for size in (1000, 1, 11)
    )
    assert {"recall@20", "ndcg@5"} < one.means().keys()
    for other in others:
        np.testing.assert_array_equal(one.items, other.items)
        assert one.means() == other.means()
        for metric, values in one.per_user.items():
            np.testing.assert_array_equal(values, other.per_user[metric], err_msg=metric)


@every_method
def test_a_saved_method_ranks_as_before_when_it_is_loaded(
    name: str, fitted: Fitted, dataset: Dataset, configure: Callable[..., RunConfig], tmp_path: Path
) -> None:
    method = fitted(name)
    batch = pad(histories_for(method, dataset))
    save_method(method, tmp_path)
    loaded = load_method(configure(name), dataset.train, tmp_path)
    assert_same(loaded.rank(batch, TOP_N), method.rank(batch, TOP_N))


def joined(parts: list[Ranking]) -> Ranking:
    return Ranking(np.concatenate([p.items for p in parts]), np.concatenate([p.scores for p in parts]))


def replaced(method: Recommender, **knobs: float) -> object:
    import dataclasses

    return dataclasses.replace(method.scoring, **knobs)  # type: ignore[arg-type]
