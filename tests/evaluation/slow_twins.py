"""Every metric once more: plain Python, a user and a formula at a time, nothing shared with the code under test."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch

from baselines.batch import Batch
from baselines.interests import Interests
from baselines.ranker import Ranker, Ranking
from baselines.sequences import Sequences
from experiments.data.metadata import ItemMetadata
from experiments.data.splits import EvaluationUsers
from experiments.evaluation.context import EvaluationContext, PlantedAssignment

NAN = math.nan


@dataclass
class World:
    """A small world: lists of ids everywhere; scores [U][N + 1], -inf = never recommended."""

    n_items: int
    train: list[list[int]]
    histories: list[list[int]]
    targets: list[list[int]]
    scores: np.ndarray
    categories: list[tuple[str, ...]]

    def users(self, order: list[int] | None = None) -> EvaluationUsers:
        order = list(range(len(self.histories))) if order is None else order
        return EvaluationUsers(
            sequences([self.histories[u] for u in order], self.n_items),
            sequences([self.targets[u] for u in order], self.n_items),
            np.array(order, np.int64),
        )

    def context(self, planted: PlantedAssignment | None = None) -> EvaluationContext:
        blank = [""] * (self.n_items + 1)
        metadata = ItemMetadata(blank, self.categories, blank)
        return EvaluationContext(sequences(self.train, self.n_items), metadata, planted)


def sequences(lists: list[list[int]], n_items: int) -> Sequences:
    offsets = np.cumsum([0, *map(len, lists)]).astype(np.int64)
    return Sequences(np.array(list(itertools.chain(*lists)), np.int32), offsets, n_items)


def random_world(seed: int, n_users: int = 7, n_items: int = 23, n_levels: int = 9, categories: bool = True) -> World:
    """A world with many ties (few score levels), items that are never recommended, and items without a category."""
    rng = np.random.default_rng(seed)

    def draw(low: int, high: int) -> list[int]:
        return [int(item) for item in rng.integers(1, n_items + 1, rng.integers(low, high))]

    scores = rng.integers(0, n_levels, (n_users, n_items + 1)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.2] = -np.inf
    names = [tuple(f"c{c}" for c in np.flatnonzero(rng.random(5) < 0.3)) if categories else () for _ in range(n_items)]
    histories: dict[tuple[int, ...], list[int]] = {}  # distinct by their last behaviours, which tell users apart
    while len(histories) < n_users:
        history = draw(1, 8)
        histories[tuple(history[-6:])] = history
    return World(
        n_items,
        train=[draw(1, 9) for _ in range(11)],
        histories=[*histories.values()],
        targets=[draw(1, 9) for _ in range(n_users)],
        scores=scores,
        categories=[(), *names],
    )


class ScoreRanker(Ranker):
    """Ranks by given scores; the user is recognised by its history, as a method would."""

    def __init__(self, world: World, interests: bool = False, max_history: int | None = None) -> None:
        self.max_history = max_history
        self.world = world
        self.with_interests = interests
        self.by_history = {tuple(h[-(max_history or len(h)) :]): u for u, h in enumerate(world.histories)}

    def _users(self, batch: Batch) -> list[int]:
        assert not batch.targets_mask.any(), "targets must never reach the method"
        return [self.by_history[tuple(row[row > 0].tolist())] for row in batch.history]

    def rank(self, batch: Batch, top_n: int) -> Ranking:
        items = np.zeros((len(batch), top_n), np.int32)
        scores = np.full((len(batch), top_n), -np.inf, np.float32)
        for b, user in enumerate(self._users(batch)):
            ranked = recommended(self.world.scores[user])[:top_n]
            items[b, : len(ranked)] = ranked
            scores[b, : len(ranked)] = self.world.scores[user][ranked]
        return Ranking(items, scores)

    def interests(self, batch: Batch) -> Interests | None:
        if not self.with_interests:
            return None
        users, L = self._users(batch), batch.history.shape[1]
        made = [np.random.default_rng(user) for user in users]
        vectors = torch.tensor(np.array([rng.normal(size=(3, 4)) for rng in made]), dtype=torch.float32)
        mask = torch.tensor([[True, user % 2 == 0, user % 3 == 0] for user in users])
        assignment = torch.nn.functional.one_hot(batch.history % 3, 3).float() * batch.history_mask[..., None]
        assert assignment.shape[1] == L
        return Interests(vectors, mask, torch.zeros(len(users), 3), assignment * mask[:, None])


def recommended(scores: np.ndarray) -> list[int]:
    """All items that are recommended at all, by descending score, then ascending id."""
    return sorted((i for i in range(1, len(scores)) if scores[i] > -np.inf), key=lambda i: (-scores[i], i))


def average_rank(scores: np.ndarray, item: int) -> float:
    if scores[item] == -np.inf:
        return math.inf
    better = sum(scores[i] > scores[item] for i in range(1, len(scores)))
    tied = sum(scores[i] == scores[item] for i in range(1, len(scores)))
    return float(better + (tied + 1) / 2)


def accuracy(ranks: list[float], n: int) -> dict[str, float]:
    """All accuracy metrics of one user from the average ranks of all targets."""
    if not ranks:
        return dict.fromkeys(("recall", "precision", "hit_rate", "ndcg", "ndcg_hits", "mrr", "map"), NAN)
    hits = sorted(rank for rank in ranks if rank <= n)[:n]

    def ideal(m: int) -> float:
        return sum(1 / math.log2(1 + place) for place in range(1, m + 1))

    dcg = sum(1 / math.log2(1 + rank) for rank in hits)
    return {
        "recall": len(hits) / len(ranks),
        "precision": len(hits) / n,
        "hit_rate": float(len(hits) > 0),
        "ndcg": dcg / ideal(min(n, len(ranks))),
        "ndcg_hits": dcg / ideal(len(hits)) if hits else 0.0,
        "mrr": max((1 / rank for rank in hits), default=0.0),
        "map": sum(k / rank for k, rank in enumerate(hits, start=1)) / min(n, len(ranks)),
    }


def segments(train: list[list[int]], n_items: int, head: float, mid: float) -> dict[str, set[int]]:
    order = sorted(range(1, n_items + 1), key=lambda i: (-sum(row.count(i) for row in train), i))
    first, second = int(head * n_items + 0.5), int((head + mid) * n_items + 0.5)

    def percent(share: float) -> str:
        return f"{round(100 * share, 6):g}"

    return {
        f"head{percent(head)}": set(order[:first]),
        f"mid{percent(mid)}": set(order[first:second]),
        f"tail{percent(1 - head - mid)}": set(order[second:]),
        f"tail{percent(1 - head)}": set(order[first:]),
    }


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else NAN


def ild(ranked: list[int], train: list[list[int]]) -> float:
    owners = {item: {u for u, row in enumerate(train) if item in row} for item in ranked}

    def distance(a: int, b: int) -> float:
        size = math.sqrt(len(owners[a]) * len(owners[b]))
        return 1 - (len(owners[a] & owners[b]) / size if size else 0)

    return mean([distance(a, b) for a, b in itertools.combinations(ranked, 2)])


def div(ranked: list[int], categories: list[tuple[str, ...]]) -> float:
    sets = [set(categories[item]) for item in ranked if categories[item]]
    return mean([1 - len(a & b) / len(a | b) for a, b in itertools.combinations(sets, 2)])


def alpha_ndcg(ranked: list[int], targets: list[int], categories: list[tuple[str, ...]], alpha: float, n: int) -> float:
    targets = [item for item in dict.fromkeys(targets) if categories[item]]
    if not targets:
        return NAN

    def gain(item: int, earlier: list[int]) -> float:
        return sum((1 - alpha) ** sum(c in categories[e] for e in earlier) for c in categories[item])

    def dcg(items: list[int]) -> float:
        total = 0.0
        for place, item in enumerate(items[:n]):
            if item in targets:
                earlier = [e for e in items[:place] if e in targets]
                total += gain(item, earlier) / math.log2(2 + place)
        return total

    ideal: list[int] = []
    while len(ideal) < min(n, len(targets)):
        left = [item for item in targets if item not in ideal]
        ideal.append(max(left, key=lambda item: gain(item, ideal)))
    return dcg(ranked) / dcg(ideal)


def distribution(items: list[int], categories: list[tuple[str, ...]]) -> dict[str, float]:
    known = [item for item in items if categories[item]]
    p: dict[str, float] = {}
    for item in known:
        for c in categories[item]:
            p[c] = p.get(c, 0) + 1 / len(categories[item]) / len(known)
    return p


def list_metrics(world: World, user: int, n: int, tail: set[int], alpha: float) -> dict[str, float]:
    """All metrics of one user's list."""
    ranked = recommended(world.scores[user])[:n]
    count = {item: sum(row.count(item) for row in world.train) for item in ranked}
    owners = {item: sum(item in row for row in world.train) for item in ranked}
    values = {
        "arp": mean([count[item] for item in ranked]),
        "aplt": mean([float(item in tail) for item in ranked]),
        "aclt": float(sum(item in tail for item in ranked)),
        "novelty": mean([math.log2(len(world.train) / max(owners[item], 1)) for item in ranked]),
        "ild": ild(ranked, world.train),
    }
    if any(world.categories):
        p = distribution(world.histories[user], world.categories)
        q = distribution(ranked, world.categories)
        values |= {
            "div": div(ranked, world.categories),
            "alpha_ndcg": alpha_ndcg(ranked, world.targets[user], world.categories, alpha, n),
            "interest_coverage": mean([float(c in q) for c in p]),
            "held_out_coverage": mean([float(c in q) for c in distribution(world.targets[user], world.categories)]),
            "exposure_deviation": sum(abs(p.get(c, 0) - q.get(c, 0)) for c in p.keys() | q.keys()) / 2
            if p and q
            else NAN,
        }
    return values


