"""Interests are the clusters of a user's behaviours, as many as the behaviours fall into, beside the whole of them.

Open question 5.1 of Li et al., "Multi-Interest Recommendation: A Survey" (arXiv 2506.15284): K is preset there, and
should follow from the user, by density clustering, say. Here, at every step of training as in serving:

    1. the behaviours' current item vectors are clustered (`rule`), no gradient passing through the labels;
    2. each cluster is pooled into one interest,  v_k = sum over i in k of w_i x_i / m_k,  w_i = exp(a_r(i) + g . x_i),
       where a is learned by distance r(i) from the end of the history, and g reads the content;
    3. the share of the cluster's weight m_k in the user's is the interest's importance: its log joins the scores;
    4. where there are several clusters, the history as a whole is one more interest, pooled by an a and a g of its own,
       and has a fixed part of the importance (`whole_share`); the clusters have the rest. With `whole = sequence` the
       state of a causal transformer joins it, and then every user has it;
    5. one non-linear step, the same for all interests, leads from what was seen to what comes: it reads an interest in
       the context of the whole history (`transition`).

So K costs nothing where a user has one taste, and two tastes never share a vector. What a user's behaviours have in
common is lost in clusters all the same, and where that is what counts (films, long histories) every K > 1 loses to
K = 1; step 4 keeps it. Its share is no parameter: training rewards one vector for all (its loss is lowest at K = 1 on
every log tried, be the recall of K = 1 the best or not), and drives a learned share to 1. Clusters follow the item
table as it learns; at a random start every behaviour is a cluster of its own, and the model a nearest-neighbour one.

Differs from the survey: it proposes no method. PinnerSage (Pal et al., KDD 2020) clusters histories offline by Ward's
linkage under a distance threshold, on a fixed table, and serves medoids (`pinnersage`).

B users, L behaviours, K interests, D width. P behaviours of all users, packed.
"""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from adaptive_mi.cluster_pooling import pool_clusters
from adaptive_mi.clusterer import Clusterer, Clusters, Rule
from adaptive_mi.density import NOISE
from adaptive_mi.linkage import Linkage
from adaptive_mi.noise import Noise
from adaptive_mi.slot_gates import GATES, Kept
from adaptive_mi.whole import BehaviourWeight, PooledWhole, SequenceWhole, cohesion
from baselines.errors import require_number, unknown_name
from baselines.extractors.sasrec import SASRec
from baselines.interests import InterestExtractor, Interests, log_shares, pack, recency_rank, scatter
from baselines.transition import Transition

WholeKind = Literal["pooled", "sequence"]
PooledKind = Literal["items", "contextual"]
OwnShare = Literal["cohesion"]
Step = Literal["none", "alone", "in_context"]


