"""Silhouettes are scikit-learn's at every cut, K is where they are best, and nothing depends on neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from histories import lifelike, pack, planted
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import silhouette_score

from adaptive_mi.dendrogram import Dendrograms
from adaptive_mi.density import Floats
from adaptive_mi.linkage import average_linkage
from adaptive_mi.silhouette import mean_silhouettes, silhouette_k
from baselines.errors import BadInput


def grow(users: list[Floats]) -> tuple[Floats, Dendrograms]:
    vectors, starts = pack(users)
    return vectors, average_linkage(vectors, starts)


def of_user(user: Floats, max_clusters: int) -> np.ndarray:
    """Mean silhouettes [max_clusters + 1] by scikit-learn, of the cuts of the same tree."""
    scores = np.full(max_clusters + 1, np.nan)
    tree = average_linkage(user, np.array([0, len(user)]))
    rows = user.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    distance = np.maximum(1 - rows @ rows.T, 0)
    distance[distance < 1e-12] = 0
    for k in range(2, min(max_clusters, len(user) - 1) + 1):
        scores[k] = silhouette_score(distance, tree.cut(np.array([k])), metric="precomputed")
    return scores


@pytest.mark.parametrize("D", [1, 2, 7, 64])
@pytest.mark.parametrize("max_clusters", [1, 2, 8, 20])
def test_silhouettes_are_those_of_scikit_learn(max_clusters: int, D: int) -> None:
    rng = np.random.default_rng(max_clusters)
    lengths = [1, 2, 3, 4, 7, 8, 9, 17, 30, 50, 120]
    users = [lifelike(rng, n, D, repeats) for n in lengths for repeats in (False, True)]
    found = mean_silhouettes(*grow(users), max_clusters)
    assert found.shape == (len(users), max_clusters + 1)
    for scores, user in zip(found, users, strict=True):
        np.testing.assert_allclose(scores, of_user(user, max_clusters), atol=1e-9)


@pytest.mark.parametrize("least", [-1.0, 0.0, 0.3, 0.6])
def test_k_is_where_the_silhouette_is_best_or_1_where_that_is_too_low(least: float) -> None:
    rng = np.random.default_rng(1)
    users = [lifelike(rng, n) for n in range(3, 60)]
    found = silhouette_k(*grow(users), 8, least_silhouette=least)
    for K, user in zip(found, users, strict=True):
        scores = of_user(user, 8)
        assert (np.nanargmax(scores) if np.nanmax(scores) >= least else 1) == K
    assert (found == 1).any() == (least > 0)


def test_of_equally_good_cuts_the_coarsest_is_taken() -> None:
    """Behaviours at right angles: no two are nearer than others, and every silhouette is 0 but for rounding."""
    rng = np.random.default_rng(0)
    turned = [np.linalg.qr(rng.standard_normal((6, 6)))[0].astype(np.float32) for _ in range(20)]
    vectors, trees = grow(turned)
    scores = mean_silhouettes(vectors, trees, 5)[:, 2:]
    assert 0 < np.abs(scores).max() < 1e-6
    assert silhouette_k(vectors, trees, 5, least_silhouette=-1).tolist() == [2] * 20


def test_planted_groups_are_counted() -> None:
    rng = np.random.default_rng(3)
    drawn = [planted(rng, rng.integers(2, 9, n_groups))[0] for n_groups in range(2, 11)]
    assert silhouette_k(*grow(drawn), 12, least_silhouette=0.5).tolist() == list(range(2, 11))
    assert silhouette_k(*grow(drawn), 4, least_silhouette=0.3).tolist() == [2, 3, 4, 4, 4, 4, 4, 4, 4]


def test_histories_too_short_to_have_a_silhouette() -> None:
    one, two, same = np.eye(1, 4), np.eye(2, 4), np.repeat(np.eye(1, 4), 6, axis=0)
    vectors, trees = grow([np.asarray(user, np.float32) for user in (one[:0], one, two, same, one[:0])])
    assert silhouette_k(vectors, trees, 5, least_silhouette=0.1).tolist() == [0, 1, 1, 1, 0]
    assert np.isnan(mean_silhouettes(vectors, trees, 5)[[0, 1, 2, 4]]).all()
    assert mean_silhouettes(vectors, trees, 5)[3, 2:].tolist() == [0, 0, 0, 0]


def test_equal_behaviours_of_any_direction_have_a_silhouette_of_exactly_nothing() -> None:
    """In float32 a vector is not quite at no distance from itself, which must not pass for a structure."""
    rng = np.random.default_rng(0)
    users = [np.repeat(lifelike(rng, 1), n, axis=0) for n in (3, 4, 7, 20, 50)]
    assert not np.nan_to_num(mean_silhouettes(*grow(users), 9)).any()


def test_two_items_again_and_again_are_two_clusters() -> None:
    rng = np.random.default_rng(0)
    users = [lifelike(rng, 2)[rng.permutation(np.repeat([0, 1], n))] for n in range(2, 9)]
    vectors, trees = grow(users)
    assert silhouette_k(vectors, trees, 6, least_silhouette=0.5).tolist() == [2] * 7
    np.testing.assert_allclose(mean_silhouettes(vectors, trees, 6)[:, 2], 1)


@settings(max_examples=30, deadline=None)
@given(lengths=st.lists(st.integers(0, 30), max_size=7), max_clusters=st.integers(1, 9), seed=st.integers(0, 999))
def test_a_user_is_judged_as_if_alone_in_whatever_order_users_come(
    lengths: list[int], max_clusters: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    users = [lifelike(rng, n, repeats=True) for n in lengths]
    order = rng.permutation(len(users))
    vectors, trees = grow([np.zeros((0, 32), np.float32), *(users[b] for b in order)])
    scores, K = mean_silhouettes(vectors, trees, max_clusters), silhouette_k(vectors, trees, max_clusters)
    for place, b in enumerate(order, start=1):
        alone = grow([users[b]])
        np.testing.assert_array_equal(scores[place], mean_silhouettes(*alone, max_clusters)[0])
        assert K[place] == silhouette_k(*alone, max_clusters)[0]
        assert min(1, lengths[b]) <= K[place] <= max(min(1, lengths[b]), min(max_clusters, lengths[b] - 1))


def test_the_order_of_behaviours_does_not_matter() -> None:
    rng = np.random.default_rng(5)
    users = [lifelike(rng, n) for n in range(3, 60)]
    shuffled = [rng.permutation(user) for user in users]
    one, other = (mean_silhouettes(*grow(some), 8) for some in (users, shuffled))
    np.testing.assert_allclose(one, other, atol=1e-9)


def test_what_cannot_be_is_refused() -> None:
    vectors, trees = grow([np.eye(5, dtype=np.float32)])
    with pytest.raises(BadInput, match="max_clusters"):
        silhouette_k(vectors, trees, 0)
    with pytest.raises(BadInput, match="5 behaviours, got 4"):
        silhouette_k(vectors[:4], trees, 3)
    vectors[3, 3] = np.nan
    with pytest.raises(BadInput, match="the first of them 3"):
        silhouette_k(vectors, trees, 3)
