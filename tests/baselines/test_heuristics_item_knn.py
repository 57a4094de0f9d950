"""Item-kNN against a slow twin written from its docstring, and what its knobs mean."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ragged import batch, sequences

from baselines.errors import BadInput
from baselines.heuristics.history_repeat import HistoryRepeat
from baselines.heuristics.item_knn import ItemKNN, RepeatThenItemKNN

Users = list[list[int]]
users_strategy = st.lists(st.lists(st.integers(1, 8), min_size=1, max_size=10), min_size=1, max_size=8)


def slow_scores(train: Users, history: list[int], *, window: int, power: float, shrinkage: float, n_neighbours: int,
                n_recent: int, decay: float) -> dict[int, float]:  # fmt: skip
    """Steps 1-5 of `ItemKNN`, one number at a time."""
    baskets = [set(user[-window:] if window else user) for user in train]
    n = {i: sum(i in basket for basket in baskets) for i in range(1, 9)}
    sim = {
        j: {
            i: together / ((n[i] * n[j]) ** power + shrinkage)
            for i in range(1, 9)
            if i != j and (together := sum(i in basket and j in basket for basket in baskets))
        }
        for j in range(1, 9)
    }
    if n_neighbours:
        sim = {
            j: dict(sorted(row.items(), key=lambda pair: (-pair[1], pair[0]))[:n_neighbours]) for j, row in sim.items()
        }
    score: dict[int, float] = {}
    for p, item in enumerate(reversed(history[-n_recent:] if n_recent else history)):
        for i, similarity in sim[item].items():
            score[i] = score.get(i, 0.0) + decay**p * similarity
    return {i: s for i, s in score.items() if s > 0}


@settings(max_examples=100, deadline=None)
@given(
    train=users_strategy,
    histories=users_strategy,
    window=st.integers(0, 4),
    power=st.sampled_from([0.0, 0.5, 0.7, 1.0]),
    shrinkage=st.sampled_from([0.0, 2.5]),
    n_neighbours=st.integers(0, 3),
    n_recent=st.integers(0, 3),
    decay=st.sampled_from([0.0, 0.8, 1.0]),
)
def test_item_knn_agrees_with_its_slow_twin(
    train: Users, histories: Users, window: int, power: float, shrinkage: float, n_neighbours: int, n_recent: int,
    decay: float,
) -> None:  # fmt: skip
    knn = ItemKNN(
        window=window,
        popularity_power=power,
        shrinkage=shrinkage,
        n_neighbours=n_neighbours,
        n_recent=n_recent,
        decay=decay,
    ).fit(sequences(train, 8))
    ranking = knn.rank(batch(histories), 8)
    for history, items, scores in zip(histories, ranking.items.tolist(), ranking.scores, strict=True):
        twin = slow_scores(train, history, window=window, power=power, shrinkage=shrinkage, n_neighbours=n_neighbours,
                           n_recent=n_recent, decay=decay)  # fmt: skip
        assert sorted(item for item in items if item) == sorted(twin)
        np.testing.assert_allclose(scores[: len(twin)], [twin[item] for item in items if item], rtol=1e-6)
        np.testing.assert_allclose(scores[: len(twin)], sorted(twin.values(), reverse=True), rtol=1e-6)


def test_similarity_is_the_cosine_of_the_users_columns() -> None:
    train = [[1, 2, 3], [1, 2], [2, 3, 3], [4, 1]]
    X = np.array([[i in user for i in range(1, 5)] for user in train], float)
    norms = np.linalg.norm(X, axis=0)
    cosine = X.T @ X / np.outer(norms, norms)
    knn = ItemKNN(decay=1.0).fit(sequences(train, 4))
    for item in range(1, 5):
        ranking = knn.rank(batch([[item]]), 4)
        for other, score in zip(ranking.items[0], ranking.scores[0], strict=True):
            if other:
                assert other != item
                assert score == pytest.approx(cosine[item - 1, other - 1], rel=1e-6)


def test_a_worked_example() -> None:
    """c_12 = 2, n_1 = 2, n_2 = 3: sim(1, 2) = 2 / sqrt 6; sim(2, 3) = 1 / sqrt 3."""
    knn = ItemKNN(decay=0.5).fit(sequences([[1, 2], [2, 1], [2, 3]], 4))
    ranking = knn.rank(batch([[2, 1], [3, 3], [4]]), 3)
    assert ranking.items.tolist() == [[2, 1, 3], [2, 0, 0], [0, 0, 0]]
    expected = [2 / math.sqrt(6), 0.5 * 2 / math.sqrt(6), 0.5 / math.sqrt(3)]
    np.testing.assert_allclose(ranking.scores[0], expected, rtol=1e-6)
    assert ranking.scores[1, 0] == pytest.approx(1.5 / math.sqrt(3))  # a repeated behaviour votes twice


def test_only_the_window_is_counted() -> None:
    knn = ItemKNN(window=2).fit(sequences([[1, 2, 3]], 3))
    assert knn.rank(batch([[2], [1]]), 2).items.tolist() == [[3, 0], [0, 0]]


def test_neighbours_are_kept_for_the_item_that_votes_and_ties_go_to_the_smaller_id() -> None:
    pairs = [list(pair) for pair in combinations([1, 2, 3], 2)]
    knn = ItemKNN(n_neighbours=1).fit(sequences(pairs, 3))
    assert knn.rank(batch([[1], [2], [3]]), 2).items.tolist() == [[2, 0], [1, 0], [1, 0]]


@settings(max_examples=50, deadline=None)
@given(train=users_strategy, histories=users_strategy)
def test_repeat_then_item_knn_is_the_history_followed_by_item_knn(train: Users, histories: Users) -> None:
    packed, users = sequences(train, 8), batch(histories)
    repeat = HistoryRepeat().fit(packed).rank(users, 8).items.tolist()
    knn = ItemKNN().fit(packed).rank(users, 8).items.tolist()
    both = RepeatThenItemKNN().fit(packed).rank(users, 8)
    for own, voted, row in zip(repeat, knn, both.items.tolist(), strict=True):
        expected = [item for item in own if item]
        expected += [item for item in voted if item and item not in expected]
        assert [item for item in row if item] == expected


@pytest.mark.parametrize(
    "knob",
    [{"window": -1}, {"decay": 1.5}, {"shrinkage": -1.0}, {"popularity_power": float("nan")}, {"n_neighbours": -3}],
)
def test_impossible_knobs_are_bad_input(knob: dict[str, float]) -> None:
    with pytest.raises(BadInput, match=next(iter(knob))):
        ItemKNN(**knob)  # type: ignore[arg-type]
