"""The gap statistic follows the paper's formulas and rule, and its reference depends on nothing but n, k and D."""

from __future__ import annotations

import numpy as np
import pytest
from histories import lifelike, pack, parts, planted, unit
from scipy.spatial.distance import pdist

from adaptive_mi import gap_statistic
from adaptive_mi.dendrogram import Dendrograms
from adaptive_mi.density import Floats
from adaptive_mi.gap_statistic import GapReference, gap_k, log_dispersions, uniform_reference
from adaptive_mi.linkage import average_linkage
from baselines.errors import BadInput

D = 32


def grow(users: list[Floats]) -> tuple[Floats, Dendrograms]:
    vectors, starts = pack(users)
    return vectors, average_linkage(vectors, starts)


def reference(lengths: list[int], max_clusters: int = 6, n_draws: int = 50) -> GapReference:
    return uniform_reference(np.array(lengths), D, max_clusters, np.random.default_rng(7), n_draws=n_draws)


def test_dispersion_is_that_of_all_pairs_within_clusters() -> None:
    rng = np.random.default_rng(0)
    users = [lifelike(rng, n, D) for n in (1, 2, 3, 4, 9, 30, 80)]
    vectors, trees = grow(users)
    found = log_dispersions(vectors, trees, 6)
    for b, user in enumerate(users):
        assert np.flatnonzero(~np.isnan(found[b])).tolist() == list(range(1, min(6, len(user) - 1) + 1))
        for k in range(1, min(6, len(user) - 1) + 1):
            labels = parts(trees.cut(np.minimum(k, trees.n_behaviours)), trees.starts)[b]
            clusters = [user[labels == r].astype(np.float64) for r in range(k)]
            W = sum((pdist(rows) ** 2).sum() / len(rows) for rows in clusters)  # each pair once, hence not 2n
            assert found[b, k] == pytest.approx(np.log(W), abs=1e-5)


def test_k_is_by_the_rule_of_the_paper() -> None:
    rng = np.random.default_rng(1)
    users = [lifelike(rng, n, D) for n in range(1, 60)]
    vectors, trees = grow(users)
    table = reference([len(user) for user in users])
    gaps = table.log_dispersion[trees.n_behaviours] - log_dispersions(vectors, trees, 6)
    expected = []
    for gap, n in zip(gaps, trees.n_behaviours, strict=True):
        K = 1
        while min(6, n - 1) > K and gap[K] < gap[K + 1] - table.error[n, K + 1]:
            K += 1
        expected.append(K)
    assert gap_k(vectors, trees, table).tolist() == expected
    assert set(expected) == {1, 2, 3, 4, 5, 6}


def test_the_reference_is_the_mean_and_deviation_of_vectors_on_the_sphere() -> None:
    rng = np.random.default_rng(2)
    draws = [unit(rng.standard_normal((20, D))) for _ in range(2000)]
    log_W = log_dispersions(*grow(draws), 6)[:, 1:]
    table = reference([20], n_draws=400)
    np.testing.assert_allclose(table.log_dispersion[20, 1:], log_W.mean(0), atol=4 * log_W.std() / 20)
    np.testing.assert_allclose(table.error[20, 1:], log_W.std(0), rtol=0.2)


def test_the_error_allows_for_the_number_of_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = np.array([[np.nan, 1, 5], [np.nan, 2, 5], [np.nan, 3, 8]])
    monkeypatch.setattr(gap_statistic, "log_dispersions", lambda *_: drawn)
    table = reference([9], max_clusters=2, n_draws=3)
    np.testing.assert_allclose(table.log_dispersion[9], [np.nan, 2, 6])
    np.testing.assert_allclose(table.error[9, 1:], [np.sqrt(2 / 3 * 4 / 3), np.sqrt(2 * 4 / 3)])


def test_planted_groups_are_counted() -> None:
    rng = np.random.default_rng(3)
    users = [planted(rng, [7] * n_groups, spread=0.05, D=D)[0] for n_groups in range(1, 6)]
    assert gap_k(*grow(users), reference([7, 14, 21, 28, 35])).tolist() == [1, 2, 3, 4, 5]


def test_vectors_without_clusters_mostly_get_one() -> None:
    rng = np.random.default_rng(4)
    users = [unit(rng.standard_normal((25, D))) for _ in range(200)]
    assert (gap_k(*grow(users), reference([25])) == 1).mean() > 0.7


def test_histories_too_short_to_have_a_gap() -> None:
    one, two = np.eye(1, D, dtype=np.float32), np.eye(2, D, dtype=np.float32)
    vectors, trees = grow([one[:0], one, two, one[:0]])
    assert gap_k(vectors, trees, reference([2])).tolist() == [0, 1, 1, 0]


def test_repeats_never_make_more_clusters_than_items() -> None:
    rng = np.random.default_rng(5)
    users = [lifelike(rng, m, D)[rng.permutation(np.repeat(np.arange(m), 4))] for m in (1, 1, 2, 2, 3)]
    vectors, trees = grow(users)
    assert np.isneginf(log_dispersions(vectors, trees, 6)).sum(1).tolist() == [3, 3, 5, 5, 4]
    K = gap_k(vectors, trees, reference([4, 8, 12]))
    assert (K <= [1, 1, 2, 2, 3]).all()
    assert K[:4].tolist() == [1, 1, 2, 2]


def test_a_length_is_drawn_alike_whatever_the_other_lengths() -> None:
    few, many = reference([9, 9]), reference([0, 1, 9, 4, 30])
    np.testing.assert_array_equal(few.log_dispersion[9], many.log_dispersion[9])
    np.testing.assert_array_equal(few.error[9], many.error[9])
    assert np.isnan(many.error[[0, 1, 2, 3, 29]]).all()
    assert many.error.shape == (31, 7)
    other = uniform_reference(np.array([9]), D, 6, np.random.default_rng(8), n_draws=50)
    assert (few.log_dispersion[9, 1:] != other.log_dispersion[9, 1:]).all()


def test_users_change_nothing_for_each_other() -> None:
    rng = np.random.default_rng(6)
    users = [lifelike(rng, int(n), D, repeats=True) for n in rng.integers(0, 30, 40)]
    table, order = reference(list(range(30))), rng.permutation(40)
    found = gap_k(*grow(users), table)
    np.testing.assert_array_equal(gap_k(*grow([users[b] for b in order]), table), found[order])
    np.testing.assert_array_equal(np.concatenate([gap_k(*grow([user]), table) for user in users]), found)
    assert len(set(found)) > 3


def test_what_the_reference_was_not_drawn_for_is_refused() -> None:
    vectors, trees = grow([np.eye(n, D, dtype=np.float32) for n in (3, 5, 7, 9)])
    with pytest.raises(BadInput, match="histories of 5, 9 behaviours"):
        gap_k(vectors, trees, reference([3, 7]))
    with pytest.raises(BadInput, match="32 wide"):
        gap_k(vectors[:, :9].copy(), trees, reference([3, 5, 7, 9]))
    with pytest.raises(BadInput, match="24 behaviours, got 23"):
        gap_k(vectors[:-1], trees, reference([3, 5, 7, 9]))


@pytest.mark.parametrize("wrong", [{"width": 1}, {"max_clusters": 0}, {"n_draws": 1}])
def test_impossible_references_are_refused(wrong: dict[str, int]) -> None:
    sizes = {"width": 8, "max_clusters": 3, "n_draws": 10, **wrong}
    with pytest.raises(BadInput, match=next(iter(wrong))):
        uniform_reference(np.array([4]), generator=np.random.default_rng(0), **sizes)
