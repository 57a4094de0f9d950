"""The spectral start against plain Python and dense linear algebra, and what it must not depend on."""

from __future__ import annotations

import gc
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from ragged import sequences
from scipy import sparse

from baselines import spectral
from baselines.errors import BadInput
from baselines.spectral import cooccurrence, leading_vectors, shifted_ppmi, spectral_table

Users = list[list[int]]
users_strategy = st.lists(st.lists(st.integers(1, 7), min_size=1, max_size=9), min_size=1, max_size=6)


def slow_counts(users: Users, window: int) -> Counter[tuple[int, int]]:
    """Step 1 of `spectral_table`, pair by pair."""
    found: Counter[tuple[int, int]] = Counter()
    for user in users:
        for s, i in enumerate(user):
            for t, j in enumerate(user):
                if s != t and abs(s - t) <= window:
                    found[i, j] += 1
    return found


def slow_information(users: Users, window: int, shift: float) -> NDArray[np.float64]:
    """Steps 1 and 2, cell by cell."""
    count = slow_counts(users, window)
    of_item: Counter[int] = Counter()
    for (i, _), n in count.items():
        of_item[i] += n
    total = sum(count.values())
    M = np.zeros((8, 8))
    for (i, j), n in count.items():
        M[i, j] = max(0.0, math.log(n * total / (of_item[i] * of_item[j])) - math.log(shift))
    return M


@settings(max_examples=60, deadline=None)
@given(users=users_strategy, window=st.integers(1, 12), shift=st.sampled_from([1.0, 1.5, 5.0]))
def test_shifted_ppmi_agrees_with_its_slow_twin(users: Users, window: int, shift: float) -> None:
    count = cooccurrence(sequences(users, 7), window)
    assert {(i, j): count[i, j] for i, j in zip(*count.nonzero(), strict=True)} == slow_counts(users, window)
    expected = slow_information(users, window, shift)
    np.testing.assert_allclose(shifted_ppmi(count, shift).toarray(), expected, atol=1e-12)


def test_a_worked_example() -> None:
    """Users 1 2 and 2 3: #(1,2) = #(2,3) = 1, T = 4, #(2) = 2, #(1) = #(3) = 1: M_12 = M_23 = log 2."""
    M = shifted_ppmi(cooccurrence(sequences([[1, 2], [2, 3]], 3), 5), 1.0).toarray()
    expected = np.zeros((4, 4))
    expected[[1, 2, 2, 3], [2, 1, 3, 2]] = math.log(2)
    np.testing.assert_allclose(M, expected, atol=1e-12)


def random_users(n_users: int, n_items: int, seed: int = 0) -> Users:
    """Zipf-like histories in which neighbours in number come together."""
    rng = np.random.default_rng(seed)
    start = (n_items * rng.random(n_users) ** 2).astype(int)
    return [((s + rng.integers(0, 20, size=8)) % n_items + 1).tolist() for s in start]


@pytest.mark.parametrize("n_items", [90, 510], ids=["dense solver", "sparse solver"])
def test_the_vectors_are_the_best_approximation_of_their_rank(n_items: int) -> None:
    M = shifted_ppmi(cooccurrence(sequences(random_users(600, n_items), n_items), 5), 1.0)
    U, s, Vt = np.linalg.svd(M.toarray())
    x = leading_vectors(M, 12, 1.0)  # x x' = M_D M_D', whatever the signs of the eigenvalues
    best = (U[:, :12] * s[:12]) @ Vt[:12]
    np.testing.assert_allclose(x @ x.T, best @ best.T, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(x, axis=0), s[:12], rtol=1e-8)
    half = leading_vectors(M, 12, 0.5)
    np.testing.assert_allclose(np.linalg.norm(half, axis=0), np.sqrt(s[:12]), rtol=1e-8)
    assert (x.max(0) >= -x.min(0)).all()


def cosines(table: NDArray[np.float32]) -> NDArray[np.float32]:
    unit = table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
    return unit @ unit.T


def communities(n_users: int = 400, size: int = 30) -> Users:
    """Users of two disjoint kinds of items, 1..size and size+1..2 size."""
    rng = np.random.default_rng(0)
    return [(rng.integers(1, size + 1, size=6) + size * (u % 2)).tolist() for u in range(n_users)]


@pytest.mark.parametrize("width", [2, 8])
def test_planted_communities_end_up_apart(width: int) -> None:
    table = spectral_table(sequences(communities(), 60), width, 0.1, shift=1.0)
    near = cosines(table)[1:, 1:]
    inside = (near[:30, :30].sum() + near[30:, 30:].sum() - 60) / (2 * 30 * 29)
    assert inside > near[:30, 30:].mean() + 0.2


