"""Re-ranking against slow greedy twins in plain Python and NumPy, and its laws."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from ragged import batch
from scipy import sparse

from baselines.batch import Batch
from baselines.config import RerankingConfig
from baselines.errors import BadInput
from baselines.ranker import Ranker, Ranking
from baselines.reranking import Reranked, controllable, dpp
from baselines.retrieval import top_n_of_scores

N, C, D = 60, 7, 16
Categories = list[set[int]]


@dataclass
class Case:
    """Candidates of five users among N items with 0 to 3 categories each, and vectors."""

    candidates: Ranking
    categories: Categories
    vectors: NDArray[np.float32]

    @property
    def matrix(self) -> sparse.csr_matrix:
        """The categories as [N + 1, C]."""
        return as_matrix(self.categories)


def as_matrix(categories: Categories) -> sparse.csr_matrix:
    return sparse.csr_matrix([[float(c in its) for c in range(C)] for its in categories])


def make_case(seed: int, *, M: int = 20, one_category: bool = False, ties: bool = False) -> Case:
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((5, N + 1)).astype(np.float32) * rng.choice([1e-3, 1, 1e4], (5, 1)).astype(np.float32)
    if ties:
        scores = np.round(scores)
    scores[0, 5:] = -np.inf  # four candidates
    scores[1, 1:] = -np.inf  # none
    scores[2, 1:] = 1.5  # all alike
    many = np.ones(N + 1, int) if one_category else rng.integers(0, 4, N + 1)
    categories = [set(rng.choice(C, n, replace=False).tolist()) for n in many]
    vectors = rng.standard_normal((N + 1, D)).astype(np.float32)
    return Case(top_n_of_scores(scores, M), categories, vectors)


def greedy(ranking: Ranking, b: int, n: int, weight: float, added: Callable[[list[int], int], float]) -> list[int]:
    """Choose by f + weight * scale * added(list, item) in double precision, ties in single one to the smaller id."""
    f = {i: float(s) for i, s in zip(ranking.items[b].tolist(), ranking.scores[b].tolist(), strict=True) if i}
    scale = max(f.values()) - min(f.values()) if f else 0.0
    listed: list[int] = []
    while len(listed) < min(n, len(f)):
        value = {i: f[i] + weight * scale * added(listed, i) for i in f if i not in listed}
        best = max(value.values())
        listed.append(min(i for i in value if np.float32(value[i]) == np.float32(best)))
    return listed


def difference(one: set[int], other: set[int]) -> float:
    """ComiRec's g between sets of categories: 1 - Jaccard."""
    return 1 - len(one & other) / len(one | other) if one & other else 1.0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), weight=st.sampled_from([0.0, 0.01, 0.3, 10.0]), n=st.sampled_from([1, 8, 30]))
def test_controllable_is_the_greedy_choice_by_relevance_and_differing_categories(
    seed: int, weight: float, n: int
) -> None:
    case = make_case(seed, ties=seed % 2 == 0)
    found = controllable(case.candidates, categories=case.matrix, diversity_weight=weight, top_n=n)
    of = case.categories
    for b in range(5):
        expected = greedy(
            # one that is alike in nothing adds |S|, which all candidates share: values are compared less that
            case.candidates, b, n, weight, lambda S, i: sum(difference(of[i], of[j]) - 1 for j in S)
        )  # fmt: skip
        assert found.items[b].tolist() == expected + [0] * (n - len(expected))


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), weight=st.sampled_from([0.0, 0.01, 0.3, 10.0]), n=st.sampled_from([1, 8]))
def test_dpp_is_the_greedy_choice_by_log_determinant(seed: int, weight: float, n: int) -> None:
    case = make_case(seed)
    unit = case.vectors.astype(float) / np.linalg.norm(case.vectors.astype(float), axis=1, keepdims=True)
    C_ = (1 + unit @ unit.T) / 2

    def log_det(S: list[int]) -> float:
        return float(np.linalg.slogdet(C_[np.ix_(S, S)])[1]) if S else 0.0

    found = dpp(case.candidates, vectors=case.vectors, diversity_weight=weight, top_n=n)
    for b in range(5):
        expected = greedy(case.candidates, b, n, weight, lambda S, i: log_det([*S, i]) - log_det(S))
        listed = found.items[b][found.items[b] > 0].tolist()
        assert len(listed) == len(expected)
        if listed != expected:  # equal but for rounding: then the two choices are worth the same
            first = next(k for k in range(len(listed)) if listed[k] != expected[k])
            gains = [log_det([*listed[:first], i]) for i in (listed[first], expected[first])]
            f = dict(zip(case.candidates.items[b].tolist(), case.candidates.scores[b].tolist(), strict=True))
            scale = max(f.values()) - min(s for i, s in f.items() if i)
            worth = [f[i] + weight * scale * g for i, g in zip((listed[first], expected[first]), gains, strict=True)]
            assert worth[0] == pytest.approx(worth[1], rel=1e-6)


