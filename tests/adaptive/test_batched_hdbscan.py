"""Batched HDBSCAN is the package's, user by user, and knows nothing of neighbours, orders and repeats."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import hdbscan.hdbscan_
import numpy as np
import pytest
from histories import lattice, lifelike, pack, partition, parts, planted, unit
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptive_mi.batched_hdbscan import batched_hdbscan
from adaptive_mi.density import DensityClusters, Floats, hdbscan_clusters
from baselines.errors import BadInput

LENGTHS = [1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 17, 20, 25, 33, 50, 64, 90, 130, 200]


@pytest.fixture
def stable_sort(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the package sort edges stably."""
    names = {**vars(np), "argsort": lambda values: np.argsort(values, kind="stable")}
    monkeypatch.setattr(hdbscan.hdbscan_, "np", SimpleNamespace(**names))


def agree(found: DensityClusters, users: list[Floats], starts: np.ndarray, **sizes: Any) -> None:
    """Hold the labels of a batch to the slow twin's, and so the persistence of clusters."""
    labels, persistence = parts(found.labels, starts), parts(found.persistence, found.first_cluster)
    for b, user in enumerate(users):
        twin = hdbscan_clusters(user, **sizes)
        np.testing.assert_array_equal(labels[b], twin.labels, err_msg=f"user {b}")
        np.testing.assert_allclose(persistence[b], twin.persistence, rtol=1e-12, err_msg=f"user {b}")
        assert found.n_clusters[b] == twin.n_clusters[0]


def many(seed: int, D: int, ties: bool) -> list[Floats]:
    rng = np.random.default_rng(seed)
    users = [lifelike(rng, n, D, repeats) for n in (*LENGTHS, *range(10, 60)) for repeats in (False, True)]
    if ties:
        corners = [lattice(rng, n, 3) for n in LENGTHS]
        units = [unit(some + np.float32(0.5)) for some in corners]
        users += [np.pad(some, [(0, 0), (0, D - 3)]) for some in (*corners, *units)]
    return users


@pytest.mark.parametrize("allow_single_cluster", [False, True])
@pytest.mark.parametrize(
    ("min_cluster_size", "min_samples", "D"), [(2, 1, 6), (2, 2, 64), (3, 5, 33), (5, 5, 3), (9, 2, 8)]
)
@pytest.mark.usefixtures("stable_sort")
def test_labels_are_those_of_the_package_with_a_stable_sort(
    min_cluster_size: int, min_samples: int, D: int, allow_single_cluster: bool
) -> None:
    sizes: dict[str, Any] = {"min_cluster_size": min_cluster_size, "min_samples": min_samples}
    users = many(seed=min_samples, D=D, ties=True)
    vectors, starts = pack(users)
    found = batched_hdbscan(vectors, starts, **sizes, allow_single_cluster=allow_single_cluster)
    agree(found, users, starts, **sizes, allow_single_cluster=allow_single_cluster)


