"""The usual public way to evaluate several interests, as a yardstick: flat search, then a Python loop over users.

The outline of the evaluation in THUDM/ComiRec (`evaluate_full`): each interest's best n by exact inner-product search,
then, user by user, union, sort, drop repeats, and count hits: recall, nDCG and hit rate at one cutoff. The search is
faiss's `IndexFlatIP` where faiss is installed, as it is in ComiRec, else a matrix product and torch's top-k.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from baselines.batch import Batch
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
    model: Recommender, users: EvaluationUsers, n: int, search: Search, batch_size: int = 128
) -> dict[str, float]:
    """Return mean recall@n, nDCG@n and hit rate@n over users, maximum aggregation.

    Args:
        model: in eval mode.
        users: histories and targets.
        n: places.
        search: of the items 1..N, see `flat_index`.
        batch_size: users searched together (ComiRec: 128).
    """
    sums = {"recall": 0.0, "ndcg": 0.0, "hit_rate": 0.0}
    for start in range(0, len(users), batch_size):
        chosen = torch.arange(start, min(start + batch_size, len(users)))
        history = torch.from_numpy(users.histories.padded(chosen.numpy(), model.max_history))
        interests = model.interests(Batch.of(history))
        queries = interests.vectors.flatten(0, 1).numpy()  # [B K, D]
        scores, found = (hits.reshape(len(chosen), -1) for hits in search(queries, n))  # [B, K n]
        for row, user in enumerate(chosen.tolist()):
            pairs = zip(found[row].tolist(), scores[row].tolist(), strict=True)
            best: list[int] = []
            seen: set[int] = set()
            for item, _ in sorted(pairs, key=lambda pair: pair[1], reverse=True):
                if item not in seen:
                    seen.add(item)
                    best.append(item + 1)
                if len(best) == n:
                    break
            targets = set(users.targets[user].tolist())
            gains = [1 / math.log2(place + 2) for place, item in enumerate(best) if item in targets]
            ideal = sum(1 / math.log2(place + 2) for place in range(min(n, len(targets))))
            sums["recall"] += len(gains) / len(targets)
            sums["ndcg"] += sum(gains) / ideal
            sums["hit_rate"] += bool(gains)
    return {name: total / len(users) for name, total in sums.items()}
