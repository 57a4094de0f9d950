"""What a study has in common with the adaptive methods it compares with: settings, and their encoder alone."""

from typing import Any

from experiments.registry import METHODS
from experiments.settings import nest
from experiments.training.config import HORIZON

READ = 20
"""Behaviours of a history that are read."""

ONE_TRANSFORMER = {
    "method": "sasrec",
    "model": {"n_layers": 1, "n_heads": 2, "dropout": 0.0},  # as in `adaptive_sequence`
    "training": {"positions": "one", "batch_size": 256},
}
"""An arm: the transformer of `adaptive_sequence` alone, its state the only interest."""

IN_CONTEXT = {"representation": "in_context"}
"""Settings of `scoring` that give the adaptive method's non-linear step to methods that have none."""


def settings_of_adaptive(max_history: int = READ, max_steps: int = HORIZON) -> dict[str, Any]:
    """Return the settings of `adaptive` for all arms, nested: item table, loss, repeats, step size."""
    return nest({**METHODS["adaptive"].settings, "scoring.max_history": max_history, "training.max_steps": max_steps})