class AdaptiveExtractor(InterestExtractor):
    """As many interests as a user's behaviours form clusters.

    Args:
        width: D.
        max_history: L.
        rule: what decides K_u. Cuts of the dendrogram of 1 - cosine: below a `distance`; into the same number for
            everybody (`fixed`, with as many as behaviours are read: every item an interest); into log2 n (`log_length`,
            MIND's rule); where the mean `silhouette` is best; by the `gap` statistic; and the control `by_chance`, K
            drawn as often as `distance` finds it. Or the density clusters of `hdbscan`.
        linkage: what the dendrogram joins first, the two clusters with the least mean distance (`average`), those
            whose union is least spread (`ward`), or those of which two behaviours are the nearest (`single`; below a
            `distance`, and with no more than `max_interests` clusters, that is DBSCAN to which one near neighbour is
            enough and of which noise is alone).
        max_interests: the most interests of a user, and K of `fixed`.
        max_distance: of `distance` and `by_chance`: clusters whose mean distance, 1 - cosine, is at most this are
            joined, from 0 = only the same item to 2 = all of the history. At .8 planted interests are joined by
            chance, at .5 loose ones fall apart (`adaptive-mi bench clustering`). Ward's heights grow with the sizes.
        min_cluster_size: of `hdbscan`: the fewest behaviours of a cluster.
        min_samples: of `hdbscan`: how many neighbours tell a behaviour's density.
        noise: of `hdbscan`: a behaviour in no dense group is an interest `alone`, all of them are one (`shared`), it
            joins the `nearest` cluster, or is `dropped`.
        kept: which clusters stay interests: `all`; those that a learned gate leaves open (`gumbel`); those that have a
            share by `entmax`. The last two are controls: training teaches them K = 1 (`slot_gates`).
        weighted: let an interest's weight count in its scores.
        persistent: of `hdbscan`: let the persistence of a cluster count too, by a factor that is learned.
        gated: learn by content, too, how much a behaviour weighs.
        pooled: what is pooled in a cluster, the behaviours' vectors (`items`), or these plus a transformer's states
            (`contextual`). Clusters are of the former in either case.
        whole_share: the share of the importance that the whole history has as an interest of its own beside the
            clusters, less than 1; 0 = there is none; `cohesion` = each user's own, by how much of what the clusters
            explain of the behaviours their common mean explains (`whole.cohesion`).
        whole: what it is, the mean of all behaviours (`pooled`), for users with several clusters; or that plus the
            state of a transformer (`sequence`), for all.
        transition: pass every interest through one residual perceptron (`Transition`) that reads it `in_context` of
            the whole history, or `alone`; or through `none`.
        n_layers: of each transformer.
        n_heads: of each transformer.
        encoder_dropout: of each transformer, beside `scoring.dropout`.
        warm_up: training steps with one interest, before clusters mean anything; of no use from a spectral start.
    """

    reads_undropped = True
    steps: Tensor

    def __init__(
        self,
        width: int,
        max_history: int,
        *,
        rule: Rule = "distance",
        linkage: Linkage = "average",
        max_interests: int = 16,
        max_distance: float = 0.65,
        min_cluster_size: int = 2,
        min_samples: int = 1,
        noise: Noise = "alone",
        kept: Kept = "all",
        weighted: bool = True,
        persistent: bool = False,
        gated: bool = True,
        pooled: PooledKind = "items",
        whole_share: float | OwnShare = 0.5,
        whole: WholeKind = "pooled",
        transition: Step = "in_context",
        n_layers: int = 1,
        n_heads: int = 2,
        encoder_dropout: float = 0.0,
        warm_up: int = 0,
    ) -> None:
        super().__init__()
        for name, value, kind in (
            ("kept", kept, Kept),
            ("pooled", pooled, PooledKind),
            ("whole", whole, WholeKind),
            ("transition", transition, Step),
        ):
            if value not in get_args(kind):
                raise unknown_name(f"model.{name}", value, get_args(kind))
        if not isinstance(whole_share, str):
            require_number("model.whole_share", whole_share, at_least=0, below=1)
        elif whole_share not in get_args(OwnShare):
            raise unknown_name("model.whole_share", whole_share, get_args(OwnShare))
        require_number("model.warm_up", warm_up, at_least=0)
        self.clusterer = Clusterer(
            width,
            max_history,
            rule=rule,
            linkage=linkage,
            max_interests=max_interests,
            max_distance=max_distance,
            min_cluster_size=min_cluster_size,
            min_samples=min_samples,
            noise=noise,
        )
        self.weighted, self.warm_up, self.whole_share = weighted, warm_up, whole_share
        self.of_clusters = BehaviourWeight(width, max_history, gated)
        transformer: dict[str, Any] = {"n_layers": n_layers, "n_heads": n_heads, "dropout": encoder_dropout}
        self.whole: PooledWhole | None = None
        if whole_share or transition == "in_context":
            self.whole = (
                PooledWhole(width, max_history, gated)
                if whole == "pooled"
                else SequenceWhole(width, max_history, gated, **transformer)
            )
        self.context: SASRec | None = None
        if pooled == "contextual":
            self.context = SASRec(width, max_history, **transformer)
        self.gate = GATES[kept](width) if kept != "all" else None
        self.transition = Transition(width, transition == "in_context") if transition != "none" else None
        self.of_persistence = nn.Parameter(torch.zeros(())) if persistent and rule == "hdbscan" else None
        if warm_up:
            self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, history: Tensor, history_mask: Tensor, undropped: Tensor | None = None) -> Interests:
        """See `InterestExtractor.forward`.

        Args:
            history: [B, L, D]; history_mask: [B, L] bool.
            undropped: [B, L, D], what is clustered; None = `history`.
        """
        read = pack(history if undropped is None else undropped, history_mask).detach()  # [P, D]
        found = self.cluster(read, history_mask)
        labels = found.labels
        B, K = len(history), int(labels.max()) + 1
        items, rank = pack(history, history_mask), recency_rank(history_mask)[history_mask]
        behaviours = (
            items if self.context is None else items + pack(self.context.states(history, history_mask), history_mask)
        )
        user = history_mask.nonzero()[:, 0]  # [P]
        slot = torch.where(labels >= 0, user * K + labels, NOISE)
        vectors, log_mass = pool_clusters(behaviours, self.of_clusters(behaviours, rank), slot, B * K)
        vectors, log_mass = vectors.view(B, K, -1), log_mass.view(B, K)
        mask = clustered = log_mass > -torch.inf
        log_mass = log_mass if self.weighted else log_mass.masked_fill(mask, 0)
        if self.of_persistence is not None and found.persistence is not None:
            log_mass = log_mass + self.of_persistence * _of_slots(found.persistence, slot, B * K).view(B, K)
        log_share = log_shares(log_mass, mask)
        assignment = scatter(nn.functional.one_hot(labels + 1, K + 1)[:, 1:].to(history), history_mask)
        if self.gate is not None:
            log_share, mask = self.gate(vectors, log_share, mask)
            assignment = assignment * mask[:, None]
        whole = None
        if self.whole is not None:
            whole = self.whole(history, history_mask, items, rank)  # [B, D]
            fewest = 1 if self.whole.adds_to_one_cluster else 2
            if self.whole_share and fewest <= K:
                has_it = clustered.sum(1, keepdim=True) >= fewest
                log_odds = self._log_odds(read, slot, user, B, B * K).to(log_share)
                vectors = torch.cat([vectors, whole[:, None]], 1)
                log_share = torch.cat([log_share, log_odds[:, None]], 1)
                mask = torch.cat([mask, has_it], 1)
                assignment = nn.functional.pad(assignment, (0, 1))
        if self.transition is not None:
            vectors = self.transition(vectors, mask, whole)
        return Interests(vectors=vectors, mask=mask, log_weight=log_share, assignment=assignment, notes=found.notes)

    def cluster(self, behaviours: Tensor, history_mask: Tensor) -> Clusters:
        """Cluster packed behaviours [P, D] of any length."""
        if self.warm_up and self.steps < self.warm_up:
            self.steps += int(self.training)
            return Clusters(torch.zeros(len(behaviours), dtype=torch.int64, device=behaviours.device))
        found: Clusters = self.clusterer(behaviours, history_mask)
        return found

    def _log_odds(self, read: Tensor, slot: Tensor, user: Tensor, n_users: int, n_slots: int) -> Tensor:
        """Log of the whole's share over that of all clusters together, [B]."""
        if isinstance(self.whole_share, str):
            return cohesion(nn.functional.normalize(read, dim=-1), slot, user, n_users, n_slots).logit()
        return read.new_full((n_users,), math.log(self.whole_share / (1 - self.whole_share)))


def _of_slots(values: Tensor, slot: Tensor, n_slots: int) -> Tensor:
    """The value [n_slots] that all behaviours of a slot have in common; 0 of an empty one."""
    member = slot >= 0
    return values.new_zeros(n_slots).index_put((slot[member],), values[member])
