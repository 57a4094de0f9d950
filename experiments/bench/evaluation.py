"""Users evaluated a second: ours with all metrics, beside the usual public loop and the bare matrix product."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from baselines.batch import Batch
from baselines.recommender import Recommender
from experiments.bench.public_loop import evaluate_in_a_loop, flat_index
from experiments.config import RunConfig
from experiments.data.loading import load_dataset
from experiments.evaluation.evaluator import evaluate
from experiments.methods import fit_method, make_method
from experiments.reporting.table import Table
from experiments.runs import Workbench

REPEATS = 5
CHUNK = 1024  # interests multiplied at a time by the bare product


def bench_evaluation(config: RunConfig) -> Table:
    """Train briefly, so that scores look like scores, then time evaluation of the test users; best of 5 each.

    The contenders take turns within each repeat, so that a busy moment of the machine hits them all.
    """
    bench = Workbench.of(load_dataset(config.data))
    users, context = bench.dataset.test, bench.context
    model = make_method(config, bench.dataset.train)
    assert isinstance(model, Recommender), "the benchmark needs a method with interests"
    fit_method(model, bench.dataset.train, lambda: 0.0, config)
    model.eval()
    n_max = config.evaluation.n_max
    histories = users.histories.padded(np.arange(len(users)), model.max_history)
    vectors = model.interests(Batch.of(torch.from_numpy(histories))).vectors
    items = model.item_vectors().detach()

    def ours(aggregation: str) -> Callable[[], object]:
        def run() -> object:
            model.scoring = replace(config.scoring, aggregation=aggregation)  # type: ignore[arg-type]
            return evaluate(model, users, context, config.evaluation)

        return run

    queries = vectors.flatten(0, 1)
    room = torch.empty(CHUNK, len(items))  # reused: to allocate it anew costs as much as to fill it

    def bare_product() -> None:
        for part in torch.split(queries, CHUNK):
            torch.mm(part, items.T, out=room[: len(part)])

    index, search = flat_index(items[1:].numpy())
    category = dict(enumerate(bench.dataset.metadata.categories))  # compared whole
    loop = f"public loop ({index}): 4 metrics, best interest"
    contenders = {
        loop: lambda: evaluate_in_a_loop(model, users, n_max, search, category),
        "ours: all metrics, best interest": ours("best_interest"),
        "ours: all metrics, log-sum-exp": ours("soft_interests"),
        "bare matrix product (the floor)": bare_product,
    }
    seconds = {name: float("inf") for name in contenders}
    for repeat in range(REPEATS + 1):
        for name, contender in contenders.items():
            start = time.perf_counter()
            contender()
            if repeat:  # the first one compiles and fills caches
                seconds[name] = min(seconds[name], time.perf_counter() - start)
    rows = [[name, s, len(users) / s, seconds[loop] / s] for name, s in seconds.items()]
    K = vectors.shape[1]
    title = (
        f"{bench.dataset.name}: {len(users)} users, {len(items) - 1} items, K = {K}, d = {items.shape[1]}, "
        f"n = {n_max}, {torch.get_num_threads()} threads"
    )
    return Table(["evaluation", "seconds", "users/s", "times the loop"], rows, title)
