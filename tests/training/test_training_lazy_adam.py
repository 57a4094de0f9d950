"""LazyAdam is torch's SparseAdam on the rows of a batch, and leaves every other row alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from experiments.training import lazy_adam
from experiments.training.lazy_adam import LazyAdam

N, D = 50, 6


def table() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.randn(N, D, generator=torch.Generator().manual_seed(0)))


def take_steps(optimiser: torch.optim.Optimizer, weight: torch.nn.Parameter, n: int, seed: int = 1) -> None:
    of = torch.Generator().manual_seed(seed)
    for _ in range(n):
        ids = torch.randint(0, N // 2, (20,), generator=of)  # with repeats; the second half is never looked up
        slope = torch.randn(20, D, generator=of)
        weight.grad = None
        (F.embedding(ids, weight, sparse=True) * slope).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()


@pytest.mark.parametrize("compiled", [True, False])
def test_it_agrees_with_torch_on_repeated_rows(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = table(), table()
    optimiser = LazyAdam([ours], lr=0.01)
    if not compiled:
        monkeypatch.setattr(
            optimiser, "_update_compiled", lambda w, g, m, s, *knobs: lazy_adam._update(w, g, m, s, *knobs)
        )
    take_steps(optimiser, ours, 25)
    take_steps(torch.optim.SparseAdam([theirs], lr=0.01), theirs, 25)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_where_a_batch_holds_every_row_it_is_adam_with_its_weight_decay() -> None:
    lazy, dense = table(), table()
    optimisers = LazyAdam([lazy], lr=0.01, weight_decay=0.1), torch.optim.Adam([dense], lr=0.01, weight_decay=0.1)
    of = torch.Generator().manual_seed(2)
    for _ in range(20):
        slope = torch.randn(N, D, generator=of)
        lazy.grad = dense.grad = None
        (F.embedding(torch.arange(N), lazy, sparse=True) * slope).sum().backward()  # type: ignore[no-untyped-call]
        (dense * slope).sum().backward()  # type: ignore[no-untyped-call]
        for optimiser in optimisers:
            optimiser.step()
    torch.testing.assert_close(lazy, dense, rtol=1e-4, atol=1e-5)


def test_rows_that_no_batch_looks_up_stand_still() -> None:
    weight = table()
    before = weight.detach().clone()
    take_steps(LazyAdam([weight], lr=0.1, weight_decay=0.1), weight, 5)
    assert torch.equal(weight[N // 2 :], before[N // 2 :])
    assert (weight[: N // 2] != before[: N // 2]).any(1).sum() > N // 4


def test_a_saved_state_goes_on_to_the_same_bits() -> None:
    through, stopped = table(), table()
    optimiser = LazyAdam([through], lr=0.01)
    take_steps(optimiser, through, 4)
    take_steps(optimiser, through, 4, seed=3)
    first = LazyAdam([stopped], lr=0.01)
    take_steps(first, stopped, 4)
    second = LazyAdam([stopped], lr=0.5)
    second.load_state_dict(first.state_dict())
    take_steps(second, stopped, 4, seed=3)
    np.testing.assert_array_equal(stopped.detach().numpy().view(np.uint32), through.detach().numpy().view(np.uint32))