def test_dpp_with_its_quality_is_the_determinant_of_the_paper() -> None:
    """Greedy by det L_S, L = diag(q) C diag(q), q = exp(f / (2 lambda scale))."""
    case, weight = make_case(3), 0.2
    items, f = case.candidates.items[3], case.candidates.scores[3].astype(float)
    unit = case.vectors[items].astype(float)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    q = np.exp((f - f.mean()) / (2 * weight * (f[0] - f[-1])))
    L = q[:, None] * (1 + unit @ unit.T) / 2 * q
    S: list[int] = []
    while len(S) < 8:
        S.append(max(set(range(20)) - set(S), key=lambda m: np.linalg.det(L[np.ix_([*S, m], [*S, m])])))
    found = dpp(case.candidates, vectors=case.vectors, diversity_weight=weight, top_n=8)
    assert found.items[3].tolist() == items[S].tolist()


def test_three_items_by_hand() -> None:
    """Items 1 and 2 are alike in everything, item 3 in nothing; scores 3, 2, 1, so the scale is 2."""
    candidates = Ranking(np.array([[1, 2, 3]], np.int32), np.array([[3, 2, 1]], np.float32))
    categories = as_matrix([set(), {0}, {0}, {1}])
    expected = {0.0: ([1, 2, 3], [3, 2, 1]), 0.4: ([1, 2, 3], [3, 1.2, 1]), 0.6: ([1, 3, 2], [3, 1, 0.8])}
    for weight, (order, scores) in expected.items():
        found = controllable(candidates, categories=categories, diversity_weight=weight, top_n=3)
        assert found.items.tolist() == [order]
        np.testing.assert_allclose(found.scores, [scores], rtol=1e-6)

    vectors = np.array([[np.nan, np.nan], [2, 0], [1, 1], [-3, 0]], np.float32)  # cosines with item 1: 1/sqrt 2, -1
    alike = (1 + 1 / math.sqrt(2)) / 2
    found = dpp(candidates, vectors=vectors, diversity_weight=1.0, top_n=2)
    assert found.items.tolist() == [[1, 3]]  # C_13 = 0: nothing is lost
    assert found.scores[0].tolist() == [3, 1]
    found = dpp(candidates, vectors=vectors, diversity_weight=0.1, top_n=2)
    assert found.items.tolist() == [[1, 2]]
    assert found.scores[0, 1] == pytest.approx(2 + 0.1 * 2 * math.log(1 - alike**2))


both_kinds = pytest.mark.parametrize("kind", ["controllable", "dpp"])


def rerank(kind: str, case: Case, weight: float, n: int, candidates: Ranking | None = None) -> Ranking:
    candidates = candidates or case.candidates
    if kind == "dpp":
        return dpp(candidates, vectors=case.vectors, diversity_weight=weight, top_n=n)
    return controllable(candidates, categories=case.matrix, diversity_weight=weight, top_n=n)


@both_kinds
@pytest.mark.parametrize("n", [1, 20, 33])
def test_a_weight_of_0_gives_back_the_ranking_exactly(kind: str, n: int) -> None:
    for seed in range(10):
        case = make_case(seed, ties=seed > 5)
        found = rerank(kind, case, 0.0, n)
        np.testing.assert_array_equal(found.items[:, :20], case.candidates.items[:, :n])
        np.testing.assert_array_equal(found.scores[:, :20], case.candidates.scores[:, :n])
        assert not found.items[:, 20:].any()


@both_kinds
@pytest.mark.parametrize("weight", [0.05, 0.5, 20.0])
def test_a_reranking_keeps_the_contract_of_a_ranking(kind: str, weight: float) -> None:
    for seed in range(20):
        case = make_case(seed, ties=seed > 10)
        case.vectors[10:20] = case.vectors[10]  # one direction
        case.vectors[30:34] = 0
        found = rerank(kind, case, weight, 20)
        np.testing.assert_array_equal(np.sort(found.items), np.sort(case.candidates.items), "the same items")
        np.testing.assert_array_equal(found.items == 0, np.isneginf(found.scores))
        for items, scores in zip(found.items.tolist(), found.scores.tolist(), strict=True):
            keys = [(-score, item) for item, score in zip(items, scores, strict=True) if item]
            assert keys == sorted(keys), "descending scores, ties by ascending id"


@both_kinds
def test_a_shorter_list_is_the_beginning_of_a_longer_one(kind: str) -> None:
    case = make_case(1)
    long = rerank(kind, case, 0.3, 20)
    for n in (1, 7):
        np.testing.assert_array_equal(rerank(kind, case, 0.3, n).items, long.items[:, :n])


@both_kinds
def test_scores_in_another_unit_change_no_list(kind: str) -> None:
    """lambda is a share of the distance between scores: neither their size nor their zero matters."""
    case = make_case(2)
    moved = Ranking(case.candidates.items, case.candidates.scores * np.float32(1024))
    np.testing.assert_array_equal(rerank(kind, case, 0.3, 20, moved).items, rerank(kind, case, 0.3, 20).items)