@pytest.mark.parametrize("min_cluster_size", [2, 4])
def test_where_nothing_is_tied_they_are_those_of_the_package_as_it_is(min_cluster_size: int) -> None:
    sizes: dict[str, Any] = {"min_cluster_size": min_cluster_size, "min_samples": 1}
    users = many(seed=9, D=16, ties=False)
    vectors, starts = pack(users)
    agree(batched_hdbscan(vectors, starts, **sizes), users, starts, **sizes)


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 40), max_size=8),
    D=st.integers(1, 9),
    min_cluster_size=st.integers(2, 6),
    min_samples=st.integers(1, 6),
    tied=st.booleans(),
    seed=st.integers(0, 999),
)
def test_a_user_is_clustered_as_if_alone_in_whatever_order_users_come(
    lengths: list[int], D: int, min_cluster_size: int, min_samples: int, tied: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    sizes: dict[str, Any] = {"min_cluster_size": min_cluster_size, "min_samples": min_samples}
    users = [lattice(rng, n, D) if tied else lifelike(rng, n, D, repeats=True) for n in lengths]
    order = rng.permutation(len(users))
    vectors, starts = pack([np.zeros((0, D), np.float32), *(users[b] for b in order)])
    found = batched_hdbscan(vectors, starts, **sizes)
    labels, persistence = parts(found.labels, starts)[1:], parts(found.persistence, found.first_cluster)[1:]
    assert found.n_clusters[0] == 0
    for place, b in enumerate(order):
        alone = batched_hdbscan(users[b], np.array([0, lengths[b]]), **sizes)
        np.testing.assert_array_equal(labels[place], alone.labels)
        np.testing.assert_array_equal(persistence[place], alone.persistence)
        assert set(labels[place]) - {-1} == set(range(found.n_clusters[place + 1]))


@pytest.mark.parametrize("n_threads", [2, 3, 50])
def test_threads_change_no_bit(n_threads: int) -> None:
    sizes: dict[str, Any] = {"min_cluster_size": 2, "min_samples": 2}
    rng = np.random.default_rng(6)
    for users in ([], [lifelike(rng, n, repeats=True) for n in range(1, 40)]):
        vectors, starts = pack([np.zeros((0, 32), np.float32), *users])
        one = batched_hdbscan(vectors, starts, **sizes)
        several = batched_hdbscan(vectors, starts, **sizes, n_threads=n_threads)
        np.testing.assert_array_equal(one.labels, several.labels)
        np.testing.assert_array_equal(one.n_clusters, several.n_clusters)
        np.testing.assert_array_equal(one.persistence, several.persistence)


def test_the_order_of_behaviours_does_not_matter_where_nothing_is_tied() -> None:
    sizes: dict[str, Any] = {"min_cluster_size": 3, "min_samples": 1}
    rng = np.random.default_rng(5)
    users = [lifelike(rng, n, repeats=True) for n in range(1, 80)]
    orders = [rng.permutation(len(user)) for user in users]
    vectors, starts = pack(users)
    shuffled, _ = pack([user[order] for user, order in zip(users, orders, strict=True)])
    before, after = (parts(batched_hdbscan(some, starts, **sizes).labels, starts) for some in (vectors, shuffled))
    for one, other, order in zip(before, after, orders, strict=True):
        assert partition(one[order]) == partition(other)
    assert any(label > 0 for labels in before for label in labels)


@pytest.mark.parametrize("min_samples", [1, 3])
def test_repeats_share_their_label_and_change_no_other(min_samples: int) -> None:
    sizes: dict[str, Any] = {"min_cluster_size": 3, "min_samples": min_samples}
    for seed in range(10):
        rng = np.random.default_rng(seed)
        user = lifelike(rng, n=30)
        again = rng.integers(0, 30, 25)
        once = batched_hdbscan(user, np.array([0, 30]), **sizes)
        twice = batched_hdbscan(np.concatenate([user, user[again]]), np.array([0, 55]), **sizes)
        np.testing.assert_array_equal(twice.labels, np.concatenate([once.labels, once.labels[again]]))
        np.testing.assert_array_equal(twice.persistence, once.persistence)


def test_planted_groups_are_found() -> None:
    rng = np.random.default_rng(3)
    drawn = [planted(rng, rng.integers(5, 12, n_groups), D=64) for n_groups in range(2, 10)]
    vectors, starts = pack([user for user, _ in drawn])
    found = batched_hdbscan(vectors, starts, min_cluster_size=4, min_samples=1)
    assert found.n_clusters.tolist() == list(range(2, 10))
    for labels, (_, group) in zip(parts(found.labels, starts), drawn, strict=True):
        clusters, noise = partition(labels)
        assert len(noise) <= len(group) // 10
        assert all(len(set(group[list(cluster)])) == 1 for cluster in clusters)


@pytest.mark.parametrize("allow_single_cluster", [False, True])
def test_no_behaviour_a_single_one_and_repeats_of_it_are_noise(allow_single_cluster: bool) -> None:
    one = np.eye(1, 5, dtype=np.float32)
    vectors, starts = pack(
        [one[:0], one, np.repeat(one, 9, axis=0), np.where(one == 0, np.float32(-0.0), one), one[:0]]
    )
    both = np.concatenate([vectors, one])  # the last but one user has it with either zero
    found = batched_hdbscan(
        both, np.append(starts[:-1], 12), min_cluster_size=2, min_samples=1, allow_single_cluster=allow_single_cluster
    )
    assert found.labels.tolist() == [-1] * 12
    assert found.n_clusters.tolist() == [0] * 5
    assert len(found.persistence) == 0


def test_no_users_have_no_clusters() -> None:
    found = batched_hdbscan(np.zeros((0, 4), np.float32), np.array([0]), min_cluster_size=2, min_samples=1)
    assert len(found.labels) == len(found.n_clusters) == len(found.persistence) == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_refused(value: float) -> None:
    vectors, _ = planted(np.random.default_rng(0), [5, 5])
    vectors[4, 31] = value
    with pytest.raises(BadInput, match="1 of 10 rows, the first of them 4"):
        batched_hdbscan(vectors, np.array([0, 10]), min_cluster_size=2, min_samples=1)


@pytest.mark.parametrize("starts", [[], [0, 9], [1, 10], [0, 7, 4, 10], [0, 11]])
def test_starts_that_do_not_cover_the_vectors_are_refused(starts: list[int]) -> None:
    vectors, _ = planted(np.random.default_rng(0), [5, 5])
    with pytest.raises(BadInput, match="from 0 to 10"):
        batched_hdbscan(vectors, np.array(starts, np.int64), min_cluster_size=2, min_samples=1)


@pytest.mark.parametrize("wrong", [{"min_cluster_size": 1}, {"min_samples": 0}])
def test_impossible_sizes_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=next(iter(wrong))):
        batched_hdbscan(
            np.eye(4, dtype=np.float32), np.array([0, 4]), **{"min_cluster_size": 2, "min_samples": 1, **wrong}
        )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.usefixtures("stable_sort")
def test_labels_are_those_of_the_package_in_thousands_of_cases(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes: dict[str, Any] = {
        name: int(rng.integers(low, 9)) for name, low in (("min_cluster_size", 2), ("min_samples", 1))
    }
    sizes["allow_single_cluster"] = bool(rng.random() < 0.3)
    users = many(seed, D=int(rng.integers(3, 70)), ties=True)
    users += [lifelike(rng, int(rng.integers(1, 60)), users[0].shape[1], repeats=True) for _ in range(100)]
    vectors, starts = pack(users)
    agree(batched_hdbscan(vectors, starts, **sizes), users, starts, **sizes)
