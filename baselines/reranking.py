"""Re-ranking: a list that is not only relevant but varied, made greedily from a user's best candidates.

Both kinds put next the candidate i of largest f(i) + lambda * scale * (what i adds to the variety of the list S):

* controllable (Cen et al., "Controllable Multi-Interest Framework for Recommendation", KDD 2020, aggregation module and
  algorithm 2): Q(u, S) = sum of f(i) + lambda * sum over pairs of g(i, j), 1 where the categories differ, else 0.
* dpp (Chen, Zhang, Zhou, "Fast Greedy MAP Inference for Determinantal Point Process to Improve Recommendation
  Diversity", NeurIPS 2018, algorithm 1): det L_S with L = diag(q) C diag(q), C_ij = (1 + cosine(i, j)) / 2 and
  q_i = exp(f(i) / (2 lambda * scale)); in other words sum of f(i) + lambda * scale * log det C_S.

A ranking is that greedy order, and an item's score the value with which it was chosen, less the most that variety could
have added. So counted, a value only falls as the list grows: scores descend, ties come by ascending id as everywhere.

Differs from the papers:
* `scale` is the distance between the best and the last candidate's f, for each user. It makes lambda mean the same for
  every method and user; with f mapped to [0, 1] by it, ComiRec's lambda is ours.
* Candidates are the best `pool` of the joined ranking; in ComiRec's code the union of each interest's own best.
* An item may have several categories: g(i, j) = 1 - Jaccard similarity of their categories; with one category each it
  is the paper's. An item without any shares none with any other.
* An item that multiplies det C_S by less than 1e-10 counts as doing so by 1e-10: among such items relevance decides,
  where the authors' code stops.

B users, M candidates, N items, D width, C categories, n places.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse

from baselines.batch import Batch
from baselines.config import RerankingConfig
from baselines.errors import BadInput
from baselines.interests import Interests
from baselines.ranker import Answer, Ranker, Ranking

_LEAST_DET = 1e-10


class Reranked(Ranker):
    """Any ranker, its lists re-ranked.

    Args:
        ranker: what proposes the candidates.
        config: how they are re-ranked; its `kind` is not `none`.
        categories: [N + 1, C], an entry where an item is in a category; for `controllable`.
        vectors: [N + 1, D] item vectors; for `dpp`.

    Raises:
        BadInput: the categories or vectors that `config.kind` needs are not there.
    """

    def __init__(
        self,
        ranker: Ranker,
        config: RerankingConfig,
        *,
        categories: sparse.csr_matrix | None = None,
        vectors: NDArray[np.float32] | None = None,
    ) -> None:
        self.ranker, self.pool = ranker, config.pool
        self.max_history = ranker.max_history
        weight = config.diversity_weight
        if config.kind == "controllable":
            if categories is None or not categories.nnz:
                raise BadInput("reranking.kind=controllable needs item categories, and these data have none.")
            self._rerank = partial(controllable, categories=categories, diversity_weight=weight)
        elif config.kind == "dpp":
            if vectors is None:
                raise BadInput(
                    f"reranking.kind=dpp compares item vectors, and {type(ranker).__name__} has none; "
                    "use reranking.kind=controllable, or a trained method."
                )
            self._rerank = partial(dpp, vectors=vectors, diversity_weight=weight)
        else:
            raise ValueError(f"nothing to re-rank by: kind is {config.kind}")

    def rank(self, batch: Batch, top_n: int) -> Ranking:
        """Re-rank the best `pool` items, or `top_n` if that is more, which then are another pool."""
        return self._rerank(self.ranker.rank(batch, max(self.pool, top_n)), top_n=top_n)

    def interests(self, batch: Batch) -> Interests | None:
        """See `Ranker.interests`."""
        return self.ranker.interests(batch)

    def answer(self, batch: Batch, top_n: int) -> Answer:
        """See `Ranker.answer`."""
        answer = self.ranker.answer(batch, max(self.pool, top_n))
        return replace(answer, ranking=self._rerank(answer.ranking, top_n=top_n))


def controllable(candidates: Ranking, *, categories: sparse.csr_matrix, diversity_weight: float, top_n: int) -> Ranking:
    """Re-rank by relevance and variety of categories.

    Args:
        candidates: [B, M] each user's best items.
        categories: [N + 1, C] with an entry where an item is in a category.
        diversity_weight: lambda.
        top_n: n, places to fill.

    Returns:
        Ranking [B, n]; its end is empty where there are fewer candidates.

    >>> candidates = Ranking(np.array([[1, 2, 3]], np.int32), np.array([[3, 2, 1]], np.float32))
    >>> categories = sparse.csr_matrix([[0, 0], [1, 0], [1, 0], [0, 1]])
    >>> controllable(candidates, categories=categories, diversity_weight=0.75, top_n=3)
    Ranking(items=array([[1, 3, 2]], dtype=int32), scores=array([[3. , 1. , 0.5]], dtype=float32))
    """
    out = _empty(len(candidates.items), top_n)
    _controllable(
        candidates.items, candidates.scores, categories.indptr, categories.indices, categories.shape[1],
        diversity_weight, out.items, out.scores,
    )  # fmt: skip
    return out


def dpp(candidates: Ranking, *, vectors: NDArray[np.float32], diversity_weight: float, top_n: int) -> Ranking:
    """Re-rank by relevance and log-determinant of the similarity of item vectors.

    Args:
        candidates: [B, M] each user's best items.
        vectors: [N + 1, D].
        diversity_weight: lambda.
        top_n: n, places to fill.

    Returns:
        Ranking [B, n]; its end is empty where there are fewer candidates.
    """
    out = _empty(len(candidates.items), top_n)
    _dpp(candidates.items, candidates.scores, vectors, diversity_weight, out.items, out.scores)
    return out


def _empty(n_users: int, top_n: int) -> Ranking:
    return Ranking(np.zeros((n_users, top_n), np.int32), np.full((n_users, top_n), -np.inf, np.float32))


# In both kernels `lacking` [M] is what each candidate lacks in variety beside the list so far; from 0 it only grows.


@njit(cache=True, nogil=True)
def _controllable(items, scores, indptr, indices, n_categories, weight, out_items, out_scores):  # type: ignore[no-untyped-def]
    listed = np.zeros(n_categories, np.bool_)  # the categories of the item just chosen
    for b in range(len(items)):
        M = _n_candidates(items[b])
        left, lacking = np.ones(M, np.bool_), np.zeros(M)
        for place in range(min(M, out_items.shape[1])):
            chosen = _choose(items[b], scores[b], lacking, left, weight, out_items[b], out_scores[b], place)
            its = indices[indptr[items[b, chosen]] : indptr[items[b, chosen] + 1]]
            listed[its] = True
            for m in range(M):
                if left[m]:
                    own = indices[indptr[items[b, m]] : indptr[items[b, m] + 1]]
                    common = 0
                    for category in own:
                        common += listed[category]
                    if common:
                        lacking[m] += common / (len(own) + len(its) - common)  # Jaccard
            listed[its] = False


@njit(cache=True, nogil=True)
def _dpp(items, scores, vectors, weight, out_items, out_scores):  # type: ignore[no-untyped-def]
    """`factor` [M, n] holds rows of the Cholesky factor of C, `det` [M] what each candidate multiplies det C_S by."""
    D, n = vectors.shape[1], out_items.shape[1]
    for b in range(len(items)):
        M = _n_candidates(items[b])
        unit = np.empty((M, D))
        for m in range(M):
            vector = vectors[items[b, m]].astype(np.float64)
            unit[m] = vector / max(math.sqrt(_dot(vector, vector)), 1e-300)
        left, lacking, det = np.ones(M, np.bool_), np.zeros(M), np.ones(M)
        factor, rank = np.empty((M, n)), 0
        for place in range(min(M, n)):
            chosen = _choose(items[b], scores[b], lacking, left, weight, out_items[b], out_scores[b], place)
            if det[chosen] <= _LEAST_DET:
                continue  # it lies in the span of the list
            for m in range(M):
                if left[m]:
                    similarity = 0.5 + 0.5 * _dot(unit[chosen], unit[m])
                    rest = similarity - _dot(factor[chosen, :rank], factor[m, :rank])
                    factor[m, rank] = rest / math.sqrt(det[chosen])
                    det[m] -= factor[m, rank] ** 2
                    lacking[m] = -math.log(max(det[m], _LEAST_DET))
            rank += 1


@njit(cache=True, nogil=True)
def _n_candidates(items):  # type: ignore[no-untyped-def]
    """Count a user's candidates; 0 stands past the last."""
    count = 0
    while count < len(items) and items[count] > 0:
        count += 1
    return count


@njit(cache=True, nogil=True)
def _choose(items, scores, lacking, left, weight, out_items, out_scores, place):  # type: ignore[no-untyped-def]
    """Put the best candidate that is left at `place`, ties to the smaller id; return its index.

    Values are compared as the float32 that they are written as.
    """
    unit = weight * (np.float64(scores[0]) - np.float64(scores[len(left) - 1]))
    best, highest = -1, np.float32(-np.inf)
    for m in range(len(left)):
        if scores[m] < highest:
            break  # candidates come by descending score, and no value exceeds it
        if left[m]:
            value = np.float32(scores[m] - unit * lacking[m])
            if best < 0 or value > highest or (value == highest and items[m] < items[best]):
                best, highest = m, value
    left[best] = False
    out_items[place], out_scores[place] = items[best], highest
    return best


@njit(cache=True, nogil=True, fastmath={"reassoc"})
def _dot(one, other):  # type: ignore[no-untyped-def]
    """Inner product; the compiler fixes the order of the sum once, for every batch."""
    total = 0.0
    for d in range(len(one)):
        total += one[d] * other[d]
    return total
