"""Adam that moves only the rows a batch touched: its cost does not grow with the catalogue.

N rows of the table, D width, n rows looked up in a step (with repeats), m distinct ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor


class LazyAdam(torch.optim.Optimizer):
    """Kingma and Ba's Adam (2015) on row-sparse gradients; the moments of a row that no batch looks up stand still.

    The same as `torch.optim.SparseAdam`, which is the tests' reference, with a weight decay; on a CPU one compiled pass
    over the rows. Differs from Adam: there the moments of all rows decay at every step, and a row goes on moving after
    its last gradient.

    Args:
        parameters: [N, D] each, with sparse gradients (`F.embedding(..., sparse=True)`).
        lr: step size.
        weight_decay: L2 penalty inside Adam, on the rows touched.
        betas, eps: as in the paper.
    """

    def __init__(
        self,
        parameters: list[torch.nn.Parameter],
        lr: float,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "betas": betas, "eps": eps})
        for group in self.param_groups:
            for table in group["params"]:
                self.state[table] = {"step": 0, "mean": torch.zeros_like(table), "square": torch.zeros_like(table)}
        self._place: dict[Tensor, Any] = {}  # [N] int32 of zeros each, scratch of the compiled pass

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update the rows that have a gradient."""
        assert closure is None, "a step is taken from the gradients that are there"
        for group in self.param_groups:
            (b1, b2), lr = group["betas"], group["lr"]
            for table in group["params"]:
                if table.grad is None:
                    continue
                assert table.grad.is_sparse, "a dense gradient belongs to torch.optim.Adam"
                state = self.state[table]
                state["step"] += 1
                step_size = lr / (1 - b1 ** state["step"])
                unbias = 1 / math.sqrt(1 - b2 ** state["step"])
                knobs = (b1, b2, step_size, unbias, group["eps"], group["weight_decay"])
                update = self._update_compiled if table.device.type == "cpu" else _update
                update(table, table.grad, state["mean"], state["square"], *knobs)

    def _update_compiled(self, table: Tensor, grad: Tensor, mean: Tensor, square: Tensor, *knobs: float) -> None:
        if table not in self._place:
            self._place[table] = np.zeros(len(table), np.int32)
        rows, values = grad._indices()[0].numpy(), grad._values().contiguous().numpy()
        as_32 = [np.float32(knob) for knob in knobs]
        tables = table.detach().numpy(), mean.numpy(), square.numpy()
        _update_rows(*tables, self._place[table], rows, values, *as_32)


def _update(
    table: Tensor,
    grad: Tensor,
    mean: Tensor,
    square: Tensor,
    b1: float,
    b2: float,
    step_size: float,
    unbias: float,
    eps: float,
    weight_decay: float,
) -> None:
    """One step, on any device."""
    summed = grad.coalesce()
    rows, gradient = summed._indices()[0], summed._values()  # [m], [m, D]
    gradient = gradient + weight_decay * table[rows]
    mean[rows] = m1 = mean[rows].lerp(gradient, 1 - b1)
    square[rows] = m2 = b2 * square[rows] + (1 - b2) * gradient * gradient
    table[rows] -= step_size * m1 / (m2.sqrt() * unbias + eps)


@njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
def _update_rows(table, mean, square, place, rows, values, b1, b2, step_size, unbias, eps, weight_decay):  # type: ignore[no-untyped-def]
    """Sum the gradients of equal rows, in their order, then take one step; `place` is zeros before and after."""
    D = table.shape[1]
    distinct = np.empty(len(rows), np.int64)
    gradient = np.empty((len(rows), D), np.float32)
    m = 0
    for i in range(len(rows)):
        row = rows[i]
        if place[row] == 0:
            distinct[m] = row
            gradient[m] = values[i]
            m += 1
            place[row] = m
        else:
            total, more = gradient[place[row] - 1], values[i]
            for d in range(D):
                total[d] += more[d]
    one = np.float32(1.0)
    for j in range(m):
        row = distinct[j]
        place[row] = 0
        w, m1, m2, g = table[row], mean[row], square[row], gradient[j]
        for d in range(D):
            slope = g[d] + weight_decay * w[d]
            m1[d] = b1 * m1[d] + (one - b1) * slope
            m2[d] = b2 * m2[d] + (one - b2) * slope * slope
            w[d] -= step_size * m1[d] / (np.sqrt(m2[d]) * unbias + eps)
