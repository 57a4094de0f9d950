"""What turning histories into interests costs, the extractor alone: time, memory, multiply-adds, and growth in K and L.

Histories are full and random. Within a cell the methods take turns, so that whatever else the machine does meets all of
them, and each is quoted at its best turn; the column that compares is the ratio to ComiRec-SA in the same cell.
`--training.compile true` times torch.compile beside it, `--device cuda` a GPU.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baselines.errors import unknown_name
from baselines.interests import InterestExtractor, Interests
from experiments.bench.timing import best_of_turn
from experiments.memory import peak_memory
from experiments.registry import find_method
from experiments.reporting.table import Table
from experiments.training.threads import torch_threads

YARDSTICK = "comirec_sa"
_TURNS, _SECONDS = 3, 0.04  # turns of each method in a cell, and how long one lasts, about
_BEHAVIOURS = 6400  # of a batch: 128 users of 50; fewer users where histories are longer, but at least one
_MOST_USERS = 128
_COLUMNS = [
    "method", "L", "K", "d", "forward µs/user", "forward + backward µs/user", f"times {YARDSTICK}", "peak MiB",
    "multiply-adds/user",
]  # fmt: skip
_COMPILED = ["compiled forward", "compiled forward + backward"]  # µs/user
_DIGITS = dict.fromkeys([*_COLUMNS[4:6], *_COMPILED], 1) | {_COLUMNS[6]: 3, "peak MiB": 1, _COLUMNS[8]: 0}


@dataclass(frozen=True)
class Cell:
    """A size: histories of `length` (L), `n_interests` (K, whatever a method calls it), `width` (d)."""

    length: int
    n_interests: int
    width: int

    @property
    def n_users(self) -> int:
        """B, so that batches hold about as many behaviours."""
        return max(1, min(_MOST_USERS, _BEHAVIOURS // self.length))


@dataclass(frozen=True)
class Contender:
    """A registered method with some of its knobs.

    Attributes:
        method: its name in the registry; knobs: set beside K; bound: what it calls K.
        multiply_adds: (n behaviours, K, d, shares that are not 0 of a behaviour) -> those of a forward pass for a user.
    """

    method: str
    multiply_adds: Callable[[int, int, int, float], float]
    knobs: Mapping[str, Any]
    bound: str = "n_interests"

    def make(self, cell: Cell) -> InterestExtractor:
        """Return the extractor, with the parameters it starts with."""
        cls = find_method(self.method).load()
        made: InterestExtractor = cls(cell.width, cell.length, **{self.bound: cell.n_interests}, **self.knobs)
        return made


def _attention(n: int, K: int, d: int, _: float) -> float:
    return n * (4 * d * d + 4 * d * K + K * d)


def _capsules(n_rounds: int) -> Callable[[int, int, int, float], float]:
    """Pooling in every round and agreement in all but the last; maps are applied to the K pooled vectors."""
    return lambda n, K, d, _: (2 * n_rounds - 1) * (n * K * d + K * d * d)


def _votes(n: int, K: int, d: int, _: float) -> float:
    return n * K * d * d + 5 * n * K * d  # three rounds on votes that are computed one by one


def _sparse(n: int, K: int, d: int, nonzero: float) -> float:
    return n * (K * d + nonzero * d + 2 * d)  # cosines, pooling; length and gate of a behaviour


def _dense(n: int, K: int, d: int, _: float) -> float:
    return n * (2 * K * d + 2 * d)


CONTENDERS: Mapping[str, Contender] = {
    YARDSTICK: Contender("comirec_sa", _attention, {}),
    **{f"comirec_dr-{R}": Contender("comirec_dr", _capsules(R), {"n_rounds": R}) for R in (1, 2, 3)},
    "comirec_dr-3-per_position": Contender("comirec_dr", _votes, {"maps": "per_position"}),
    "mind": Contender("mind", _capsules(3), {}),
    "sparse_routing": Contender("sparse_routing", _sparse, {}),
    "sparse_routing-sparsemax": Contender("sparse_routing", _sparse, {"normalisation": "sparsemax"}),
    "sparse_routing-entmax15": Contender("sparse_routing", _sparse, {"normalisation": "entmax15"}),
    "sparse_routing-softmax": Contender("sparse_routing", _dense, {"normalisation": "softmax"}),
    "codebook_routing": Contender("codebook_routing", _sparse, {}, bound="n_codes"),
}
"""What is timed, by the name it has in the tables: the method, then rounds, normalisation or kind of maps."""


def bench_routing(
    lengths: Sequence[int],
    interests: Sequence[int],
    widths: Sequence[int],
    *,
    methods: Sequence[str] = (),
    device: str = "cpu",
    n_threads: int = 1,
    compiled: bool = False,
) -> list[Table]:
    """Time every contender: all K at the first length, and all lengths at the first K, for every width.

    Args:
        lengths: L; interests: K; widths: d.
        methods: only these contenders, beside ComiRec-SA.
        device: where; n_threads: torch's threads.
        compiled: also through torch.compile, in two more columns, empty where that fails. A method and size take it
            many times as long as all that is timed.

    Returns:
        One table of all cells, one of the growth exponents that are fitted to them.
    """
    for name in methods:
        if name not in CONTENDERS:
            raise unknown_name("--methods", name, CONTENDERS)
    chosen = {name: CONTENDERS[name] for name in CONTENDERS if not methods or name in {*methods, YARDSTICK}}
    sizes = dict.fromkeys([*((lengths[0], K) for K in interests), *((L, interests[0]) for L in lengths)])
    rows: list[list[object]] = []
    with torch_threads(n_threads):
        for cell in (Cell(L, K, d) for d in widths for L, K in sizes):
            rows += _timed(cell, chosen, device, compiled)
    threads = f"{n_threads} thread{'s' * (n_threads > 1)}, {device}"
    title = f"extractors alone, full histories, batches of about {_BEHAVIOURS} behaviours: {threads}"
    columns = [*_COLUMNS, *_COMPILED * compiled]
    return [Table(columns, rows, title, _DIGITS), growth(rows, lengths[0], interests[0])]


def growth(rows: Sequence[Sequence[object]], length: int, n_interests: int) -> Table:
    """Fit time = c K^a at L = `length`, and time = c L^b at K = `n_interests`, to forward + backward times."""
    fitted: list[list[object]] = []
    for method, d in dict.fromkeys((row[0], row[3]) for row in rows):
        own = [row for row in rows if (row[0], row[3]) == (method, d)]
        in_K = [(row[2], row[5]) for row in own if row[1] == length]
        in_L = [(row[1], row[5]) for row in own if row[2] == n_interests]
        fitted.append([method, d, _exponent(in_K), _slope(in_K), _exponent(in_L)])
    columns = ["method", "d", "exponent in K", "µs/user for one more K", "exponent in L"]
    title = f"growth of forward + backward: in K at L = {length}, in L at K = {n_interests}"
    return Table(columns, fitted, title, dict.fromkeys(columns[2:], 2))


def _numbers(points: Sequence[tuple[object, object]]) -> tuple[Any, Any]:
    sizes, times = np.array([[float(str(size)), float(str(value))] for size, value in points]).T
    return sizes, times


def _exponent(points: Sequence[tuple[object, object]]) -> float | None:
    """Least squares in the logarithms; None for a single point."""
    if len(points) < 2:
        return None
    sizes, times = _numbers(points)
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])


def _slope(points: Sequence[tuple[object, object]]) -> float | None:
    if len(points) < 2:
        return None
    return float(np.polyfit(*_numbers(points), 1)[0])


def _timed(cell: Cell, chosen: Mapping[str, Contender], device: str, compiled: bool) -> list[list[object]]:
    """One row for each contender."""
    generator = torch.Generator().manual_seed(0)
    B, L, d = cell.n_users, cell.length, cell.width
    history = torch.randn(B, L, d, generator=generator).to(device).requires_grad_()
    mask = torch.ones(B, L, dtype=torch.bool, device=device)
    works: dict[str, tuple[Callable[[], object], ...]] = {}  # forward, both; then the same compiled
    found: dict[str, Interests] = {}
    for name, contender in chosen.items():
        extractor = contender.make(cell).to(device).train()
        works[name] = _works(extractor, extractor, history, mask)
        if compiled:
            compiled_works = _works(torch.compile(extractor, dynamic=True), extractor, history, mask)
            with suppress(Exception):  # whatever the compiler's many layers raise, the way out is the same
                compiled_works[1]()
                works[name] += compiled_works
        found[name] = extractor(history, mask)
    times = {name: [float("inf")] * len(works[name]) for name in chosen}
    for _ in range(_TURNS):
        for name in chosen:
            for which, work in enumerate(works[name]):
                times[name][which] = min(times[name][which], best_of_turn(work, device, _SECONDS))
    rows: list[list[object]] = []
    for name, contender in chosen.items():
        forward_only, both, *of_compiled = (1e6 * seconds / B for seconds in times[name])
        ratio = both / (1e6 * times[YARDSTICK][1] / B)
        shares = found[name].assignment
        nonzero = float((shares > 0).sum()) / (B * L)
        adds = contender.multiply_adds(L, cell.n_interests, d, nonzero)
        size = [name, L, cell.n_interests, d]
        rows.append([*size, forward_only, both, ratio, _memory(works[name][1], device), adds])
        if compiled:
            rows[-1] += of_compiled or [None, None]
    return rows


def _works(
    forward: Callable[[Tensor, Tensor], Interests], extractor: InterestExtractor, history: Tensor, mask: Tensor
) -> tuple[Callable[[], object], Callable[[], object]]:
    """The forward pass, and the forward pass with gradients of all that a loss would read to all that is learned."""
    learned = [history, *(p for p in extractor.parameters() if p.requires_grad)]

    def both() -> object:
        interests = forward(history, mask)
        total = torch.stack([interests.vectors.sum(), interests.log_weight.sum(), *interests.penalties.values()]).sum()
        return torch.autograd.grad(total, learned, allow_unused=True)

    return lambda: forward(history, mask), both


def _memory(work: Callable[[], object], device: str) -> float:
    """MiB that one call holds at its peak, beyond what was held before."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)  # or the C library lends again what it was given back, and no peak is seen
    with peak_memory(device) as before:
        pass
    with peak_memory(device) as peak:
        work()
    return max(0.0, peak.mb - before.mb)
