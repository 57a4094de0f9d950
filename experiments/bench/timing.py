"""How long a call takes, on a CPU or a GPU."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


def seconds(work: Callable[[], object], device: str) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def best_of_turn(work: Callable[[], object], device: str, turn_seconds: float) -> float:
    """Seconds of one call, the best of as many as fit in a turn; at least two."""
    took = [seconds(work, device), seconds(work, device)]
    while sum(took) < turn_seconds:
        took.append(seconds(work, device))
    return min(took)
