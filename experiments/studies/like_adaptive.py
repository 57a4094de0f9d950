"""What a study has in common with the adaptive methods it compares with: settings, and their encoder alone."""

from collections.abc import Mapping
from typing import Any

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


_SHARP = 0.1
"""Of `scoring.temperature`: two thirds of what is usual. Clusters bear it on most logs, one vector does not."""


def sharper(arms: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the same arms, their names ending in `_sharp`, trained and served at a sharper temperature."""
    scoring = {"temperature": _SHARP}
    return {sharp(name): {**arm, "scoring": {**arm.get("scoring", {}), **scoring}} for name, arm in arms.items()}


def sharp(name: str) -> str:
    """Return the name of an arm at the sharper temperature."""
    return f"{name}_sharp"


def brief(max_history: int = READ, max_steps: int = HORIZON) -> dict[str, Any]:
    """Return what the studies that are alike `adaptive` fix of its settings, nested: how much is read, how long."""
    return nest({"scoring.max_history": max_history, "training.max_steps": max_steps})
