"""Which behaviours of a user belong together, by the rule that was chosen: the labels that interests are pooled by.

P behaviours of B users, packed: ragged as in `dendrogram`. L the longest history, D width, K interests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adaptive_mi.batched_hdbscan import batched_hdbscan
from adaptive_mi.cardinality import KByChance, chance_of
from adaptive_mi.dendrogram import Dendrograms
from adaptive_mi.density import NOISE, Floats, Ints, starts_of
from adaptive_mi.gap_statistic import gap_k, uniform_reference
from adaptive_mi.linkage import LINKAGES, Linkage
from adaptive_mi.noise import Noise, settle_noise
from adaptive_mi.silhouette import silhouette_k
from baselines.errors import require_number, unknown_name
from baselines.extractors.mind import log_length

Rule = Literal["distance", "fixed", "log_length", "by_chance", "silhouette", "gap", "hdbscan"]


@dataclass(frozen=True)
class Clusters:
    """The clusters of B users.

    Attributes:
        labels: [P] int64, a behaviour's cluster, from 0 within each user; -1 = in none. A user has at least one.
        persistence: [P] float32, how long the behaviour's cluster lasts as density falls, from 0 to 1 (HDBSCAN's); 0
            for noise. None where the rule knows no density.
        notes: name -> [B] float32, what became of each user (`experiments.evaluation.diagnostics.NOTES` explains them).
            Empty in training.
    """

    labels: Tensor
    persistence: Tensor | None = None
    notes: Mapping[str, Tensor] = field(default_factory=dict)


class Clusterer(nn.Module):
    """Packed behaviours -> clusters, without a gradient.

    Args:
        width: D.
        max_history: L.
        rule, linkage, max_interests, max_distance, min_cluster_size, min_samples, noise: as of `AdaptiveExtractor`.
    """

    def __init__(
        self,
        width: int,
        max_history: int,
        *,
        rule: Rule,
        linkage: Linkage,
        max_interests: int,
        max_distance: float,
        min_cluster_size: int,
        min_samples: int,
        noise: Noise,
    ) -> None:
        super().__init__()
        for name, value, kind in (("rule", rule, Rule), ("linkage", linkage, Linkage), ("noise", noise, Noise)):
            known = get_args(kind)
            if value not in known:
                raise unknown_name(f"model.{name}", value, known)
        require_number("model.max_interests", max_interests, at_least=1)
        require_number("model.max_distance", max_distance, at_least=0)
        require_number("model.min_cluster_size", min_cluster_size, at_least=2)
        require_number("model.min_samples", min_samples, at_least=1)
        self.rule, self.noise, self.linkage = rule, noise, linkage
        self.max_interests, self.max_distance = max_interests, max_distance
        self.min_cluster_size, self.min_samples = min_cluster_size, min_samples
        self.by_chance = KByChance(max_history, max_interests) if rule == "by_chance" else None
        self.reference = None
        if rule == "gap":
            seeded = np.random.default_rng(0)  # a table of expectations, the same for every run
            lengths = np.arange(max_history + 1)
            self.reference = uniform_reference(lengths, width, max_interests, seeded, grow=LINKAGES[linkage])

    def forward(self, behaviours: Tensor, history_mask: Tensor) -> Clusters:
        """Cluster packed behaviours [P, D] of any length; `history_mask` [B, L] says whose they are."""
        starts = starts_of(history_mask.sum(1).cpu().numpy())
        unit = nn.functional.normalize(behaviours.detach(), dim=-1)
        found = self._dense(unit, starts) if self.rule == "hdbscan" else self._cut(unit.cpu().numpy(), starts)
        device = history_mask.device
        persistence = None if found.persistence is None else found.persistence.to(device)
        return Clusters(found.labels.to(device), persistence, found.notes)

    def _cut(self, rows: Floats, starts: Ints) -> Clusters:
        """Cut each user's dendrogram into as many clusters as the rule says, and distinct items allow."""
        trees = LINKAGES[self.linkage](rows, starts)
        wanted = self._n_clusters(rows, trees)
        most = np.minimum(trees.n_distinct, self.max_interests)
        labels = trees.cut(np.clip(wanted, 1, most))
        capped = (np.minimum(wanted, trees.n_distinct) > self.max_interests) & (self.rule != "fixed")
        return Clusters(torch.from_numpy(labels), notes=self._told(trees, capped))

    def _n_clusters(self, rows: Floats, trees: Dendrograms) -> Ints:
        """K_u before limits, [B] int64."""
        n = trees.n_behaviours
        if self.rule == "fixed":
            return np.full(len(n), self.max_interests)
        if self.rule == "log_length":
            return log_length(torch.from_numpy(n)).numpy()
        if self.rule == "silhouette":
            return silhouette_k(rows, trees, self.max_interests)
        if self.reference is not None:
            return gap_k(rows, trees, self.reference)
        found = trees.n_clusters_below(self.max_distance)
        if self.by_chance is None:
            return found
        if self.training:
            self.by_chance.note(n, np.minimum(found, self.max_interests))
        return self.by_chance.draw(n, chance_of(rows, trees.starts))

    def _dense(self, unit: Tensor, starts: Ints) -> Clusters:
        """Find density clusters, and settle what becomes of noise."""
        rows = unit.cpu().numpy()
        found = batched_hdbscan(
            rows if unit.device.type == "cpu" else unit,
            starts,
            min_cluster_size=self.min_cluster_size,
            min_samples=self.min_samples,
            n_threads=torch.get_num_threads(),
        )
        trees = LINKAGES["average"](rows, starts)
        labels = settle_noise(rows, starts, trees.cut(trees.n_distinct), found, self.noise)
        capped = np.zeros(len(found.n_clusters), np.bool_)
        user = np.repeat(np.arange(len(capped)), np.diff(starts))  # [P]
        np.logical_or.at(capped, user, labels >= self.max_interests)
        labels[labels >= self.max_interests] = NOISE
        lasting = np.zeros(len(labels), np.float32)
        inside = found.labels != NOISE
        lasting[inside] = found.persistence[found.first_cluster[user[inside]] + found.labels[inside]]
        notes = self._told(trees, capped)
        if notes:
            n = np.maximum(np.diff(starts), 1)
            share = np.bincount(user[~inside], minlength=len(n)) / n
            none = (found.n_clusters == 0) & (trees.n_distinct > 1)
            notes = notes | {"noise_share": _as_note(share), "no_dense_group": _as_note(none)}
        return Clusters(torch.from_numpy(labels), torch.from_numpy(lasting), notes)

    def _told(self, trees: Dendrograms, capped: NDArray[np.bool_]) -> dict[str, Tensor]:
        """What is noted under every rule; nothing in training."""
        if self.training:
            return {}
        return {"one_item": _as_note(trees.n_distinct == 1), "capped": _as_note(capped)}


def _as_note(values: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32))
