"""Which optimiser moves which parameters."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from baselines.recommender import Recommender
from experiments.training.config import TrainingConfig
from experiments.training.lazy_adam import LazyAdam


def set_step_size(optimisers: Mapping[str, torch.optim.Optimizer], config: TrainingConfig, step: int) -> None:
    """Let step `step`, counted from 1, be as long as the schedule says."""
    left = 1 - (step - 1) / config.max_steps if config.schedule == "linear" else 1.0
    for optimiser in optimisers.values():
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * left


def make_optimisers(model: Recommender, config: TrainingConfig) -> dict[str, torch.optim.Optimizer]:
    """Return the optimisers by name; a step is one of each.

    Under `lazy_adam` the item table has an optimiser of its own and row-sparse gradients, unless the loss reads the
    whole catalogue at every step: then all rows have a gradient, and Adam is what a lazy one would do.
    """
    table = model.table.weight
    lazy = config.optimiser == "lazy_adam" and model.loss.kind != "full_softmax"
    model.table.sparse = lazy
    dense = [p for p in model.parameters() if p.requires_grad and not (lazy and p is table)]
    lr, weight_decay = config.learning_rate, config.weight_decay
    found: dict[str, torch.optim.Optimizer] = {}
    if dense:
        found["adam"] = torch.optim.Adam(dense, lr=lr, weight_decay=weight_decay, fused=True)
    if lazy:
        found["lazy_adam"] = LazyAdam([table], lr, weight_decay)
    return found