def gini(counts: list[int]) -> float:
    """Mean absolute difference over twice the mean: the definition, over all pairs."""
    total = sum(abs(a - b) for a in counts for b in counts)
    return total / (2 * len(counts) * sum(counts)) if sum(counts) else NAN


def per_user(world: World, cutoffs: tuple[int, ...], head: float, mid: float, alpha: float) -> dict[str, list[float]]:
    """Every metric with a value for each user, by its full name."""
    parts = segments(world.train, world.n_items, head, mid)
    tail_name = list(parts)[-1]
    found: dict[str, list[float]] = {}
    for user, n in itertools.product(range(len(world.histories)), cutoffs):
        ranks = {item: average_rank(world.scores[user], item) for item in dict.fromkeys(world.targets[user])}
        subsets = {"": set(ranks), ":novel": set(ranks) - set(world.histories[user])}
        subsets |= {f":{name}": set(ranks) & items for name, items in parts.items()}
        for subset, items in subsets.items():
            for family, value in accuracy([ranks[item] for item in items], n).items():
                found.setdefault(f"{family}@{n}{subset}", []).append(value)
        for family, value in list_metrics(world, user, n, parts[tail_name], alpha).items():
            suffix = f":{tail_name}" if family in ("aplt", "aclt") else ""
            found.setdefault(f"{family}@{n}{suffix}", []).append(value)
    return found


def overall(world: World, cutoffs: tuple[int, ...], head: float, mid: float) -> dict[str, float]:
    """Every metric of all lists together, by its full name."""
    parts = segments(world.train, world.n_items, head, mid)
    tail_name, tail = list(parts.items())[-1]
    found = {}
    for n in cutoffs:
        shown = [item for scores in world.scores for item in recommended(scores)[:n]]
        found[f"coverage@{n}"] = len(set(shown)) / world.n_items
        found[f"tail_coverage@{n}:{tail_name}"] = len(set(shown) & tail) / len(tail)
        found[f"gini@{n}"] = gini([shown.count(item) for item in range(1, world.n_items + 1)])
    return found
