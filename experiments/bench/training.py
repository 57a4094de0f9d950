"""Training steps a second, and where the time of a step goes."""

from __future__ import annotations

import torch

from baselines.recommender import Recommender
from experiments.config import RunConfig
from experiments.data.loading import load_dataset
from experiments.methods import fit_method, make_method
from experiments.reporting.table import Table

_PHASES = ("data", "forward", "backward", "optimiser")


def bench_training(config: RunConfig) -> Table:
    """Train for `config.training.max_steps` steps without validation, and say batches/s, examples/s and shares."""
    dataset = load_dataset(config.data)
    model = make_method(config, dataset.train)
    assert isinstance(model, Recommender), "the benchmark needs a method that is trained"
    fitted = fit_method(model, dataset.train, lambda: 0.0, config)
    assert fitted is not None
    total = sum(fitted.seconds[phase] for phase in _PHASES)
    rate = fitted.n_steps / total
    rows: list[list[object]] = [["batches/s", rate], ["examples/s", rate * config.training.batch_size]]
    rows += [[f"{phase}, % of the time", 100 * fitted.seconds[phase] / total] for phase in _PHASES]
    size = f"batch {config.training.batch_size}, {config.loss.n_negatives} negatives"
    title = f"{config.method} on {dataset.name}: {size}, {torch.get_num_threads()} threads"
    return Table(["training", "value"], rows, title)