@both_kinds
def test_variety_grows_with_the_weight(kind: str) -> None:
    """On average: the share of pairs of different categories, and the determinant, of the first ten of a hundred."""
    rng = np.random.default_rng(0)
    n_items, n_users = 400, 200
    category = rng.integers(0, C, n_items + 1)
    centres = rng.standard_normal((C, D))
    vectors = (centres[category] + 0.5 * rng.standard_normal((n_items + 1, D))).astype(np.float32)
    scores = 2 * rng.standard_normal((n_users, C))[:, category] + rng.standard_normal((n_users, n_items + 1))
    case = Case(top_n_of_scores(scores.astype(np.float32), 100), [{int(c)} for c in category], vectors)
    variety = []
    for weight in (0.0, 0.03, 0.1, 0.3, 1.0):
        lists = category[rerank(kind, case, weight, 10).items]
        variety.append(float((lists[:, :, None] != lists[:, None, :]).mean()))
    assert variety == sorted(variety)
    assert variety[-1] > variety[0] + 0.1


def test_items_without_categories_are_alike_to_nothing() -> None:
    candidates = Ranking(np.array([[1, 2, 3, 4]], np.int32), np.array([[4, 3, 2, 1]], np.float32))
    categories = as_matrix([set(), {0}, {0}, set(), set()])
    found = controllable(candidates, categories=categories, diversity_weight=5.0, top_n=4)
    assert found.items.tolist() == [[1, 3, 4, 2]]


def test_more_places_than_dimensions_are_filled_by_relevance() -> None:
    case = make_case(4, M=40)
    found = rerank("dpp", case, 0.3, 40)
    span = D + 1  # of C = (1 + cosine) / 2
    relevance = dict(zip(case.candidates.items[3].tolist(), case.candidates.scores[3].tolist(), strict=True))
    rest = [relevance[i] for i in found.items[3, span:].tolist()]
    assert rest == sorted(rest, reverse=True)


class Fixed(Ranker):
    """Ranks by scores that depend on the latest behaviour; keeps what it was asked for."""

    max_history = 9

    def __init__(self, seed: int) -> None:
        self.scores = np.random.default_rng(seed).standard_normal((N + 1, N + 1)).astype(np.float32)
        self.asked: list[int] = []

    def rank(self, batch: Batch, top_n: int) -> Ranking:
        self.asked.append(top_n)
        latest = batch.history.gather(1, batch.history_mask.sum(1, keepdim=True) - 1).squeeze(1).numpy()
        return top_n_of_scores(self.scores[latest], top_n)


def config(kind: str, **knobs: float) -> RerankingConfig:
    return RerankingConfig(kind=kind, **knobs)  # type: ignore[arg-type]


def reranked(kind: str, **knobs: float) -> Reranked:
    case = make_case(5)
    return Reranked(Fixed(0), config(kind, **knobs), categories=case.matrix, vectors=case.vectors)


HISTORIES = [[1, 2], [3], [4, 5, 6], [7], [7, 7, 7, 7], [N]]


@both_kinds
def test_a_user_is_reranked_alone_as_in_any_company(kind: str) -> None:
    ranker = reranked(kind, pool=30)
    together = ranker.rank(batch(HISTORIES), 12)
    for b, history in enumerate(HISTORIES):
        alone = ranker.answer(batch([history]), 12).ranking
        np.testing.assert_array_equal(alone.items[0], together.items[b])
        np.testing.assert_array_equal(alone.scores[0].view(np.uint32), together.scores[b].view(np.uint32))


@both_kinds
def test_candidates_come_from_a_pool_no_smaller_than_the_list(kind: str) -> None:
    ranker = reranked(kind, pool=30)
    assert ranker.max_history == 9
    assert ranker.interests(batch(HISTORIES)) is None
    assert ranker.rank(batch(HISTORIES), 5).items.shape == (6, 5)
    assert ranker.answer(batch(HISTORIES), 40).ranking.items.shape == (6, 40)
    assert isinstance(ranker.ranker, Fixed)
    assert ranker.ranker.asked == [30, 40]


def test_what_cannot_be_reranked_is_refused() -> None:
    case = make_case(6)
    with pytest.raises(BadInput, match="Fixed has none"):
        Reranked(Fixed(0), config("dpp"), categories=case.matrix)
    for categories in (None, sparse.csr_matrix((N + 1, 0)), sparse.csr_matrix((N + 1, 3))):
        with pytest.raises(BadInput, match="needs item categories"):
            Reranked(Fixed(0), config("controllable"), categories=categories, vectors=case.vectors)
    with pytest.raises(BadInput, match=r"diversity_weight must be .* at least 0"):
        config("dpp", diversity_weight=-0.1)
    with pytest.raises(BadInput, match=r"pool must be"):
        config("dpp", pool=0)
