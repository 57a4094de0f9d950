"""Laws of every method without a gradient, and the worked examples of the two simplest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ragged import batch, sequences
from safetensors.numpy import load_file, save_file

from baselines.batch import Batch
from baselines.errors import BadInput
from baselines.heuristics.behaviours import Behaviours
from baselines.heuristics.ease import EASE
from baselines.heuristics.heuristic import Heuristic
from baselines.heuristics.history_repeat import HistoryRepeat
from baselines.heuristics.item_knn import ItemKNN, RepeatThenItemKNN
from baselines.heuristics.most_popular import MostPopular
from baselines.ranker import Ranking

METHODS: list[Callable[[], Heuristic]] = [MostPopular, HistoryRepeat, ItemKNN, RepeatThenItemKNN, EASE]
every_method = pytest.mark.parametrize("method", METHODS)


def random_users(n_users: int, n_items: int, seed: int) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    popularity = 1.0 / np.arange(1, n_items + 1)
    popularity /= popularity.sum()
    return [list(1 + rng.choice(n_items, rng.integers(1, 30), p=popularity)) for _ in range(n_users)]


TRAIN = sequences(random_users(200, 60, seed=1), 60)
USERS = [*random_users(40, 60, seed=2), [7], [9, 9, 9, 9], list(range(1, 61))]


def assert_same(left: Ranking, right: Ranking) -> None:
    np.testing.assert_array_equal(left.items, right.items)
    np.testing.assert_array_equal(left.scores.view(np.int32), right.scores.view(np.int32))  # bits


@every_method
def test_a_ranking_does_not_depend_on_the_rest_of_the_batch_or_the_memory_budget(
    method: Callable[[], Heuristic],
) -> None:
    fitted = method().fit(TRAIN)
    together = fitted.rank(batch(USERS), 20)
    alone = [fitted.rank(batch([user]), 20) for user in USERS]
    assert_same(together, Ranking(np.concatenate([r.items for r in alone]), np.concatenate([r.scores for r in alone])))
    for budget in (1, 3 * 4 * 61, 7 * 4 * 61):
        fitted.memory_budget = budget
        assert_same(together, fitted.rank(batch(USERS), 20))


@every_method
def test_what_lies_under_padding_is_never_read(method: Callable[[], Heuristic]) -> None:
    fitted = method().fit(TRAIN)
    clean = batch(USERS)
    wide = torch.nn.functional.pad(clean.history, (0, 5))
    mask = wide > 0
    garbage = torch.where(mask, wide, torch.randint(-9, 10**6, wide.shape, generator=torch.Generator().manual_seed(0)))
    padded = Batch(garbage, mask, clean.targets, clean.targets_mask, clean.user)
    assert_same(fitted.rank(clean, 20), fitted.rank(padded, 20))


@every_method
def test_saved_and_loaded_methods_rank_alike(method: Callable[[], Heuristic], tmp_path: Path) -> None:
    fitted = method().fit(TRAIN)
    save_file(fitted.state(), tmp_path / "model.safetensors")
    loaded = method().load_state(load_file(tmp_path / "model.safetensors"))
    assert_same(fitted.rank(batch(USERS), 20), loaded.rank(batch(USERS), 20))


@every_method
def test_rankings_descend_without_duplicates_and_without_padding(method: Callable[[], Heuristic]) -> None:
    ranking = method().fit(TRAIN).rank(batch(USERS), 80)  # more places than items
    assert ranking.items.shape == (len(USERS), 80)
    assert (ranking.scores[:, 1:] <= ranking.scores[:, :-1]).all()
    for row, scores in zip(ranking.items, ranking.scores, strict=True):
        recommended = row[row > 0]
        assert len(set(recommended)) == len(recommended)
        assert (row[: len(recommended)] > 0).all()
        assert np.isneginf(scores[len(recommended) :]).all()
        assert np.isfinite(scores[: len(recommended)]).all()


@every_method
def test_an_empty_batch_and_an_empty_history_are_ranked_too(method: Callable[[], Heuristic]) -> None:
    fitted = method().fit(TRAIN)
    assert fitted.rank(Batch.of(torch.zeros(0, 3, dtype=torch.int64)), 5).items.shape == (0, 5)
    assert fitted.rank(Batch.of(torch.zeros(2, 3, dtype=torch.int64)), 5).items.shape == (2, 5)


@every_method
def test_ranking_before_fitting_is_refused(method: Callable[[], Heuristic]) -> None:
    with pytest.raises(RuntimeError, match="must be fitted"):
        method().rank(batch([[1, 2]]), 3)


@pytest.mark.parametrize("method", [HistoryRepeat, ItemKNN, RepeatThenItemKNN, EASE])
def test_an_item_outside_the_fitted_catalogue_is_bad_input(method: Callable[[], Heuristic]) -> None:
    with pytest.raises(BadInput, match=r"holds item 61.*1\.\.60"):
        method().fit(TRAIN).rank(batch([[1, 61]]), 3)


def test_the_state_of_another_method_is_bad_input() -> None:
    with pytest.raises(BadInput, match="a saved EASE has the arrays n_items, weights, got counts, n_items"):
        EASE().load_state(MostPopular().fit(TRAIN).state())


def test_most_popular_counts_repeats_breaks_ties_by_id_and_leaves_out_unseen_items() -> None:
    fitted = MostPopular().fit(sequences([[3, 3, 1], [2, 3]], n_items=5))
    ranking = fitted.rank(batch([[5], [4]]), 4)
    assert ranking.items.tolist() == [[3, 1, 2, 0]] * 2
    assert ranking.scores.tolist() == [[3.0, 1.0, 1.0, -np.inf]] * 2


def test_history_repeat_lists_distinct_items_by_their_last_occurrence() -> None:
    ranking = HistoryRepeat().fit(TRAIN).rank(batch([[5, 8, 5, 2, 8], [4]]), 4)
    assert ranking.items.tolist() == [[8, 2, 5, 0], [4, 0, 0, 0]]
    assert ranking.scores[0].tolist() == [0.0, -1.0, -2.0, -np.inf]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=12), min_size=1, max_size=4), st.integers(0, 5))
def test_behaviours_of_sequences_and_of_padded_histories_agree(users: list[list[int]], n: int) -> None:
    packed = sequences(users, 9)
    padded = batch(users)
    flat = Behaviours.of_sequences(packed).latest(n)
    unpadded = Behaviours.of_histories(padded.history, padded.history_mask, 9).latest(n)
    for name in ("user", "item", "age"):
        np.testing.assert_array_equal(getattr(flat, name), getattr(unpadded, name))
    recent = [user[-n:] if n else user for user in users]
    expected = [[float(item in user) for item in range(10)] for user in recent]
    assert flat.distinct(np.float32).toarray().tolist() == expected
    counts = [[float(user.count(item)) for item in range(10)] for user in recent]
    assert flat.weighted(np.ones(len(flat.item))).toarray().tolist() == counts


@pytest.mark.parametrize("method", [ItemKNN, EASE])
def test_without_repeats_the_users_own_items_are_taken_out_of_the_ranking(method: type[ItemKNN] | type[EASE]) -> None:
    usual, without = (method(repeats=repeats).fit(TRAIN).rank(batch(USERS), 60) for repeats in (True, False))
    for user, everything, others in zip(USERS, usual.items.tolist(), without.items.tolist(), strict=True):
        expected = [item for item in everything if item and item not in user]
        assert others == expected + [0] * (60 - len(expected))
    assert (usual.items != without.items).any()
