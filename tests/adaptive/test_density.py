"""Density clusters of one user are those of the definitions, and repeats, NaN and tiny histories are taken care of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from histories import lifelike, partition, planted
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from adaptive_mi.density import dbscan_labels, hdbscan_clusters
from baselines.errors import BadInput

SMALL: dict[str, Any] = {"min_cluster_size": 2, "min_samples": 1}


def test_hdbscan_finds_planted_groups_and_leaves_a_stray_alone() -> None:
    vectors, group = planted(np.random.default_rng(0), [6, 9, 12])
    stray = -vectors.mean(0, keepdims=True) / np.linalg.norm(vectors.mean(0))
    found = hdbscan_clusters(np.concatenate([vectors, stray]), min_cluster_size=5, min_samples=2)
    assert partition(found.labels) == partition(np.append(group, -1))
    assert found.n_clusters.tolist() == [3]
    assert len(found.persistence) == 3
    assert (found.persistence > 0.5).all()


def test_dbscan_finds_planted_groups_and_leaves_a_stray_alone() -> None:
    vectors, group = planted(np.random.default_rng(1), [6, 9, 12])
    stray = -vectors.mean(0, keepdims=True) / np.linalg.norm(vectors.mean(0))
    labels = dbscan_labels(np.concatenate([vectors, stray]), radius=0.5, min_samples=2)
    assert partition(labels) == partition(np.append(group, -1))


@pytest.mark.parametrize("min_samples", [1, 2, 4])
@pytest.mark.parametrize("seed", range(5))
def test_dbscan_joins_core_behaviours_and_those_near_them(seed: int, min_samples: int) -> None:
    vectors = lifelike(np.random.default_rng(seed), n=40)
    near = cdist(vectors, vectors) <= 0.9
    core = near.sum(1) - 1 >= min_samples
    assert 0 < core.sum() < 40
    labels = dbscan_labels(vectors, radius=0.9, min_samples=min_samples)
    _, group = connected_components(near[np.ix_(core, core)])
    assert partition(labels[core]) == partition(group)
    for i in np.flatnonzero(~core):
        assert labels[i] in (labels[near[i] & core] if (near[i] & core).any() else [-1])


def test_labels_are_exact_at_any_width() -> None:
    """Features that are 0 change no distance; past 60 of them the package's own choice of algorithm would."""
    for seed in range(20):
        vectors = lifelike(np.random.default_rng(seed), n=60, D=8)
        wide = np.pad(vectors, [(0, 0), (0, 60)])
        narrow, padded = (hdbscan_clusters(some, min_cluster_size=3, min_samples=3) for some in (vectors, wide))
        np.testing.assert_array_equal(narrow.labels, padded.labels)


@pytest.mark.parametrize(
    "cluster", [lambda x: hdbscan_clusters(x, **SMALL).labels, lambda x: dbscan_labels(x, radius=0.7, min_samples=2)]
)
def test_repeats_share_their_label_and_change_no_other(cluster: Any) -> None:
    noise = 0
    for seed in range(5):
        rng = np.random.default_rng(seed)
        vectors = lifelike(rng, n=30)
        again = rng.integers(0, 30, 25)
        labels = cluster(np.concatenate([vectors, vectors[again]]))
        np.testing.assert_array_equal(labels[:30], cluster(vectors))
        np.testing.assert_array_equal(labels[30:], labels[again])
        noise += (labels[30:] == -1).sum()
    assert noise > 0


def test_zero_and_minus_zero_are_one_number() -> None:
    vectors = np.array([[1, 0], [1, -0.0], [1, 0]], np.float32)
    assert hdbscan_clusters(vectors, **SMALL).labels.tolist() == [-1, -1, -1]
    assert dbscan_labels(vectors, radius=0.1, min_samples=1).tolist() == [-1, -1, -1]


@pytest.mark.parametrize("allow_single_cluster", [False, True])
@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_of_one_behaviour_however_often_there_is_no_cluster(n: int, allow_single_cluster: bool) -> None:
    vectors = np.repeat(np.eye(1, 8, dtype=np.float32), n, axis=0)
    found = hdbscan_clusters(vectors, **SMALL, allow_single_cluster=allow_single_cluster)
    assert found.labels.tolist() == [-1] * n
    assert found.n_clusters.tolist() == [0]
    assert found.first_cluster.tolist() == [0, 0]
    assert len(found.persistence) == 0
    assert dbscan_labels(vectors, radius=0.1, min_samples=1).tolist() == [-1] * n


def test_fewer_than_a_cluster_are_noise_or_the_only_one() -> None:
    vectors, _ = planted(np.random.default_rng(0), [4])
    assert hdbscan_clusters(vectors, min_cluster_size=5, min_samples=1).labels.tolist() == [-1] * 4
    single = hdbscan_clusters(vectors, min_cluster_size=5, min_samples=1, allow_single_cluster=True)
    assert single.labels.tolist() == [0] * 4


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused_and_its_row_named(value: float) -> None:
    vectors, _ = planted(np.random.default_rng(0), [5, 5])
    vectors[[7, 9], 3] = value
    with pytest.raises(BadInput, match=r"2 of 10 rows, the first of them 7"):
        hdbscan_clusters(vectors, **SMALL)
    with pytest.raises(BadInput, match=r"2 of 10 rows, the first of them 7"):
        dbscan_labels(vectors, radius=1.0, min_samples=1)


def test_numbers_whose_sum_alone_is_infinite_are_let_through() -> None:
    vectors = np.array([[3e38, 0], [3e38, 1e38], [0, 1e38]], np.float32)
    assert dbscan_labels(vectors, radius=1.0, min_samples=1).tolist() == [-1, -1, -1]


@pytest.mark.parametrize(
    "wrong", [{"min_cluster_size": 1}, {"min_samples": 0}, {"min_cluster_size": 2.5}, {"min_samples": np.nan}]
)
def test_impossible_sizes_are_refused(wrong: dict[str, Any]) -> None:
    vectors, _ = planted(np.random.default_rng(0), [5, 5])
    with pytest.raises(BadInput, match=next(iter(wrong))):
        hdbscan_clusters(vectors, **{**SMALL, **wrong})


def test_a_radius_must_be_positive_and_vectors_a_matrix() -> None:
    vectors, _ = planted(np.random.default_rng(0), [5, 5])
    with pytest.raises(BadInput, match="radius"):
        dbscan_labels(vectors, radius=0.0, min_samples=1)
    with pytest.raises(BadInput, match="matrix"):
        hdbscan_clusters(vectors[0], **SMALL)
