"""The most memory that a piece of work holds."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch


class Peak:
    """Filled in when the work is done."""

    mb: float = 0.0


@contextmanager
def peak_memory(device: str) -> Iterator[Peak]:
    """Measure, in MiB: on a GPU what tensors occupied; on a CPU the process's largest resident memory meanwhile.

    Linux lets a process forget its former peak; elsewhere the peak is that of the whole process so far.
    """
    peak = Peak()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        yield peak
        peak.mb = torch.cuda.max_memory_allocated() / 2**20
        return
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts anew
    yield peak
    peak.mb = _high_water_mark_mb()


def _high_water_mark_mb() -> float:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
