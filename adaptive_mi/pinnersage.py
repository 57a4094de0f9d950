"""PinnerSage: Ward's clusters of a history under a threshold, each served by its medoid; nothing is trained on them.

Pal, Eksombatchai, Zhou, Zhao, Rosenberg and Leskovec, "PinnerSage: Multi-Modal User Embedding Framework for
Recommendations at Pinterest" (KDD 2020), section 4:

    1. behaviours are clustered by Ward's linkage until no join adds less than a threshold (algorithm 1);
    2. a cluster's vector is its medoid, the behaviour with the least sum of squared distances to the others (4.2);
    3. its importance is the sum of exp(-decay * age) over its behaviours (4.3);
    4. serving draws three clusters by importance and queries with their medoids (5.2).

Item vectors come from a model that knows no clusters: in training a user has one interest here, the pooled history,
exactly as `adaptive` has with K preset to 1. Evaluation clusters, training never does.

Differs from the paper: item vectors are this repository's, not PinSage's; age is counted in behaviours from the end of
the history, not in days; clusters are found at every request, where the paper does so daily; queries are joined by
`scoring.aggregation` with the log importance in the scores, where the paper merges lists. Draws are without
replacement (by the largest log importance plus Gumbel noise), and the same for a user each time.

One behaviour, or one again and again: one interest. A draw of more clusters than there are takes all.

P behaviours of B users, packed: ragged as in `dendrogram`. L behaviours, K interests, D width, C clusters of all users.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adaptive_mi.cardinality import chance_of
from adaptive_mi.cluster_pooling import pool_clusters
from adaptive_mi.density import Floats, Ints, starts_of
from adaptive_mi.linkage import ward_linkage
from adaptive_mi.whole import BehaviourWeight
from baselines.errors import require_number
from baselines.interests import InterestExtractor, Interests, log_shares, pack, recency_rank, scatter


class PinnerSage(InterestExtractor):
    """Medoids of Ward's clusters, beside a table that is trained with one vector.

    Args:
        width: D.
        max_history: L.
        max_distance: clusters are joined as long as that adds no more than this to the sum of squared distances from
            their means; of two behaviours it is 1 - cosine. At 1 planted interests are kept together and apart best
            (`adaptive-mi bench clustering`), noise gathers.
        n_served: how many clusters a request draws by importance (the paper: 3); 0 = all of them.
        decay: how fast a behaviour's importance falls, per place from the end of the history (the paper: .01 a day); 0
            = a cluster's importance is its size.
        gated: of the vector that trains the table: learn by content, too, how much a behaviour weighs.
    """

    def __init__(
        self,
        width: int,
        max_history: int,
        *,
        max_distance: float = 1.0,
        n_served: int = 3,
        decay: float = 0.01,
        gated: bool = True,
    ) -> None:
        super().__init__()
        require_number("model.max_distance", max_distance, at_least=0)
        require_number("model.n_served", n_served, at_least=0)
        require_number("model.decay", decay, at_least=0)
        self.max_distance, self.n_served, self.decay = max_distance, n_served, decay
        self.weight = BehaviourWeight(width, max_history, gated)

    def forward(self, history: Tensor, history_mask: Tensor) -> Interests:
        """See `InterestExtractor.forward`; K = 1 in training."""
        behaviours, rank = pack(history, history_mask), recency_rank(history_mask)[history_mask]
        if self.training:
            user = history_mask.nonzero()[:, 0]
            pooled, _ = pool_clusters(behaviours, self.weight(behaviours, rank), user, len(history))
            return Interests.single(pooled, history_mask)
        return self._medoids(behaviours.detach(), history_mask, rank)

    def _medoids(self, behaviours: Tensor, history_mask: Tensor, rank: Tensor) -> Interests:
        """What is served."""
        n = history_mask.sum(1).cpu().numpy()
        starts = starts_of(n)
        rows = nn.functional.normalize(behaviours, dim=-1).cpu().numpy()
        trees = ward_linkage(rows, starts)
        n_clusters = np.clip(trees.n_clusters_below(self.max_distance), 1, trees.n_distinct)
        labels = trees.cut(n_clusters)
        first = starts_of(n_clusters)
        cluster = labels + np.repeat(first[:-1], n)  # [P] from 0 to C - 1
        medoid = medoids(rows, cluster, int(first[-1]))
        importance = np.zeros(int(first[-1]))  # [C]
        np.add.at(importance, cluster, np.exp(-self.decay * rank.cpu().numpy()))
        B, K = len(n), int(n_clusters.max())
        user, slot = np.repeat(np.arange(B), n_clusters), np.arange(first[-1]) - np.repeat(first[:-1], n_clusters)
        vectors, log_weight = behaviours.new_zeros(B, K, behaviours.shape[1]), torch.zeros(B, K)
        mask = torch.zeros(B, K, dtype=torch.bool)
        vectors[user, slot] = behaviours[torch.from_numpy(medoid).to(behaviours.device)]
        log_weight[user, slot] = torch.from_numpy(np.log(importance)).float()
        mask[user, slot] = torch.from_numpy(self._drawn(rows, starts, medoid, importance, user))
        log_weight = log_shares(log_weight, mask)
        whose = torch.from_numpy(np.repeat(np.arange(B), n))  # [P]
        one_hot = nn.functional.one_hot(torch.from_numpy(labels), K) * mask[whose]
        mask, log_weight, one_hot = (tensor.to(behaviours.device) for tensor in (mask, log_weight, one_hot))
        return Interests(vectors, mask, log_weight, scatter(one_hot.to(behaviours), history_mask))

    def _drawn(
        self, rows: Floats, starts: Ints, medoid: Ints, importance: NDArray[np.float64], user: Ints
    ) -> NDArray[np.bool_]:
        """Say of each cluster whether it is served, [C] bool."""
        if not self.n_served:
            return np.ones(len(medoid), np.bool_)
        of_user = chance_of(rows, starts)[user]
        of_medoid = chance_of(rows[medoid], np.arange(len(medoid) + 1))
        uniform = np.clip((of_user + of_medoid) % 1, 1e-12, 1 - 1e-12)
        key = np.log(importance) - np.log(-np.log(uniform))
        order = np.lexsort((-key, user))
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order)) - np.searchsorted(user, user)  # within the user, the largest key first
        return np.asarray(place < self.n_served)


def medoids(unit: Floats, cluster: Ints, n_clusters: int) -> Ints:
    """Return the behaviour of each cluster with the least sum of squared distances to the others, [C] int64.

    For vectors of length 1 it is the one whose product with the sum of them all is largest; of equals the latest.

    Args:
        unit: [P, D] of unit length.
        cluster: [P] int64 from 0 to C - 1, none empty.
        n_clusters: C.
    """
    rows = unit.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)  # to more digits, or two that are equally near would not be
    order = np.argsort(cluster, kind="stable")
    total = np.add.reduceat(rows[order], np.searchsorted(cluster[order], np.arange(n_clusters)))
    match = np.einsum("pd,pd->p", rows, total[cluster])
    best = np.lexsort((np.arange(len(unit)), match.round(9), cluster))  # the last of a cluster has the largest product
    found: Ints = best[np.searchsorted(cluster[best], np.arange(n_clusters), side="right") - 1]
    return found
