"""Training examples a second of every method, where the time of a step goes, and what memory it takes.

Two tables: full histories of random items over a grid of sizes; and a real log at the settings of the public loop
(B = 128, L = 20, K = 4, 1,280 negatives, dot product, hard readout), beside that loop in the same run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product

import numpy as np
import torch

from baselines.config import LossConfig, ScoringConfig
from baselines.sequences import Sequences
from experiments.bench.public_training import examples_per_second
from experiments.cli.arguments import make_run
from experiments.config import RunConfig
from experiments.data.loading import load_dataset
from experiments.memory import peak_memory
from experiments.methods import fit_method, make_method, resolve_device
from experiments.registry import METHODS
from experiments.reporting.table import Table
from experiments.training.threads import torch_threads

BATCHES, LENGTHS, CATALOGUES = (128, 1024), (20, 50), (25_000, 400_000)
PHASES = ("data", "forward", "backward", "optimiser")
PUBLIC = {"comirec_sa": 553, "comirec_dr": 316, "mind": 748}
"""Examples/s of Tokkiu/REMI's loop on 2 cores, B = 128, L = 20, K = 4, 1,280 negatives, 12,101 items, as measured for
this project."""

_USERS = 5_000
_SECONDS = 1.5  # timed for each cell, about
_COLUMNS = ["examples/s", *(f"{phase} %" for phase in PHASES), "peak MiB"]
_DIGITS = dict.fromkeys(_COLUMNS, 0) | {"times the plain loop": 1, "times the published loop": 1}


def trained_methods() -> list[str]:
    """Names of the methods that are trained."""
    return [name for name, method in METHODS.items() if method.kind == "extractor"]


def bench_grid(config: RunConfig, methods: list[str]) -> Table:
    """Time every method over the grid of batch sizes, history lengths and catalogue sizes; histories are full."""
    rows: list[list[object]] = []
    for N, L in product(CATALOGUES, LENGTHS):
        train = random_sequences(N, L)
        for method, B in product(methods, BATCHES):
            cell = with_method(config, method)
            training = replace(cell.training, batch_size=B, min_history=L)
            cell = replace(cell, scoring=replace(cell.scoring, max_history=L), training=training)
            rows.append([method, N, L, B, *timed(cell, train)])
    S, D = config.loss.n_negatives, config.scoring.width
    title = f"full histories, one target each: {S} negatives, d = {D}"
    title += f", {n_threads(config)} threads, {resolve_device(config)}"
    return Table(["method", "items", "L", "B", *_COLUMNS], rows, title, _DIGITS)


def bench_public(config: RunConfig, methods: list[str]) -> Table:
    """Time every method at the public loop's settings on a real log, and such a loop beside them."""
    dataset = load_dataset(config.data)
    scoring = ScoringConfig(
        max_history=20, similarity="dot", temperature=1.0, readout="hard", aggregation="best_interest"
    )
    config = replace(config, scoring=scoring, loss=LossConfig(n_negatives=1280))
    with torch_threads(config.training.threads):
        yardstick = examples_per_second(
            dataset.train, width=64, max_history=20, n_interests=4, batch_size=128, n_negatives=1280, n_steps=60
        )
    blank = [None] * (len(_COLUMNS) - 1)
    rows: list[list[object]] = [["plain loop (comirec_sa, CPU)", yardstick, *blank, 1.0, None]]
    for method in methods:
        cell = with_method(config, method)
        cell = replace(cell, training=replace(cell.training, batch_size=128, min_history=4))
        measured = timed(cell, dataset.train)
        speed = float(str(measured[0]))
        rows.append([method, *measured, speed / yardstick, speed / PUBLIC[method] if method in PUBLIC else None])
    title = f"{dataset.name} at the public settings: B = 128, L = 20, K = 4, 1280 negatives, one target each"
    title += f", {n_threads(config)} threads, {resolve_device(config)}"
    return Table(["method", *_COLUMNS, "times the plain loop", "times the published loop"], rows, title, _DIGITS)


def n_threads(config: RunConfig) -> int:
    """Torch threads of a training step."""
    return config.training.threads or torch.get_num_threads()


def with_method(config: RunConfig, method: str) -> RunConfig:
    """The same run with another method, its own knobs and terms of the loss; item table and scoring stay as they are.

    So MIND, ComiRec and REMI have K = 4, and clusters, of a table that is random still, are as many as there can be.
    """
    own, _ = make_run({"method": method})
    loss = replace(config.loss, hardness=own.loss.hardness, weights=own.loss.weights)
    return replace(config, method=method, model=own.model, loss=loss)


def timed(config: RunConfig, train: Sequences) -> list[object]:
    """Train without validation: examples/s, share of each phase in %, and peak memory in MiB."""

    def run(n_steps: int) -> Mapping[str, float]:
        steps = replace(config.training, max_steps=n_steps, evaluate_every=n_steps)
        fitted = fit_method(make_method(config, train), train, lambda: 0.0, replace(config, training=steps))
        assert fitted is not None, "only trained methods are timed"
        return fitted.seconds

    run(2)  # compiles
    n_steps = max(5, int(5 * _SECONDS / sum(run(5)[phase] for phase in PHASES)))
    with peak_memory(resolve_device(config)) as peak:
        seconds = run(n_steps)
    total = sum(seconds[phase] for phase in PHASES)
    shares = [100 * seconds[phase] / total for phase in PHASES]
    return [n_steps * config.training.batch_size / total, *shares, peak.mb]


def random_sequences(n_items: int, length: int) -> Sequences:
    """Users of `length` + 1 behaviours each, popular items (low ids) more often, as Zipf's law has it."""
    rng = np.random.default_rng(0)
    n = _USERS * (length + 1)
    items = np.floor(np.exp(rng.random(n) * np.log(n_items + 1))).astype(np.int32)  # P(i) ~ 1 / i
    return Sequences(np.clip(items, 1, n_items), np.arange(0, n + 1, length + 1), n_items)
