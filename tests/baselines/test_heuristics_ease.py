"""EASE against the textbook inverse and against the optimality conditions of its problem."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from baselines.batch import Batch
from baselines.errors import BadInput
from baselines.heuristics import ease
from baselines.heuristics.ease import EASE
from baselines.sequences import Sequences

Precision = Literal["float32", "float64"]


def random_sequences(n_users: int, n_items: int, seed: int = 0) -> Sequences:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 20, n_users)
    items = (1 + (n_items * rng.random(lengths.sum()) ** 2)).astype(np.int32)
    return Sequences(items, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), n_items)


def binary(train: Sequences) -> NDArray[np.float64]:
    X = np.zeros((len(train), train.n_items))
    for user in range(len(train)):
        X[user, train[user] - 1] = 1.0
    return X


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 2e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("block", [7, 512])
def test_weights_are_those_of_equation_8(
    precision: Precision, tolerance: float, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ease, "_BLOCK", block)
    train = random_sequences(300, 40)
    X = binary(train)
    P = np.linalg.inv(X.T @ X + 5.0 * np.eye(40))
    B = P / -np.diag(P)
    np.fill_diagonal(B, 0.0)
    fitted = EASE(l2=5.0, precision=precision).fit(train)
    assert fitted.weights.dtype == precision
    np.testing.assert_allclose(fitted.weights, B, atol=tolerance)


def test_no_change_off_the_diagonal_improves_the_fit() -> None:
    train = random_sequences(100, 15)
    X = binary(train)
    W = EASE(l2=3.0, precision="float64").fit(train).weights
    gradient = X.T @ (X @ W - X) + 3.0 * W
    np.testing.assert_allclose(gradient - np.diag(np.diag(gradient)), 0.0, atol=1e-9)
    np.testing.assert_array_equal(np.diag(W), 0.0)


def test_scores_are_the_users_binary_row_times_the_weights() -> None:
    train = random_sequences(100, 15)
    fitted = EASE(l2=3.0, precision="float64").fit(train)
    ranking = fitted.rank(Batch.of(torch.tensor([[4, 9, 4, 4]])), 15)
    x = np.isin(np.arange(1, 16), [4, 9]).astype(float)
    scores = x @ fitted.weights
    assert ranking.items[0].tolist() == (1 + np.lexsort((np.arange(15), -scores.astype(np.float32)))).tolist()
    np.testing.assert_allclose(ranking.scores[0], np.sort(scores)[::-1], rtol=1e-6)


def test_unseen_items_get_no_weight() -> None:
    seen = random_sequences(50, 10)
    fitted = EASE(l2=1.0).fit(Sequences(seen.items, seen.offsets, 12))
    assert not fitted.weights[:, 10:].any()
    assert not fitted.weights[10:].any()


def test_a_catalogue_too_large_is_refused_with_the_memory_it_would_take() -> None:
    train = Sequences(np.array([1, 2], np.int32), np.array([0, 2]), 30_000)
    with pytest.raises(BadInput, match=r"max_items=20,000.*30,000 items.*3\.6 GB in float32"):
        EASE().fit(train)


@pytest.mark.parametrize("knob", [{"l2": 0.0}, {"l2": float("inf")}, {"precision": "float16"}])
def test_impossible_knobs_are_bad_input(knob: dict[str, object]) -> None:
    with pytest.raises(BadInput, match=next(iter(knob))):
        EASE(**knob)  # type: ignore[arg-type]
