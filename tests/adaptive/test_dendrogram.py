"""The compiled linkages are scipy's, and a cut is what cutting scipy's tree gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.cluster import DBSCAN

from adaptive_mi.dendrogram import Dendrograms
from adaptive_mi.density import Floats
from adaptive_mi.linkage import LINKAGES, Linkage, single_linkage, ward_linkage
from baselines.errors import BadInput


def grow(users: list[Floats], kind: Linkage = "average") -> tuple[Floats, Dendrograms]:
    starts = np.concatenate([[0], np.cumsum([len(user) for user in users])]).astype(np.int64)
    vectors = np.concatenate(users)
    return vectors, LINKAGES[kind](vectors, starts)


def draw(n: int, width: int, seed: int, n_groups: int = 4, repeat: bool = False) -> Floats:
    """Vectors around a few directions; with `repeat`, half of them occur twice."""
    rng = np.random.default_rng(seed)
    centres = 1.5 * rng.standard_normal((n_groups, width))
    rows = centres[rng.integers(0, n_groups, n)] + rng.standard_normal((n, width))
    if repeat:
        rows[n // 2 :] = rows[: n - n // 2]
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def same_partition(one: np.ndarray, other: np.ndarray) -> bool:
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    return len(pairs) == len(set(one.tolist())) == len(set(other.tolist()))


@settings(max_examples=100, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    width=st.sampled_from([11, 16, 64, 65]),  # in the plane, distances are tied within rounding
    n_clusters=st.integers(1, 9),
    seed=st.integers(0, 10_000),
    kind=st.sampled_from(["average", "single"]),
)
def test_heights_and_cuts_are_those_of_scipy(
    lengths: list[int], width: int, n_clusters: int, seed: int, kind: Linkage
) -> None:
    users = [draw(n, width, seed + i) for i, n in enumerate(lengths)]
    _, trees = grow(users, kind)
    wanted = np.minimum(n_clusters, lengths)
    labels = trees.cut(wanted)
    for b, user in enumerate(users):
        first, last = trees.starts[b], trees.starts[b + 1]
        assert trees.heights[last - 1] == np.inf
        if len(user) == 1:
            continue
        distance = np.clip(1 - user.astype(float) @ user.T, 0, None)
        np.fill_diagonal(distance, 0)
        tree = linkage(squareform(distance, checks=False), kind)
        np.testing.assert_allclose(trees.heights[first : last - 1], tree[:, 2], atol=2e-6)
        assert same_partition(labels[first:last], fcluster(tree, wanted[b], "maxclust"))


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    width=st.sampled_from([11, 16, 64, 65]),
    n_clusters=st.integers(1, 9),
    seed=st.integers(0, 10_000),
)
def test_wards_heights_are_half_the_squares_of_scipys(
    lengths: list[int], width: int, n_clusters: int, seed: int
) -> None:
    users = [draw(n, width, seed + i) for i, n in enumerate(lengths)]
    _, trees = grow(users, "ward")
    wanted = np.minimum(n_clusters, lengths)
    labels = trees.cut(wanted)
    for b, user in enumerate(users):
        first, last = trees.starts[b], trees.starts[b + 1]
        assert trees.heights[last - 1] == np.inf
        if len(user) > 1:
            tree = linkage(user.astype(float), "ward")
            np.testing.assert_allclose(trees.heights[first : last - 1], tree[:, 2] ** 2 / 2, rtol=1e-5, atol=1e-5)
            assert same_partition(labels[first:last], fcluster(tree, wanted[b], "maxclust"))


@pytest.mark.parametrize("height", [0.1, 0.2, 0.3, 0.4])
def test_single_linkage_below_a_height_is_dbscan_with_one_near_neighbour(height: float) -> None:
    user = draw(60, 16, 3, n_groups=6)
    trees = single_linkage(user, np.array([0, 60]))
    labels = trees.cut(trees.n_clusters_below(height))
    textbook = DBSCAN(eps=height, min_samples=2, metric="cosine").fit(user.astype(float)).labels_
    alone = textbook == -1
    textbook[alone] = textbook.max() + 1 + np.arange(alone.sum())
    assert 1 < len(set(labels.tolist())) < 60
    assert same_partition(labels, textbook)


@pytest.mark.parametrize("n", [2, 5, 50])
def test_wards_tree_joins_the_same_item_at_no_height_and_alone_as_among_others(n: int) -> None:
    same, other = np.repeat(draw(1, 64, 0), n, axis=0), draw(n, 64, 1, repeat=True)
    trees = ward_linkage(np.concatenate([same, other]), np.array([0, n, 2 * n]))
    assert (trees.heights[: n - 1] < 1e-6).all()
    assert trees.n_distinct.tolist() == [1, (n + 1) // 2]
    np.testing.assert_array_equal(ward_linkage(other, np.array([0, n])).heights, trees.heights[n:])


def test_as_many_clusters_are_below_a_height_as_the_cut_there_has() -> None:
    vectors, trees = grow([draw(30, 16, seed) for seed in range(5)])
    for height in (0.0, 0.3, 0.8, 1.2, 2.0):
        n_clusters = trees.n_clusters_below(height)
        labels = trees.cut(n_clusters)
        for b in range(5):
            own, rows = labels[30 * b : 30 * b + 30], vectors[30 * b : 30 * b + 30].astype(float)
            assert own.max() + 1 == n_clusters[b]
            means = np.stack([rows[own == k].mean(0) for k in range(n_clusters[b])])
            between = 1 - means @ means.T + 3 * np.eye(len(means))
            assert (between > height - 1e-5).all(), "no two clusters are nearer than that"


def test_clusters_are_numbered_by_their_latest_behaviour() -> None:
    _, trees = grow([draw(25, 8, seed) for seed in range(4)])
    labels = trees.cut(np.full(4, 5)).reshape(4, 25)
    for own in labels:
        latest = [np.flatnonzero(own == k).max() for k in range(5)]
        assert latest == sorted(latest, reverse=True)
        assert own[-1] == 0


def test_a_user_is_clustered_alike_alone_and_among_others_to_the_last_bit() -> None:
    users = [draw(n, 64, n) for n in (1, 7, 33, 50, 2)]
    _, together = grow(users)
    for b, user in enumerate(users):
        _, alone = grow([user])
        part = slice(together.starts[b], together.starts[b + 1])
        np.testing.assert_array_equal(together.heights[part], alone.heights)
        np.testing.assert_array_equal(together.joined[part], alone.joined)


@pytest.mark.parametrize("n", [2, 5, 20])
def test_the_same_item_again_and_again_is_joined_at_no_height(n: int) -> None:
    user = np.repeat(draw(1, 64, 0), n, axis=0)
    _, trees = grow([user, draw(n, 64, 1, repeat=True)])
    assert (trees.heights[: n - 1] < 1e-6).all()
    assert trees.n_clusters_below(1e-5).tolist() == [1, (n + 1) // 2]


def test_three_items_by_hand() -> None:
    """Cosines .8 (a, b), .6 (b, c) and .0 (a, c): a and b are joined at .2, c at the mean of .4 and 1."""
    user = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
    _, trees = grow([user])
    np.testing.assert_allclose(trees.heights[:2], [0.2, 0.7], atol=1e-6)
    assert trees.cut(np.array([2])).tolist() == [1, 1, 0]
    assert trees.cut(np.array([1])).tolist() == [0, 0, 0]
    assert trees.cut(np.array([3])).tolist() == [2, 1, 0]


@pytest.mark.parametrize("width", [3, 64, 65])
def test_a_repeated_behaviour_is_as_far_from_the_others_to_the_last_bit(width: int) -> None:
    """Two behaviours, each once or twice, in any places: they are joined at the height of the two alone."""
    for seed in range(20):
        pair = draw(2, width, seed)
        height = grow([pair])[1].heights[0]
        for places in ([0, 1, 0], [1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [1, 0, 1, 0]):
            assert grow([pair[places]])[1].heights[len(places) - 2] == height


@pytest.mark.parametrize("broken", [np.nan, np.inf])
@pytest.mark.parametrize("n", [1, 2, 30])
def test_vectors_that_are_not_finite_are_refused(broken: float, n: int) -> None:
    users = [draw(5, 16, 0), draw(n, 16, 1)]
    users[1][n - 1, 3] = broken
    with pytest.raises(BadInput, match=f"in 1 of {n + 5} rows, the first of them {n + 4}"):
        grow(users)
