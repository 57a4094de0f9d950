"""Every heuristic on real logs against an independent implementation in plain Python: the same recall, user by user."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from ragged import batch, sequences

from baselines.heuristics.ease import EASE
from baselines.heuristics.heuristic import Heuristic
from baselines.heuristics.history_repeat import HistoryRepeat
from baselines.heuristics.item_knn import ItemKNN, RepeatThenItemKNN
from baselines.heuristics.most_popular import MostPopular

pytestmark = pytest.mark.slow

DATA = Path(os.environ.get("ADAPTIVE_MI_DATA", Path(__file__).parents[2] / "../shared/data"))
Users = list[list[int]]


def user_split(name: str) -> tuple[Users, Users, Users, int]:
    """Return training users, test histories, test targets and N: ComiRec's filter, 8:1:1 users, 80/20 behaviours."""
    path = DATA / name / "interactions.parquet"
    if not path.exists():
        pytest.skip(f"no {path}")
    table = pq.read_table(path, columns=["user_id", "item_id"])
    rows = list(zip(table["user_id"].to_pylist(), table["item_id"].to_pylist(), strict=True))
    item_counts = Counter(item for _, item in rows)
    rows = [(user, item) for user, item in rows if item_counts[item] >= 5]
    user_counts = Counter(user for user, _ in rows)
    rows = [(user, item) for user, item in rows if user_counts[user] >= 5]
    item_counts = Counter(item for _, item in rows)
    new_id = {item: k for k, item in enumerate(sorted(item_counts, key=lambda item: (-item_counts[item], item)), 1)}
    by_user: dict[int, list[int]] = defaultdict(list)
    for user, item in rows:
        by_user[user].append(new_id[item])
    users = list(by_user.values())
    order = np.random.default_rng(0).permutation(len(users))
    train = [users[u] for u in order[: int(0.8 * len(users))]]
    test = [users[u] for u in order[int(0.9 * len(users)) :]]
    return train, [u[: int(0.8 * len(u))] for u in test], [u[int(0.8 * len(u)) :] for u in test], len(new_id)


def recall(lists: Users, targets: Users, n: int) -> list[float]:
    return [len({*row[:n]} & {*wanted}) / len({*wanted}) for row, wanted in zip(lists, targets, strict=True)]


def by_score(score: dict[int, float]) -> list[int]:
    return sorted(score, key=lambda item: (-np.float32(score[item]), item))


def slow_most_popular(train: Users, histories: Users) -> Users:
    counts = Counter(item for user in train for item in user)
    return [by_score(dict(counts.items()))[:50]] * len(histories)


def slow_history_repeat(train: Users, histories: Users) -> Users:
    return [list(dict.fromkeys(reversed(history))) for history in histories]


def slow_item_knn(train: Users, histories: Users) -> Users:
    n: Counter[int] = Counter()
    together: dict[int, Counter[int]] = defaultdict(Counter)
    for user in train:
        basket = set(user[-50:])
        n.update(basket)
        for item in basket:
            together[item].update(basket - {item})
    lists = []
    for history in histories:
        score: dict[int, float] = defaultdict(float)
        for p, item in enumerate(reversed(history)):
            for other, count in together[item].items():
                score[other] += 0.8**p * count / (n[item] * n[other]) ** 0.5
        lists.append(by_score({item: value for item, value in score.items() if np.float32(value) > 0}))
    return lists


def slow_repeat_then_item_knn(train: Users, histories: Users) -> Users:
    own, others = slow_history_repeat(train, histories), slow_item_knn(train, histories)
    return [list(dict.fromkeys(first + then)) for first, then in zip(own, others, strict=True)]


@pytest.mark.parametrize("name", ["amazon-beauty", "retailrocket-sessions"])
@pytest.mark.parametrize(
    ("method", "slow"),
    [
        (MostPopular(), slow_most_popular),
        (HistoryRepeat(), slow_history_repeat),
        (ItemKNN(), slow_item_knn),
        (RepeatThenItemKNN(), slow_repeat_then_item_knn),
    ],
    ids=["most_popular", "history_repeat", "item_knn", "repeat_then_item_knn"],
)
def test_recall_is_that_of_an_independent_implementation(method: Heuristic, slow, name: str) -> None:  # type: ignore[no-untyped-def]
    train, histories, targets, n_items = user_split(name)
    ranking = method.fit(sequences(train, n_items)).rank(batch(histories), 50)
    expected = slow(train, histories)
    for n in (20, 50):
        np.testing.assert_allclose(
            recall(ranking.items.tolist(), targets, n), recall(expected, targets, n), rtol=0, atol=1e-12
        )


def test_ease_recall_is_that_of_the_textbook_inverse() -> None:
    train, histories, targets, n_items = user_split("ml-100k")
    X = np.zeros((len(train), n_items))
    for user, items in enumerate(train):
        X[user, np.array(items) - 1] = 1.0
    P = np.linalg.inv(X.T @ X + 500.0 * np.eye(n_items))
    B = P / -np.diag(P)
    np.fill_diagonal(B, 0.0)
    scores = np.stack([B[sorted({*history}), :].sum(0) for history in [[i - 1 for i in h] for h in histories]])
    expected = (1 + np.argsort(-scores.astype(np.float32), axis=1, kind="stable")).tolist()
    ranking = EASE(precision="float64").fit(sequences(train, n_items)).rank(batch(histories), 50)
    for n in (20, 50):
        np.testing.assert_allclose(
            recall(ranking.items.tolist(), targets, n), recall(expected, targets, n), rtol=0, atol=1e-12
        )
