"""Interests are the clusters of a user's behaviours, as many as the behaviours fall into, beside the whole of them.

Open question 5.1 of Li et al., "Multi-Interest Recommendation: A Survey" (arXiv 2506.15284): K is preset there, and
should follow from the user, by density clustering, say. Here, at every step of training as in serving:

    1. the behaviours' current item vectors are clustered (`rule`), no gradient passing through the labels;
    2. each cluster is pooled into one interest,  v_k = sum over i in k of w_i x_i / m_k,  w_i = exp(a_r(i) + g . x_i),
       where a is learned by distance r(i) from the end of the history, and g reads the content;
    3. the share of the cluster's weight m_k in the user's is the interest's importance: its log joins the scores;
    4. where there are several clusters, the history as a whole is one more interest, pooled by an a and a g of its own,
       and has a fixed part of the importance (`whole_share`); the clusters have the rest. With `whole = sequence` the
       state of a causal transformer joins it, and then every user has it.

So K costs nothing where a user has one taste, and two tastes never share a vector. What a user's behaviours have in
common is lost in clusters all the same, and where that is what counts (films, long histories) every K > 1 loses to
K = 1; step 4 keeps it. Its share is no parameter: training rewards one vector for all (its loss is lowest at K = 1 on
every log tried, be the recall of K = 1 the best or not), and drives a learned share to 1. Clusters follow the item
table as it learns; at a random start every behaviour is a cluster of its own, and the model a nearest-neighbour one.

Differs from the survey: it proposes no method. PinnerSage (Pal et al., KDD 2020) clusters histories offline by Ward's
linkage under a distance threshold, on a fixed table, and serves medoids.

B users, L behaviours, K interests, D width. P behaviours of all users, packed.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from adaptive_mi.batched_hdbscan import batched_hdbscan
from adaptive_mi.cardinality import KByChance, chance_of, log_length
from adaptive_mi.cluster_pooling import pool_clusters
from adaptive_mi.dendrogram import Dendrograms, Floats, Ints, average_linkage
from adaptive_mi.density import NOISE
from adaptive_mi.gap_statistic import gap_k, uniform_reference
from adaptive_mi.noise import Noise, settle_noise
from adaptive_mi.silhouette import silhouette_k
from adaptive_mi.whole import BehaviourWeight, PooledWhole, SequenceWhole
from baselines.errors import require_number, unknown_name
from baselines.interests import InterestExtractor, Interests, pack, recency_rank, scatter

WholeKind = Literal["pooled", "sequence"]
Rule = Literal["distance", "fixed", "log_length", "by_chance", "silhouette", "gap", "hdbscan"]


class AdaptiveExtractor(InterestExtractor):
    """As many interests as a user's behaviours form clusters.

    Args:
        width: D.
        max_history: L.
        rule: what decides K_u. Cuts of the average-linkage dendrogram of 1 - cosine: below a `distance`; into the same
            number for everybody (`fixed`); into log2 n (`log_length`, MIND's rule); where the mean `silhouette` is
            best; by the `gap` statistic; and the control `by_chance`, K drawn as often as `distance` finds it. Or the
            density clusters of `hdbscan`.
        max_interests: the most interests of a user, and K of `fixed`.
        max_distance: of `distance` and `by_chance`: clusters whose mean distance, 1 - cosine, is at most this are
            joined, from 0 = only the same item to 2 = all of the history. At .8 planted interests are joined by
            chance, at .5 loose ones fall apart (`adaptive-mi bench clustering`).
        min_cluster_size: of `hdbscan`: the fewest behaviours of a cluster.
        min_samples: of `hdbscan`: how many neighbours tell a behaviour's density.
        noise: of `hdbscan`: a behaviour in no dense group is an interest `alone`, joins the `nearest` cluster, or is
            `dropped`.
        weighted: let an interest's weight count in its scores.
        gated: learn by content, too, how much a behaviour weighs.
        whole_share: the share of the importance that the whole history has as an interest of its own beside the
            clusters, less than 1; 0 = there is none.
        whole: what it is, the mean of all behaviours (`pooled`), for users with several clusters; or that plus the
            state of a transformer (`sequence`), for all.
        n_layers: of the transformer.
        n_heads: of the transformer.
        encoder_dropout: of the transformer, beside `scoring.dropout`.
    """

    reads_undropped = True

    def __init__(
        self,
        width: int,
        max_history: int,
        *,
        rule: Rule = "distance",
        max_interests: int = 16,
        max_distance: float = 0.65,
        min_cluster_size: int = 2,
        min_samples: int = 1,
        noise: Noise = "alone",
        weighted: bool = True,
        gated: bool = True,
        whole_share: float = 0.5,
        whole: WholeKind = "pooled",
        n_layers: int = 1,
        n_heads: int = 2,
        encoder_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        choices = (("rule", rule, Rule), ("noise", noise, Noise), ("whole", whole, WholeKind))
        for name, value, kind in choices:
            known = get_args(kind)
            if value not in known:
                raise unknown_name(f"model.{name}", value, known)
        require_number("model.max_interests", max_interests, at_least=1)
        require_number("model.max_distance", max_distance, at_least=0)
        require_number("model.whole_share", whole_share, at_least=0, below=1)
        require_number("model.min_cluster_size", min_cluster_size, at_least=2)
        require_number("model.min_samples", min_samples, at_least=1)
        self.rule, self.noise, self.weighted = rule, noise, weighted
        self.max_interests, self.max_distance = max_interests, max_distance
        self.min_cluster_size, self.min_samples = min_cluster_size, min_samples
        self.of_clusters = BehaviourWeight(width, max_history, gated)
        self.whole: PooledWhole | None = None
        if whole_share and whole == "pooled":
            self.whole = PooledWhole(width, max_history, gated)
        elif whole_share:
            transformer = {"n_layers": n_layers, "n_heads": n_heads}
            self.whole = SequenceWhole(width, max_history, gated, **transformer, dropout=encoder_dropout)
        self.log_odds = math.log(whole_share / (1 - whole_share)) if whole_share else -math.inf
        self.by_chance = KByChance(max_history, max_interests) if rule == "by_chance" else None
        lengths = np.arange(max_history + 1)
        seeded = np.random.default_rng(0)  # a table of expectations, the same for every run
        self.reference = uniform_reference(lengths, width, max_interests, seeded) if rule == "gap" else None

    def forward(self, history: Tensor, history_mask: Tensor, undropped: Tensor | None = None) -> Interests:
        """See `InterestExtractor.forward`.

        Args:
            history: [B, L, D]; history_mask: [B, L] bool.
            undropped: [B, L, D], what is clustered; None = `history`.
        """
        read = pack(history if undropped is None else undropped, history_mask).detach()  # [P, D]
        labels = self.cluster(read, history_mask)
        B, K = len(history), int(labels.max()) + 1
        behaviours, rank = pack(history, history_mask), recency_rank(history_mask)[history_mask]
        user = history_mask.nonzero()[:, 0]  # [P]
        slot = torch.where(labels >= 0, user * K + labels, NOISE)
        vectors, log_mass = pool_clusters(behaviours, self.of_clusters(behaviours, rank), slot, B * K)
        vectors, log_mass = vectors.view(B, K, -1), log_mass.view(B, K)
        mask = log_mass > -torch.inf
        mass = log_mass if self.weighted else log_mass.masked_fill(mask, 0)
        log_share = mass.double().log_softmax(1).to(mass).masked_fill(~mask, 0)  # in float32 its last bit minds K
        assignment = scatter(nn.functional.one_hot(labels + 1, K + 1)[:, 1:].to(history), history_mask)
        if self.whole is not None and (K > 1 or self.whole.adds_to_one_cluster):
            whole = self.whole(history, history_mask, behaviours, rank)
            has_it = mask.sum(1, keepdim=True) > (0 if self.whole.adds_to_one_cluster else 1)
            vectors = torch.cat([vectors, whole[:, None]], 1)
            log_share = torch.cat([log_share, log_share.new_full((B, 1), self.log_odds)], 1)
            mask = torch.cat([mask, has_it], 1)
            assignment = nn.functional.pad(assignment, (0, 1))
        return Interests(vectors=vectors, mask=mask, log_weight=log_share, assignment=assignment)

    def cluster(self, behaviours: Tensor, history_mask: Tensor) -> Tensor:
        """Label packed behaviours [P, D] of any length with their user's clusters, [P] int64; -1 = in none."""
        n = history_mask.sum(1).cpu().numpy()
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(n)])
        rows = nn.functional.normalize(behaviours, dim=-1).cpu().numpy()
        labels = self._dense(rows, starts) if self.rule == "hdbscan" else self._cut(rows, starts)
        return torch.from_numpy(labels).to(history_mask.device)

    def _cut(self, rows: Floats, starts: Ints) -> Ints:
        """Cut each user's dendrogram into as many clusters as the rule says, and distinct items allow."""
        trees = average_linkage(rows, starts)
        most = np.minimum(trees.n_distinct, self.max_interests)
        return trees.cut(np.clip(self._n_clusters(rows, trees), 1, most))

    def _n_clusters(self, rows: Floats, trees: Dendrograms) -> Ints:
        """K_u before limits, [B] int64."""
        n = trees.n_behaviours
        if self.rule == "fixed":
            return np.full(len(n), self.max_interests)
        if self.rule == "log_length":
            return log_length(n)
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

    def _dense(self, rows: Floats, starts: Ints) -> Ints:
        """Find density clusters, and settle what becomes of noise."""
        found = batched_hdbscan(rows, starts, min_cluster_size=self.min_cluster_size, min_samples=self.min_samples)
        trees = average_linkage(rows, starts)
        distinct = trees.cut(trees.n_distinct)
        labels = settle_noise(rows, starts, distinct, found, self.noise)
        labels[labels >= self.max_interests] = NOISE
        return labels
