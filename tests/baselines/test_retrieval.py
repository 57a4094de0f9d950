"""Exact retrieval against a slow float64 twin, on inputs made to break it."""

from __future__ import annotations

import threading
import tracemalloc
from dataclasses import dataclass
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from baselines.aggregation import aggregate
from baselines.config import Aggregation
from baselines.interests import Interests
from baselines.ranker import Ranking
from baselines.retrieval import Queries, plan_tiles, tile_bytes, top_n_of_interests, top_n_of_scores
from baselines.retrieval_pools import pool_bytes

AGGREGATIONS = get_args(Aggregation)


@dataclass
class Case:
    """Queries of users with 1 to `max_k` interests, and items."""

    queries: Queries
    items: NDArray[np.float32]


def make_case(
    seed: int, *, n_users: int = 5, n_items: int = 60, max_k: int = 4, width: int = 7, kind: str = "normal"
) -> Case:
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, max_k + 1, n_users)
    vectors = rng.standard_normal((counts.sum(), width))
    items = rng.standard_normal((n_items + 1, width))
    log_weight = rng.standard_normal(counts.sum()) * rng.choice([0.0, 1.0, 30.0])
    if kind == "few distinct":  # exact ties everywhere
        items = rng.integers(-1, 2, items.shape).astype(float)
        vectors = rng.integers(-1, 2, vectors.shape).astype(float)
        log_weight[:] = 0
    elif kind == "all equal":
        items[:] = items[1]
    elif kind == "zero":
        items[:], vectors[::2] = 0, 0
    elif kind == "signed zero":
        items, vectors, log_weight = items * 0, -np.abs(vectors), log_weight * 0
    elif kind == "huge":
        items, vectors = items * 1e15, vectors * 1e16
    elif kind == "tiny":
        items, vectors, log_weight = items * 1e-20, vectors * 1e-19, log_weight * 0
    elif kind == "uneven":  # one item far longer than the rest, which makes the rounding bound wide
        items[n_items // 2] *= 1e6
    elif kind == "near ties":  # items that differ by a few units in the last place
        items = np.abs(items[1]) * (1 + rng.integers(-3, 4, (n_items + 1, 1)) * 2.0**-23)
    elif kind == "heavy":  # log weights that dwarf the matches
        log_weight = rng.standard_normal(counts.sum()) * 1e5
    items[0] = np.nan  # padding is never read
    queries = Queries(vectors.astype(np.float32), log_weight.astype(np.float32), np.concatenate([[0], counts.cumsum()]))
    return Case(queries, items.astype(np.float32))


KINDS = (
    "normal", "few distinct", "all equal", "zero", "signed zero", "huge", "tiny", "uneven", "near ties", "heavy",
)  # fmt: skip


def twin_scores(case: Case, aggregation: Aggregation) -> NDArray[np.float64]:
    """Score every item for every user in plain float64, [B, N + 1]; padding scores -inf."""
    q, items = case.queries, case.items[1:].astype(np.float64)
    scores = np.full((len(q.offsets) - 1, len(case.items)), -np.inf)
    for b in range(len(scores)):
        own = slice(q.offsets[b], q.offsets[b + 1])
        vectors, log_weight = q.vectors[own].astype(np.float64), q.log_weight[own].astype(np.float64)
        if aggregation == "mean_interests":  # one query, rounded to float32
            share = np.exp(log_weight - log_weight.max())
            vectors, log_weight = (rounded(share @ x / share.sum())[None] for x in (vectors, log_weight))
        matches = items @ vectors.T + log_weight  # [N, K]
        top = matches.max(1)
        share = np.exp(matches - top[:, None])
        scores[b, 1:] = {
            "best_interest": top,
            "soft_interests": top + np.log(share.sum(1)),
            "mean_interests": top,
            "attentive_interests": (share * matches).sum(1) / share.sum(1),
        }[aggregation]
    return scores


def rounded(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round to float32."""
    return np.asarray(x, np.float32).astype(np.float64)


def assert_is_the_best(ranking: Ranking, scores: NDArray[np.float64], top_n: int) -> None:
    """The list is sorted and, but for the rounding of scores to float32, what sorting all N items gives."""
    B, N = len(scores), scores.shape[1] - 1
    n = min(top_n, N)
    assert ranking.items.shape == (B, top_n)
    assert (ranking.items[:, n:] == 0).all()
    assert np.isneginf(ranking.scores[:, n:]).all()
    for b in range(B):
        items, found = ranking.items[b, :n], ranking.scores[b, :n]
        assert len(set(items.tolist())) == n
        assert items.min() >= 1
        rounding = 2.0**-23 * np.abs(scores[b, 1:]).max() + 1e-37
        np.testing.assert_allclose(found, scores[b, items], rtol=0, atol=rounding)
        keys = [(-score, item) for score, item in zip(found.tolist(), items.tolist(), strict=True)]
        assert keys == sorted(keys), "descending, ties by ascending id"
        left_out = np.setdiff1d(np.arange(1, N + 1), items)
        if len(left_out):
            assert scores[b, left_out].max() <= scores[b, items].min() + rounding
    expected = top_n_of_scores(scores.astype(np.float32), top_n)
    np.testing.assert_allclose(ranking.scores, expected.scores, rtol=2e-7, atol=1e-37)


def assert_same(one: Ranking, other: Ranking) -> None:
    np.testing.assert_array_equal(one.items, other.items)
    np.testing.assert_array_equal(one.scores.view(np.uint32), other.scores.view(np.uint32))


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    aggregation=st.sampled_from(AGGREGATIONS),
    n_items=st.sampled_from([1, 2, 50, 400]),
    max_k=st.sampled_from([1, 4, 9]),
    width=st.sampled_from([1, 8, 13]),
    top_n=st.sampled_from([1, 3, 40, 500]),
    memory_budget=st.sampled_from([1, 3000, 20_000, 1 << 24]),
    n_threads=st.integers(1, 3),
)
def test_the_ranking_is_what_sorting_all_scores_gives(
    seed: int, kind: str, aggregation: Aggregation, n_items: int, max_k: int, width: int, top_n: int,
    memory_budget: int, n_threads: int,
) -> None:  # fmt: skip
    case = make_case(seed, n_users=3, n_items=n_items, max_k=max_k, width=width, kind=kind)
    ranking = top_n_of_interests(case.queries, case.items, top_n, aggregation, memory_budget, n_threads)
    assert_is_the_best(ranking, twin_scores(case, aggregation), top_n)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_no_bit_depends_on_tiles_threads_or_company(kind: str, aggregation: Aggregation) -> None:
    case = make_case(1, n_users=23, n_items=900, width=16, kind=kind)
    q = case.queries
    usual = top_n_of_interests(q, case.items, 50, aggregation)
    for memory_budget, n_threads in ((1500, 2), (30_000, 1), (200_000, 3)):
        assert_same(top_n_of_interests(q, case.items, 50, aggregation, memory_budget, n_threads), usual)
    for b in range(0, 23, 7):
        own = slice(q.offsets[b], q.offsets[b + 1])
        alone = Queries(q.vectors[own][::-1], q.log_weight[own][::-1], np.array([0, own.stop - own.start]))
        found = top_n_of_interests(alone, case.items, 50, aggregation)
        assert_same(found, Ranking(usual.items[b : b + 1], usual.scores[b : b + 1]))


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_equal_items_tie_and_come_by_ascending_id(aggregation: Aggregation) -> None:
    case = make_case(2, n_users=4, n_items=5000, kind="all equal")
    ranking = top_n_of_interests(case.queries, case.items, 80, aggregation)
    np.testing.assert_array_equal(ranking.items, np.tile(np.arange(1, 81), (4, 1)))
    assert (ranking.scores == ranking.scores[:, :1]).all()


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("top_n", [1, 2, 5])
def test_a_crowd_just_within_rounding_of_the_best_never_overruns_the_pool(aggregation: Aggregation, top_n: int) -> None:
    """Groups of near-equal items, each group better than the one before by more than rounding, block after block."""
    rng = np.random.default_rng(0)
    for group in (20, 33, 40, 63):
        level = np.arange(4000) // group
        value = (1 + level * 1e-3) * (1 + rng.integers(0, 3, 4000) * 2.0**-23)
        items = np.concatenate([[np.nan], value]).astype(np.float32)[:, None]
        queries = Queries(np.ones((3, 1), np.float32), np.zeros(3, np.float32), np.array([0, 1, 3]))
        ranking = top_n_of_interests(queries, items, top_n, aggregation)
        assert_is_the_best(ranking, twin_scores(Case(queries, items), aggregation), top_n)


def test_minus_zero_and_zero_are_one_score() -> None:
    items = np.array([[0], [0.0], [-0.0], [0.0], [-0.0]], np.float32)
    queries = Queries(np.array([[1.0], [-1.0]], np.float32), np.array([-0.0, 0.0], np.float32), np.array([0, 1, 2]))
    assert top_n_of_interests(queries, items, 4).items.tolist() == [[1, 2, 3, 4]] * 2
    assert top_n_of_scores(np.array([[9, -0.0, 0.0, -0.0]], np.float32), 3).items.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_user_may_have_very_many_interests(aggregation: Aggregation) -> None:
    case = make_case(3, n_users=1, n_items=50, width=3)
    vectors = np.random.default_rng(0).standard_normal((3000, 3)).astype(np.float32)
    many = Case(Queries(vectors, np.zeros(3000, np.float32), np.array([0, 1, 3000])), case.items)
    ranking = top_n_of_interests(many.queries, many.items, 10, aggregation, memory_budget=50_000)
    assert_is_the_best(ranking, twin_scores(many, aggregation), 10)


def test_all_aggregations_agree_where_a_user_has_one_interest() -> None:
    case = make_case(4, n_users=30, n_items=500, max_k=1)
    best, *others = (top_n_of_interests(case.queries, case.items, 20, aggregation) for aggregation in AGGREGATIONS)
    for other in others:
        assert_same(best, other)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_scores_are_those_of_the_plain_formulas(aggregation: Aggregation) -> None:
    """For users with different numbers of interests, some of them dead, as `aggregate` joins them."""
    case = make_case(11, n_users=6, n_items=40)
    q, K = case.queries, int(np.diff(case.queries.offsets).max())
    mask = torch.arange(K) < torch.from_numpy(np.diff(q.offsets))[:, None]
    vectors, log_weight = torch.full((6, K, 7), torch.nan), torch.full((6, K), torch.nan)
    vectors[mask], log_weight[mask] = torch.from_numpy(q.vectors), torch.from_numpy(q.log_weight)
    users = Interests(vectors, mask, log_weight, torch.zeros(6, 1, K))
    expected = aggregate(users, torch.from_numpy(case.items[1:]), aggregation).numpy()
    found = top_n_of_interests(q, case.items, 40, aggregation)
    np.testing.assert_allclose(found.scores, np.take_along_axis(expected, found.items - 1, 1), rtol=1e-5, atol=1e-5)


def test_the_slack_covers_what_attention_makes_of_rounding() -> None:
    """No error of the matches grows by more than 1 + 2 log K: the derivatives, summed, never exceed it."""
    rng = np.random.default_rng(0)
    for K in (2, 4, 16, 300):
        for spread in (0.1, 1.0, 3.0, 10.0):
            match = rng.standard_normal((1000, K)) * spread
            match[::2, 1:] = match[::2, 1:2]  # one against many equal ones, the worst there is
            share = np.exp(match - match.max(1, keepdims=True))
            share /= share.sum(1, keepdims=True)
            slope = share * (1 + match - (share * match).sum(1, keepdims=True))
            assert np.abs(slope).sum(1).max() <= 1 + 2 * np.log(K)


def test_equal_interests_lift_every_soft_score_by_their_log_number() -> None:
    case = make_case(5, n_users=1, n_items=200, max_k=1)
    q = case.queries
    four = Queries(np.repeat(q.vectors, 4, 0), np.repeat(q.log_weight, 4), np.array([0, 4]))
    one, lifted = (top_n_of_interests(queries, case.items, 20, "soft_interests") for queries in (q, four))
    np.testing.assert_array_equal(one.items, lifted.items)
    np.testing.assert_allclose(lifted.scores, one.scores + np.log(4), rtol=1e-6)


def test_nobody_and_nothing_are_ranked_quietly() -> None:
    nobody = Queries(np.zeros((0, 3), np.float32), np.zeros(0, np.float32), np.array([0]))
    assert top_n_of_interests(nobody, np.ones((5, 3), np.float32), 4).items.shape == (0, 4)
    case = make_case(6, n_users=2)
    assert (top_n_of_interests(case.queries, case.items[:1], 4).items == 0).all()
    assert top_n_of_interests(case.queries, case.items, 0).items.shape == (2, 0)


@pytest.mark.parametrize("where", ["vectors", "log_weight", "items"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(where: str, value: float) -> None:
    case = make_case(7)
    array = case.items if where == "items" else getattr(case.queries, where)
    array[-1] = value
    for aggregation in AGGREGATIONS:
        with pytest.raises(ValueError, match="finite"):
            top_n_of_interests(case.queries, case.items, 5, aggregation)


def test_scores_that_would_overflow_float32_are_refused() -> None:
    case = make_case(8)
    with pytest.raises(ValueError, match="within float32"):
        top_n_of_interests(case.queries, case.items * np.float32(1e38), 5)


def test_a_user_without_an_interest_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one live interest"):
        Queries(np.zeros((2, 3), np.float32), np.zeros(2, np.float32), np.array([0, 0, 2]))
    with pytest.raises(ValueError, match="partition"):
        Queries(np.zeros((2, 3), np.float32), np.zeros(2, np.float32), np.array([0, 1]))


@settings(max_examples=100, deadline=None)
@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=60),
    top_n=st.integers(1, 200),
    budget=st.integers(1, 3_000_000),
)
def test_tiles_cover_all_users_once_and_stay_within_the_budget(counts: list[int], top_n: int, budget: int) -> None:
    offsets = np.concatenate([[0], np.cumsum(counts)])
    tiles = plan_tiles(offsets, top_n, budget)
    assert [user for tile in tiles for user in range(tile.start, tile.stop)] == list(range(len(counts)))
    for tile in tiles:
        one_user_one_item = 4 * (offsets[tile.start + 1] - offsets[tile.start]) + pool_bytes(top_n)
        assert tile_bytes(tile, offsets, top_n) <= max(budget, one_user_one_item)
        assert tile.columns >= 1


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("budget", [200_000, 1_000_000, 8_000_000])
def test_what_is_really_allocated_stays_within_the_budget(budget: int, n_threads: int) -> None:
    case = make_case(9, n_users=1000, n_items=20_000, width=8)
    top_n_of_interests(case.queries, case.items, 100, memory_budget=budget, n_threads=n_threads)
    tracemalloc.start()  # numpy tells it of every array
    top_n_of_interests(case.queries, case.items, 100, memory_budget=budget, n_threads=n_threads)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    result = 1000 * 100 * 8
    of_users_and_items = 8 * (10 * len(case.queries.vectors) + 4 * len(case.items)) + 100_000
    assert peak <= result + of_users_and_items + budget


def test_products_inside_are_single_threaded_and_the_caller_keeps_its_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = set()
    product = torch.mm

    def spy(*args: torch.Tensor, **kwargs: torch.Tensor) -> torch.Tensor:
        seen.add((torch.get_num_threads(), threading.current_thread() is threading.main_thread()))
        return product(*args, **kwargs)

    monkeypatch.setattr(torch, "mm", spy)
    case, before = make_case(10), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        top_n_of_interests(case.queries, case.items, 5, n_threads=2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == {(1, False)}


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_items=st.integers(0, 30), top_n=st.integers(1, 40))
def test_given_scores_are_ranked_as_sorting_ranks_them(seed: int, n_items: int, top_n: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(-3, 4, (4, n_items + 1)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.3] = -np.inf
    found = top_n_of_scores(scores, top_n)
    for row, items in zip(scores, found.items.tolist(), strict=True):
        ranked = sorted((i for i in range(1, n_items + 1) if row[i] > -np.inf), key=lambda i: (-row[i], i))[:top_n]
        assert items == ranked + [0] * (top_n - len(ranked))
    with pytest.raises(ValueError, match="NaN"):
        top_n_of_scores(np.array([[0, np.nan]], np.float32), 1)
