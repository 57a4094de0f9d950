"""What generating a user's interests costs: users a second of the extractor alone, by steps, samples and guidance.

Histories are full and random, of L = 20 behaviours at d = 64, in blocks of as many users as serving extracts together;
networks are as they start, and their samples alike, so that joining these costs what it costs where few modes are
found. Each cell is quoted at its best pass. Scoring is not in it, and costs all methods the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from baselines.interests import InterestExtractor
from experiments.bench.timing import best_of_turn
from experiments.registry import find_method
from experiments.reporting.table import Table
from experiments.training.threads import torch_threads

_L, _D, _USERS = 20, 64, 256
_TURNS, _SECONDS = 3, 0.2  # turns of a cell, and how long one lasts at least
_REFERENCES = ("sasrec", "comirec_sa", "adaptive_sequence")
_GENERATORS = ("diffusion_posterior", "diffusion_set", "diffusion_beside")
_SIZES = ((1, 8, 1.0), (4, 8, 1.0), (4, 8, 2.0), (4, 16, 1.0), (16, 8, 1.0), (16, 16, 2.0), (50, 8, 1.0))
_COLUMNS = ["method", "steps", "samples", "guidance", "µs/user", "users/s"]


def bench_sampling(n_threads: int = 1) -> Table:
    """Time every generator at several steps, samples and guidances, beside extractors that generate nothing.

    Args:
        n_threads: torch's threads.
    """
    generator = torch.Generator().manual_seed(0)
    history = torch.randn(_USERS, _L, _D, generator=generator)
    mask = torch.ones(_USERS, _L, dtype=torch.bool)
    rows: list[list[object]] = []
    with torch_threads(n_threads), torch.no_grad():
        for method, sizes, extractor in _cells():
            work = partial(extractor, history, mask)
            seconds = min(best_of_turn(work, "cpu", _SECONDS) for _ in range(_TURNS))
            rows.append([method, *sizes, 1e6 * seconds / _USERS, _USERS / seconds])
    threads = f"{n_threads} thread{'s' * (n_threads > 1)}"
    title = f"extraction alone, L = {_L}, d = {_D}, blocks of {_USERS} users: {threads}"
    return Table(_COLUMNS, rows, title, {"µs/user": 1, "users/s": 0})


def _cells() -> Iterator[tuple[str, list[object], InterestExtractor]]:
    for name in _REFERENCES:
        yield name, [None, None, None], _made(name)
    for name in _GENERATORS:
        for n_steps, n_samples, guidance in _SIZES:
            made = _made(name, n_steps=n_steps, n_samples=n_samples, guidance=guidance)
            yield name, [n_steps, n_samples, guidance], made


def _made(name: str, **knobs: Any) -> InterestExtractor:
    entry = find_method(name)
    made: InterestExtractor = entry.load()(_D, _L, **entry.load_given(), **{**entry.knobs, **knobs})
    return made.eval()
