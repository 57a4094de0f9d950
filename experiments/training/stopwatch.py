"""Where the time of a training step goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopwatch:
    """Sums wall time by phase; a phase costs two clock readings.

    Args:
        wait: returns when the device has done what it was asked for: a GPU works on after a call has returned.
    """

    def __init__(self, wait: Callable[[], object] = lambda: None) -> None:
        self.wait = wait
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time spent inside to `name`."""
        start = time.perf_counter()
        try:
            yield
            self.wait()
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
