"""The usual public way to evaluate several interests, as a yardstick: flat search, then a Python loop over users.

The outline of the test evaluation in THUDM/ComiRec (`evaluate_full`, `compute_diversity`), which its ports share: each
interest's best n by exact inner-product search; then, user by user and on the search's own NumPy numbers, join, sort,
drop repeats, and count: recall, nDCG, hit rate and the share of pairs of different category, at one cutoff. The search
is faiss's `IndexFlatIP` where faiss is installed, as it is there, else a matrix product and torch's top-k.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray

from baselines.recommender import Recommender
from experiments.data.splits import EvaluationUsers

Search = Callable[[NDArray[np.float32], int], tuple[NDArray[np.float32], NDArray[np.int64]]]


def flat_index(items: NDArray[np.float32]) -> tuple[str, Search]:
    """Return what searches and the search: queries [R, D] and n -> scores and indices [R, n], best first."""
    try:
        import faiss
    except ImportError:
        table = torch.from_numpy(items)

        def search(queries: NDArray[np.float32], n: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
            scores, indices = (torch.from_numpy(queries) @ table.T).topk(n)
            return scores.numpy(), indices.numpy()

        return "torch top-k", search
    index = faiss.IndexFlatIP(items.shape[1])
    index.add(items)
    return "faiss IndexFlatIP", index.search


def evaluate_in_a_loop(
    model: Recommender,
    users: EvaluationUsers,
    n: int,
    search: Search,
    category: Mapping[int, object],
    batch_size: int = 128,
) -> dict[str, float]:
    """Return mean recall@n, nDCG@n, hit rate@n and diversity@n over users, maximum aggregation.

    Args:
        model: in eval mode.
        users: histories and targets.
        n: places.
        search: of the items 1..N, see `flat_index`.
        category: of each item 1..N, one.
        batch_size: users searched together (ComiRec: 128 for Books).
    """
    sums = {"recall": 0.0, "ndcg": 0.0, "hit_rate": 0.0, "diversity": 0.0}
    for start in range(0, len(users), batch_size):
        chosen = np.arange(start, min(start + batch_size, len(users)))
        history = torch.from_numpy(users.histories.padded(chosen, model.max_history))
        with torch.no_grad():
            interests = model.extract(model.item_vectors(history[history > 0]), history > 0)
        queries = interests.vectors.flatten(0, 1).numpy()  # [B K, D]
        scores, found = (hits.reshape(len(chosen), -1) for hits in search(queries, n))  # [B, K n]
        for row, user in enumerate(chosen):
            best: list[int] = []
            seen: set[int] = set()
            for index, _ in sorted(zip(found[row], scores[row], strict=True), key=lambda pair: pair[1], reverse=True):
                if index not in seen:
                    seen.add(index)
                    best.append(index + 1)
                if len(best) == n:
                    break
            targets = set(users.targets[int(user)])
            gains = [1 / math.log2(place + 2) for place, item in enumerate(best) if item in targets]
            ideal = sum(1 / math.log2(place + 2) for place in range(min(n, len(targets))))
            sums["recall"] += len(gains) / len(targets)
            sums["ndcg"] += sum(gains) / ideal
            sums["hit_rate"] += bool(gains)
            pairs = [category[one] != category[other] for one, other in combinations(best, 2)]
            sums["diversity"] += sum(pairs) / len(pairs)
    return {name: total / len(users) for name, total in sums.items()}
