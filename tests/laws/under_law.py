"""The methods under law, the histories they are tried with, and what is compared."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.batch import Batch
from baselines.interests import InterestExtractor, Interests
from baselines.ranker import Ranking
from experiments.data.dataset import Dataset
from experiments.registry import METHODS

TRAINED = [name for name, method in METHODS.items() if method.kind != "heuristic"]

every_method = pytest.mark.parametrize("name", list(METHODS))
every_trained_method = pytest.mark.parametrize("name", TRAINED)


def odd_and_usual_histories(dataset: Dataset, max_history: int, n_usual: int = 30) -> list[list[int]]:
    """Return histories of length 1, of one repeated item, of and above the longest length, and real ones."""
    N = dataset.n_items
    ramp = [i % N + 1 for i in range(2 * max_history + 3)]
    odd = [[1], [N], [3] * max_history, [5] * 2, ramp[:max_history], ramp, [2] * (max_history + 1), ramp[::-1]]
    return odd + [dataset.test.histories[u].tolist() for u in range(min(n_usual, len(dataset.test)))]


def pad(histories: list[list[int]], width: int | None = None, filler: int = 0) -> Batch:
    """Pad histories to at least `width`; `filler` is the id that lies under the padding."""
    L = max(width or 0, *map(len, histories))
    ids = torch.tensor([history + [0] * (L - len(history)) for history in histories])
    mask = ids > 0
    none = torch.zeros(len(ids), 1, dtype=torch.int64)
    return Batch(ids.masked_fill(~mask, filler), mask, none, none > 0, torch.arange(len(ids)))


def assert_same(one: Ranking, other: Ranking) -> None:
    """Same items and same bits of scores."""
    np.testing.assert_array_equal(one.items, other.items)
    np.testing.assert_array_equal(one.scores.view(np.uint32), other.scores.view(np.uint32))


GARBAGE = (float("nan"), float("inf"), -float("inf"), 1e9)


def garbage(n_slots: int) -> Tensor:
    """Return what lies in slots [n_slots] that are dead: `GARBAGE`, by turns."""
    return torch.tensor([GARBAGE[slot % len(GARBAGE)] for slot in range(n_slots)])


class Disturbed(InterestExtractor):
    """An extractor with dead slots among its interests and garbage in all dead ones, all in another order."""

    n_more = len(GARBAGE)

    def __init__(self, inner: InterestExtractor) -> None:
        super().__init__()
        self.inner = inner
        self.reads_undropped, self.reads_target = inner.reads_undropped, inner.reads_target

    def forward(self, history: Tensor, history_mask: Tensor, **more: Tensor) -> Interests:
        found: Interests = self.inner(history, history_mask, **more)
        mask = torch.cat([found.mask, found.mask.new_zeros(len(found.mask), self.n_more)], 1)
        K = mask.shape[1]
        held, order = garbage(K), torch.randperm(K, generator=torch.Generator().manual_seed(1))

        def wider(values: Tensor, dim: int) -> Tensor:
            shape = list(values.shape)
            shape[dim] = self.n_more
            return torch.cat([values, values.new_zeros(shape)], dim)

        vectors = torch.where(mask[..., None], wider(found.vectors, 1), held[:, None])[:, order]
        log_weight = torch.where(mask, wider(found.log_weight, 1), held)[:, order]
        assignment = wider(found.assignment, 2)
        routing = None
        if found.routing is not None:  # of a dead slot it may hold anything, too
            routing = torch.where(torch.arange(K) < K - self.n_more, wider(found.routing, 2), held)
            routing = routing[..., order].masked_fill(~history_mask[..., None], 0)
        told = found.penalties, routing, found.notes
        return Interests(vectors, mask[:, order], log_weight, assignment[..., order], *told)
