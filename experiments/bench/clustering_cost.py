"""What clustering takes: of a training step of `adaptive`, and of each rule for a user.

What is compared takes turns, so that whatever else the machine does meets all of it, and is quoted at its best turn;
the figures to read are the shares and the ratios.

B users, L behaviours, D width.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from adaptive_mi.batched_hdbscan import batched_hdbscan
from adaptive_mi.clusterer import Clusters
from adaptive_mi.density import Floats, Ints, hdbscan_clusters
from adaptive_mi.extractor import AdaptiveExtractor
from adaptive_mi.gap_statistic import gap_k, uniform_reference
from adaptive_mi.linkage import average_linkage, ward_linkage
from adaptive_mi.silhouette import silhouette_k
from baselines.batch import Batch
from baselines.interests import scatter
from baselines.recommender import Recommender
from baselines.sequences import Sequences
from experiments.bench.planted import plant
from experiments.bench.timing import seconds
from experiments.bench.training import n_threads, random_sequences
from experiments.config import RunConfig
from experiments.data.loading import load_dataset
from experiments.data.registry import SYNTHETIC
from experiments.methods import make_method, resolve_device
from experiments.reporting.table import Table
from experiments.training.batches import TrainingBatches
from experiments.training.optimisers import make_optimisers

LENGTHS = (10, 20, 50, 100, 200)
PACKAGE = "hdbscan package, one call a user"
THREADS = 2

_B, _L, _ITEMS = 256, 20, 25_000
_TRAINED = 100  # steps before the clock runs: at a random start no two behaviours are near
_BATCHES, _TURNS = 2, 40
_BEHAVIOURS = 10_000  # that a rule is timed on
_CALLS, _RULE_TURNS = 6, 8  # calls of the package in a turn
_STEP_COLUMNS = [
    "histories", "behaviours/user", "clusters/user", "step ms", "labels %", "pooling %", "rest %",
    "times the step with labels known",
]  # fmt: skip
_STEP_DIGITS = dict.fromkeys(_STEP_COLUMNS[1:7], 1) | {_STEP_COLUMNS[7]: 2}


class ToldExtractor(AdaptiveExtractor):
    """`adaptive`, which may be told the labels."""

    known: Tensor | None = None
    """[P] int64, what `cluster` answers without a look at the behaviours; None = it looks."""

    def cluster(self, behaviours: Tensor, history_mask: Tensor) -> Clusters:
        """See `AdaptiveExtractor.cluster`."""
        return super().cluster(behaviours, history_mask) if self.known is None else Clusters(self.known)


def share_of_step(config: RunConfig) -> Table:
    """Split the time of a training step of `adaptive` by `config`, at B = 256 and L = 20.

    `labels`: linkage and cut. `pooling`: from labels to interests, forward and backward. `rest`: looking up and scoring
    items, and the optimiser. Full histories of random items; and those of the log that `config` names, if a real one.
    """
    full = random_sequences(_ITEMS, _L)
    rows = [[f"full, {_ITEMS} random items", *_split(config, full, _L)]]
    if config.data.source == SYNTHETIC:
        rows.append(["lengths of a real log: skipped, there is none", *[None] * (len(_STEP_COLUMNS) - 1)])
    else:
        dataset = load_dataset(config.data)
        rows.append([f"as in {dataset.name}", *_split(config, dataset.train, config.training.min_history)])
    title = f"what clustering adds to a training step of adaptive: B = {_B}, L = {_L}, D = {config.scoring.width}, "
    title += f"{config.loss.n_negatives} negatives, after {_TRAINED} steps, {n_threads(config)} threads, "
    return Table(_STEP_COLUMNS, rows, title + resolve_device(config), _STEP_DIGITS)


def _split(config: RunConfig, train: Sequences, min_history: int) -> list[object]:
    """Behaviours and clusters of a user, milliseconds of a step, shares, and the ratio to labels known."""
    config = replace(config, scoring=replace(config.scoring, max_history=_L))
    device = resolve_device(config)
    model = make_method(config, train)
    assert isinstance(model, Recommender), "adaptive is trained"
    model.extractor = extractor = ToldExtractor(config.scoring.width, _L, **config.model).to(device)
    optimisers = make_optimisers(model.train(), config.training)
    negatives = torch.Generator(device).manual_seed(config.seed)

    def step(batch: Batch) -> None:
        terms = model.losses(batch, negatives)
        model.zero_grad(set_to_none=True)
        torch.stack([config.loss.weights.get(name, 1.0) * value for name, value in terms.items()]).sum().backward()  # type: ignore[no-untyped-call]
        for optimiser in optimisers.values():
            optimiser.step()

    source = TrainingBatches(train, _B, _L, min_history, np.random.default_rng(config.seed))
    for _ in range(_TRAINED):
        step(source.next().to(device))
    best = np.full((_BATCHES, 4), np.inf)  # seconds of labels, pooling, step, step with labels known
    batches = [source.next().to(device) for _ in range(_BATCHES)]
    n_behaviours = n_clusters = 0
    for turn in range(_TURNS):
        for row, batch in zip(best, batches, strict=True):
            behaviours = model.item_vectors(batch.history[batch.history_mask]).detach()
            labels = extractor.cluster(behaviours, batch.history_mask).labels
            works: list[tuple[int, Tensor | None, Callable[[], object]]] = [
                (0, None, lambda b=behaviours, m=batch.history_mask: extractor.cluster(b, m)),  # type: ignore[misc]
                (1, labels, lambda b=behaviours, m=batch.history_mask: _pool(extractor, b, m)),  # type: ignore[misc]
                (2, None, lambda batch=batch: step(batch)),  # type: ignore[misc]
                (3, labels, lambda batch=batch: step(batch)),  # type: ignore[misc]
            ]
            for column, extractor.known, work in works[:: 1 if turn % 2 else -1]:
                row[column] = min(row[column], seconds(work, device))
            extractor.known = None
            if turn == 0:
                n_behaviours += len(labels)
                n_clusters += int((scatter(labels[:, None] + 1, batch.history_mask).amax(1)).sum())
    of_labels, of_pooling, whole, told = best.sum(0)
    shares = 100 * of_labels / whole, 100 * of_pooling / whole
    n_users = _BATCHES * _B
    means = n_behaviours / n_users, n_clusters / n_users, 1000 * whole / _BATCHES
    return [*means, *shares, 100 - sum(shares), whole / told]


def _pool(extractor: AdaptiveExtractor, behaviours: Tensor, history_mask: Tensor) -> object:
    """Interests, and gradients of them to all that is learned."""
    history = scatter(behaviours, history_mask).requires_grad_()
    found = extractor(history, history_mask)
    return torch.autograd.grad(
        found.vectors.sum() + found.log_weight.sum(), [history, *extractor.parameters()], allow_unused=True
    )


def cost_of_rules(seed: int, lengths: tuple[int, ...] = LENGTHS) -> Table:
    """Time every rule on planted histories, from vectors to labels, beside the hdbscan package called user by user.

    Args:
        seed: of the histories and of the gap statistic's reference.
        lengths: n.
    """
    rows: list[list[object]] = []
    for n in lengths:
        rng = np.random.default_rng(seed)
        planted = plant(max(_CALLS, _BEHAVIOURS // n), n, 0.7, 0.1, rng)
        B, _, D = planted.vectors.shape
        rules = _rules(planted.vectors.reshape(B * n, D), np.arange(B + 1) * n, rng)
        users = {**dict.fromkeys(rules, int(B)), PACKAGE: _CALLS}
        rules[PACKAGE] = (
            lambda planted=planted: [  # type: ignore[misc]
                hdbscan_clusters(own, min_cluster_size=2, min_samples=1) for own in planted.vectors[:_CALLS]
            ]
        )
        best = dict.fromkeys(rules, float("inf"))
        for _ in range(_RULE_TURNS):
            for name, work in rules.items():
                best[name] = min(best[name], seconds(work, "cpu") / users[name])
        rows += [[n, name, 1e6 * took, best[PACKAGE] / took] for name, took in best.items()]
    columns = ["n", "from vectors to labels", "µs/user", "times as fast as the package"]
    title = "what clusters cost, histories of n behaviours, D = 64, one thread where nothing is said; "
    title += f"{os.cpu_count()} cores"
    return Table(columns, rows, title, {"µs/user": 1, columns[3]: 1})


def _rules(vectors: Floats, starts: Ints, generator: np.random.Generator) -> dict[str, Callable[[], object]]:
    """Each rule with its defaults, by name."""
    n, D = int(starts[1]), vectors.shape[1]
    default = AdaptiveExtractor(D, n).clusterer
    reference = uniform_reference(np.array([n]), D, default.max_interests, generator)

    def distance() -> object:
        trees = average_linkage(vectors, starts)
        return trees.cut(trees.n_clusters_below(default.max_distance))

    def silhouette() -> object:
        trees = average_linkage(vectors, starts)
        return trees.cut(silhouette_k(vectors, trees, default.max_interests))

    def gap() -> object:
        trees = average_linkage(vectors, starts)
        return trees.cut(gap_k(vectors, trees, reference))

    def hdbscan() -> object:
        return batched_hdbscan(vectors, starts, min_cluster_size=2, min_samples=1)

    def ward() -> object:
        trees = ward_linkage(vectors, starts)
        return trees.cut(trees.n_clusters_below(default.max_distance))

    def hdbscan_shared_out() -> object:
        return batched_hdbscan(vectors, starts, min_cluster_size=2, min_samples=1, n_threads=THREADS)

    return {
        "average linkage + cut": distance,
        "ward linkage + cut": ward,
        "silhouette": silhouette,
        "gap": gap,
        "batched hdbscan": hdbscan,
        f"batched hdbscan, {THREADS} threads": hdbscan_shared_out,
    }
