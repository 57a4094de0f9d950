"""Are the targets at the top of the list? One small function per metric, each for one user.

U users, T distinct targets of all users, Q cutoffs n, S subsets of the targets.

Every metric takes the user's `hits`: the average ranks, ascending, of the targets that are hits at n; where it needs
them, also the number of the user's targets and n. **A target is a hit at n if its average rank is at most n** (see
ranks.py); should ties bring more than n hits, the first n count, for n places hold no more. Averaging the ranks of
ties keeps every metric within 0..1, and makes a group of t ties worth no more than the t places it takes. **Several
targets** are a set of equally relevant items. A user without a target (in the subset) has no value: NaN, and takes no
part in the mean.

With `:SUBSET` after its name a metric sees only that subset of the targets; the list stays the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def recall(hits: NDArray[np.float64], n_targets: int) -> float:
    """Hits / targets: the share of the user's targets found among the first n.

    >>> recall(np.array([1.0, 4.0]), 10)
    0.2
    """
    return len(hits) / n_targets


@njit(cache=True, nogil=True)
def precision(hits: NDArray[np.float64], n: int) -> float:
    """Hits / n: the share of the n places that hold a target; n even where the list is shorter.

    >>> precision(np.array([1.0, 4.0]), 5)
    0.4
    """
    return len(hits) / n


@njit(cache=True, nogil=True)
def hit_rate(hits: NDArray[np.float64]) -> float:
    """1 if at least one target is among the first n, else 0.

    >>> hit_rate(np.array([1.0, 4.0]))
    1.0
    """
    return 1.0 if len(hits) else 0.0


@njit(cache=True, nogil=True)
def mrr(hits: NDArray[np.float64]) -> float:
    """1 / rank of the best-placed target, 0 if it is not among the first n.

    >>> mrr(np.array([2.5, 2.5]))  # the two targets are tied for places 2 and 3
    0.4
    """
    return 1 / hits[0] if len(hits) else 0.0


@njit(cache=True, nogil=True)
def average_precision(hits: NDArray[np.float64], n_targets: int, n: int) -> float:
    """Sum over the k-th hits of k / rank, over min(n, targets): average precision (its mean over users is MAP).

    Tied hits get distinct k, in any order (the sum is the same): a perfect list of ties scores 1.

    >>> average_precision(np.array([1.0, 4.0]), 10, 5)  # (1/1 + 2/4) / 5
    0.3
    >>> average_precision(np.array([1.5, 1.5]), 2, 5)  # (1/1.5 + 2/1.5) / 2
    1.0
    """
    total = 0.0
    for k in range(len(hits)):
        total += (k + 1) / hits[k]
    return total / min(n, n_targets)


@njit(cache=True, nogil=True)
def _dcg(hits: NDArray[np.float64]) -> float:
    total = 0.0
    for rank in hits:
        total += 1 / np.log2(1 + rank)
    return total


@njit(cache=True, nogil=True)
def _ideal_dcg(n_relevant: int) -> float:
    total = 0.0
    for rank in range(1, n_relevant + 1):
        total += 1 / np.log2(1 + rank)
    return total


@njit(cache=True, nogil=True)
def ndcg(hits: NDArray[np.float64], n_targets: int, n: int) -> float:
    """Sum over the hits of 1 / log2(1 + rank), over the same sum for a list that begins with min(n, targets) targets.

    Jarvelin and Kekalainen (2002), binary gains.

    >>> round(ndcg(np.array([1.0]), 10, 20), 3)  # one target of ten found, at rank 1
    0.22
    """
    return _dcg(hits) / _ideal_dcg(min(n, n_targets)) if len(hits) else 0.0


@njit(cache=True, nogil=True)
def ndcg_hits(hits: NDArray[np.float64]) -> float:
    """As ndcg@n, but ideal over the hits found only (ComiRec's variant): for comparison with published numbers alone.

    It rewards finding less: one target of ten, at rank 1, scores 1 where the standard ndcg@n is 0.220.

    >>> ndcg_hits(np.array([1.0]))
    1.0
    """
    return _dcg(hits) / _ideal_dcg(len(hits)) if len(hits) else 0.0


ACCURACY: Mapping[str, Callable[..., float]] = {
    "recall": recall,
    "precision": precision,
    "hit_rate": hit_rate,
    "ndcg": ndcg,
    "ndcg_hits": ndcg_hits,
    "mrr": mrr,
    "map": average_precision,
}
"""Family -> its function, in the order of `_each`."""


@njit(cache=True, nogil=True)
def _each(hits: NDArray[np.float64], n_targets: int, n: int) -> tuple[float, ...]:
    return (
        recall(hits, n_targets),
        precision(hits, n),
        hit_rate(hits),
        ndcg(hits, n_targets, n),
        ndcg_hits(hits),
        mrr(hits),
        average_precision(hits, n_targets, n),
    )


def accuracy(
    ranks: NDArray[np.float64], offsets: NDArray[np.int64], member: NDArray[np.bool_], cutoffs: NDArray[np.int64]
) -> Mapping[str, NDArray[np.float64]]:
    """Compute every metric of this file for every user, in one pass.

    Args:
        ranks: [T] average ranks, infinity past the largest cutoff.
        offsets: [U + 1] where each user's targets begin.
        member: [S, T] whether a target is in a subset.
        cutoffs: [Q] ascending.

    Returns:
        Family -> [Q, S, U] float64; NaN where a user has no target in the subset.
    """
    return dict(zip(ACCURACY, _accuracy(ranks, offsets, member, cutoffs, len(ACCURACY)), strict=True))


@njit(cache=True, nogil=True)
def _accuracy(
    ranks: NDArray[np.float64],
    offsets: NDArray[np.int64],
    member: NDArray[np.bool_],
    cutoffs: NDArray[np.int64],
    n_metrics: int,
) -> NDArray[np.float64]:
    """Return [n_metrics, Q, S, U], metrics in the order of `_each`."""
    n_users = len(offsets) - 1
    n_subsets = len(member)
    values = np.full((n_metrics, len(cutoffs), n_subsets, n_users), np.nan)
    found = np.empty(len(ranks), np.int64)  # the user's targets with a rank, best first
    hits = np.empty(len(ranks))
    for user in range(n_users):
        n_found = 0
        for t in range(offsets[user], offsets[user + 1]):
            if ranks[t] < np.inf:
                place = n_found
                while place > 0 and ranks[found[place - 1]] > ranks[t]:
                    found[place] = found[place - 1]
                    place -= 1
                found[place] = t
                n_found += 1
        for s in range(n_subsets):
            n_targets = 0
            for t in range(offsets[user], offsets[user + 1]):
                n_targets += member[s, t]
            if n_targets == 0:
                continue
            n_ranked = 0
            for t in found[:n_found]:
                if member[s, t]:
                    hits[n_ranked] = ranks[t]
                    n_ranked += 1
            n_hits = 0
            for q in range(len(cutoffs)):
                n = cutoffs[q]
                while n_hits < n_ranked and n_hits < n and hits[n_hits] <= n:
                    n_hits += 1
                for m, value in enumerate(_each(hits[:n_hits], n_targets, n)):
                    values[m, q, s, user] = value
    return values
