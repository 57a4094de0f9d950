"""Whether the rules of `adaptive` find interests that were planted, and what clustering costs.

Planted histories (`planted`) over a grid of how near an interest's behaviours are and how many behaviours are noise;
then what the labels take of a training step, and what each rule takes for a user (`clustering_cost`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch

from adaptive_mi.density import Ints
from adaptive_mi.extractor import AdaptiveExtractor
from experiments.bench.clustering_cost import cost_of_rules, share_of_step
from experiments.bench.planted import MOST_INTERESTS, PlantedHistories, Recovery, plant, recovery
from experiments.config import RunConfig
from experiments.reporting.table import Table
from experiments.training.threads import torch_threads

COSINES, NOISES, LENGTHS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3), (0.0, 0.1, 0.2), (20, 50)
MODERATE = (0.7, 0.1)
"""Cosine within an interest, and share of noise, at which K should be recovered for 95 users of 100."""

RULES: Mapping[str, Mapping[str, Any]] = {
    "distance": {},
    "distance-0.8": {"max_distance": 0.8},
    "ward-1": {"linkage": "ward", "max_distance": 1.0},
    "silhouette": {"rule": "silhouette"},
    "gap": {"rule": "gap"},
    "hdbscan-2": {"rule": "hdbscan", "noise": "nearest", "min_cluster_size": 2},
    "hdbscan-3": {"rule": "hdbscan", "noise": "nearest", "min_cluster_size": 3},
    "log_length": {"rule": "log_length"},
}
"""Knobs of AdaptiveExtractor by the name a rule has in the tables; `distance` is the default in everything."""

_WIDTH, _USERS = 64, 1000
_MEASURES: Mapping[str, Callable[[Recovery], float]] = {
    "recovered %": lambda found: 100 * float(found.exact.mean()),
    "recovered, any size %": lambda found: 100 * float(found.exact_of_all.mean()),
    "|K - planted|": lambda found: float(found.error.mean()),
    "adjusted Rand index": lambda found: float(found.agreement.mean()),
    "merged %": lambda found: 100 * float(found.merged.mean()),
    "split %": lambda found: 100 * float(found.split.mean()),
    "cluster of noise %": lambda found: 100 * float(found.gathered.mean()),
}
_CURVES: Mapping[str, str] = {
    "recovered %": "share of users with as many clusters of two or more behaviours as interests planted",
    "recovered, any size %": "share of users with as many clusters of any size as interests planted",
    "|K - planted|": "mean |clusters of two or more behaviours - interests planted|",
    "adjusted Rand index": "adjusted Rand index, noise left out",
}
_DIGITS = {"|K - planted|": 2, "adjusted Rand index": 3}


@dataclass(frozen=True)
class Cell:
    """Histories of `length` (L), `noise` of them noise, of interests with a mean cosine of `cosine` within."""

    length: int
    noise: float
    cosine: float


def bench_clustering(config: RunConfig) -> Iterator[Table]:
    """Yield all tables, each as soon as it is known."""
    yield from planted_tables(config.seed)
    with torch_threads(config.training.threads or 1):
        yield share_of_step(config)
        yield cost_of_rules(config.seed)


def planted_tables(
    seed: int,
    *,
    n_users: int = _USERS,
    lengths: Sequence[int] = LENGTHS,
    noises: Sequence[float] = NOISES,
    cosines: Sequence[float] = COSINES,
) -> list[Table]:
    """Cluster planted histories by every rule.

    Args:
        seed: of the histories, which are the same for every rule.
        n_users: in a cell; lengths: L; noises: shares; cosines: within an interest.

    Returns:
        All measures at moderate separation, where the grid has it, and a table over the grid for each of four.
    """
    found: dict[tuple[Cell, str], Recovery] = {}
    for L in lengths:
        rules = {name: AdaptiveExtractor(_WIDTH, L, **knobs) for name, knobs in RULES.items()}
        for noise, cosine in product(noises, cosines):
            planted = plant(n_users, L, cosine, noise, np.random.default_rng(seed), width=_WIDTH)
            for name, rule in rules.items():
                found[Cell(L, noise, cosine), name] = recovery(find_labels(rule, planted), planted)
    made = f"{n_users} users a cell, K = 1 to {MOST_INTERESTS}, D = {_WIDTH}"
    grid = [_curve(measure, f"{what}; {made}", found, cosines) for measure, what in _CURVES.items()]
    return [_at_moderate(made, found), *grid]


def find_labels(rule: AdaptiveExtractor, planted: PlantedHistories) -> Ints:
    """Return the cluster of each behaviour as the extractor finds it, [B, L] int64 from 0."""
    B, L, D = planted.vectors.shape
    everything = torch.ones(B, L, dtype=torch.bool)
    found = rule.cluster(torch.from_numpy(planted.vectors.reshape(-1, D)), everything)
    labels: Ints = found.labels.numpy().reshape(B, L)
    return labels


def _at_moderate(made: str, found: Mapping[tuple[Cell, str], Recovery]) -> Table:
    """Everything that is measured, and what goes wrong."""
    cosine, noise = MODERATE
    rows = [
        [name, cell.length, *(measure(own) for measure in _MEASURES.values())]
        for (cell, name), own in found.items()
        if (cell.cosine, cell.noise) == MODERATE
    ]
    title = f"planted interests at moderate separation: mean cosine {cosine} within an interest, {noise:.0%} noise"
    title += f"; {made}. Recovered: as many clusters of two or more behaviours (or of any size) as interests planted; "
    title += "merged: two interests in a cluster; split: an interest in two clusters; cluster of noise: one of two or "
    title += "more behaviours"
    digits = {measure: _DIGITS.get(measure, 1) for measure in _MEASURES}
    return Table(["rule", "L", *_MEASURES], rows, title, digits)


def _curve(measure: str, title: str, found: Mapping[tuple[Cell, str], Recovery], cosines: Sequence[float]) -> Table:
    """One measure, of each rule over the grid."""
    rows: dict[tuple[int, float, str], list[object]] = {}
    for (cell, name), own in found.items():
        key = (cell.length, cell.noise, name)
        rows.setdefault(key, [name, cell.length, f"{cell.noise:.0%}"]).append(_MEASURES[measure](own))
    columns = [f"cosine {cosine:g}" for cosine in cosines]
    title = f"{title}; by mean cosine within an interest"
    return Table(
        ["rule", "L", "noise", *columns], list(rows.values()), title, dict.fromkeys(columns, _DIGITS.get(measure, 1))
    )