def test_popularity_does_not_dominate() -> None:
    """An item that everybody has tells nothing: it is no nearer to others than a rare one of their kind, nor longer."""
    users = [[*user[:3], 61, *user[3:]] for user in communities()]
    table = spectral_table(sequences(users, 61), 2, 0.1)
    near = cosines(table)[1:, 1:]
    assert np.mean(near[:30, :30]) > np.mean(near[:30, 60]) + 0.1
    assert np.mean(near[30:60, 30:60]) > np.mean(near[30:60, 60]) + 0.1


@pytest.mark.parametrize("width", [4, 64])
def test_every_item_has_the_length_of_a_random_start_and_padding_none(width: int) -> None:
    users = [*random_users(50, 30), [31]]  # 31 meets nobody, 32 never occurs
    table = spectral_table(sequences(users, 32), width, 0.1)
    assert table.shape == (33, width)
    assert table.dtype == np.float32
    assert not table[0].any()
    np.testing.assert_allclose(np.linalg.norm(table[1:], axis=1), 0.1 * math.sqrt(width), rtol=1e-5)
    assert abs(cosines(table)[31, 32]) < 0.99  # each its own direction
    assert table.any(axis=0).all()  # no dimension is empty, though 32 items do not fill 64


def test_a_log_in_which_nothing_occurs_together_gives_a_random_start() -> None:
    for n_items in (5, 800):
        table = spectral_table(sequences([[1], [2]], n_items), 4, 0.1)
        np.testing.assert_allclose(np.linalg.norm(table[1:], axis=1), 0.2, rtol=1e-5)


@pytest.mark.parametrize("exponent", [0.0, 0.5])
@pytest.mark.parametrize("n_items", [20, 510], ids=["dense solver", "sparse solver"])
def test_few_dimensions_are_found_where_there_are_few(n_items: int, exponent: float) -> None:
    """However many items the catalogue has, and however many dimensions are asked for."""
    M = shifted_ppmi(cooccurrence(sequences([[1, 2], [2, 1], [3, 4, 5, 3]], n_items), 1), 1.0)
    x = leading_vectors(M, 12, exponent)
    rank = np.linalg.matrix_rank(M.toarray())
    assert np.isfinite(x).all()
    np.testing.assert_allclose(x[6:], 0, atol=1e-9)
    assert np.linalg.matrix_rank(x, tol=1e-6) == (np.abs(x).max(0) > 1e-6).sum() == rank


def test_many_components_of_equal_strength_are_no_obstacle() -> None:
    """Three hundred components of equal strength: the D dimensions are any of them, and the others are random."""
    pairs = [[i, i + 1] for i in range(1, 600, 2)]
    table = spectral_table(sequences(pairs, 600), 16, 0.1)
    assert np.array_equal(table, spectral_table(sequences(pairs, 600), 16, 0.1))
    np.testing.assert_allclose(np.linalg.norm(table[1:], axis=1), 0.4, rtol=1e-5)


@pytest.mark.parametrize("n_items", [90, 900])
def test_equal_logs_give_equal_tables_and_the_seed_only_changes_the_noise(n_items: int) -> None:
    users = random_users(600, n_items)
    tables = [spectral_table(sequences(users, n_items), 16, 0.1, seed=seed) for seed in (0, 0, 1)]
    assert np.array_equal(tables[0], tables[1])
    assert not np.array_equal(tables[0], tables[2])
    known = np.unique(np.array(users))
    np.testing.assert_array_less(0.9, (tables[0] * tables[2]).sum(1)[known].mean() / (0.1**2 * 16))


def test_the_order_of_users_does_not_matter() -> None:
    users = random_users(100, 40)
    first, second = (spectral_table(sequences(some, 40), 8, 0.1) for some in (users, users[::-1]))
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_it_is_computed_once_for_as_long_as_the_log_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counting(train: object, window: int) -> sparse.csr_matrix:
        calls.append(window)
        return cooccurrence(train, window)  # type: ignore[arg-type]

    monkeypatch.setattr(spectral, "cooccurrence", counting)
    gc.collect()
    before = len(spectral._known)
    train = sequences(random_users(100, 40), 40)
    first = spectral_table(train, 8, 0.1)
    first *= 2  # the caller's own
    np.testing.assert_allclose(spectral_table(train, 8, 0.2), first, rtol=1e-6)
    spectral_table(train, 8, 0.1, seed=5)
    assert len(calls) == 1
    spectral_table(train, 8, 0.1, window=3)
    assert len(calls) == 2
    del train
    gc.collect()
    assert len(spectral._known) == before


@pytest.mark.parametrize(
    "knob",
    [{"window": 0}, {"shift": 0.5}, {"exponent": -1.0}, {"exponent": math.nan}],
    ids=lambda knob: next(iter(knob)),
)
def test_impossible_knobs_are_bad_input(knob: dict[str, float]) -> None:
    with pytest.raises(BadInput, match=next(iter(knob))):
        spectral_table(sequences([[1, 2]], 2), 2, 0.1, **knob)  # type: ignore[arg-type]
