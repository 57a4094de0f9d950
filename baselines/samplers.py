"""Proposals: where the negatives of a sampled loss come from, and with what probability.

N items, n draws.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from baselines.errors import BadInput, unknown_name
from baselines.sequences import Sequences


class Proposal(nn.Module):
    """A fixed distribution q over items 1..N, drawn from with replacement by inverting its cumulative sum.

    A module, so that its tables follow the model to a device; they are not saved with it (training data rebuild them).

    Args:
        weight: [N] float64, unnormalised probabilities of items 1..N, all positive and finite: an item that is never
            drawn would never be a negative, and its log-probability would make the corrected loss infinite.
    """

    cumulative: Tensor
    log_probability: Tensor

    def __init__(self, weight: NDArray[np.float64]) -> None:
        super().__init__()
        if len(weight) == 0:
            raise BadInput("a proposal needs at least one item")
        if not (np.isfinite(weight).all() and (weight > 0).all()):
            item = int(np.argmin(np.isfinite(weight) & (weight > 0)))
            raise BadInput(f"every item needs a positive, finite probability; item {item + 1} has {weight[item]}")
        log_probability = np.concatenate([[-np.inf], np.log(weight / weight.sum())])  # padding is never drawn
        total = np.cumsum(weight)
        self.register_buffer("cumulative", torch.from_numpy(total / total[-1]), persistent=False)  # [N], ends at 1
        self.register_buffer("log_probability", torch.from_numpy(log_probability).float(), persistent=False)  # [N + 1]

    @property
    def n_items(self) -> int:
        """Return N."""
        return len(self.cumulative)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw `n` ids in 1..N with replacement, [n] int64, on the tables' device.

        The uniform numbers are drawn on the generator's device: a CPU generator gives the same ids wherever the model
        lives.
        """
        uniform = torch.rand(n, generator=generator, device=generator.device, dtype=torch.float64)  # in [0, 1)
        return torch.searchsorted(self.cumulative, uniform.to(self.cumulative.device), right=True) + 1

    def log_q(self, ids: Tensor) -> Tensor:
        """Return log q of ids of any shape, float32; -inf for padding (0)."""
        return self.log_probability[ids]


class UniformProposal(Proposal):
    """q(i) = 1 / N."""

    def __init__(self, n_items: int) -> None:
        super().__init__(np.ones(n_items))


class LogUniformProposal(Proposal):
    """q(i) = log((i + 1) / i) / log(N + 1): Zipf-like, for ids ordered by descending frequency.

    That order is of the whole log, as in ComiRec's preprocessing; what depends on it, q here and ties elsewhere, knows
    of held-out behaviours that much, for all methods alike. The distribution is that of TensorFlow's
    `log_uniform_candidate_sampler` (class i - 1), which ComiRec trains with; that one draws without replacement by
    default, this one with.
    """

    def __init__(self, n_items: int) -> None:
        super().__init__(np.log1p(1.0 / np.arange(1, n_items + 1)))


class PopularityProposal(Proposal):
    """q(i) proportional to (count_i + smoothing)^power.

    Args:
        counts: [N + 1] training behaviours per item; entry 0 (padding) is ignored.
        power: 1 = proportional to popularity, 0.75 as in word2vec (Mikolov et al. 2013), 0 = uniform.
        smoothing: added to every count, so that an item unseen in training still has a probability; it must be
            positive where an item has count 0.
    """

    def __init__(self, counts: NDArray[np.integer], *, power: float = 1.0, smoothing: float = 1.0) -> None:
        super().__init__((counts[1:].astype(np.float64) + smoothing) ** power)


_PROPOSALS: dict[str, Callable[[Sequences], Proposal]] = {
    "uniform": lambda train: UniformProposal(train.n_items),
    "log_uniform": lambda train: LogUniformProposal(train.n_items),
    "popularity": lambda train: PopularityProposal(train.item_counts),
}

PROPOSALS = tuple(_PROPOSALS)
"""Names that `make_proposal` knows."""


def make_proposal(name: str, train: Sequences) -> Proposal:
    """Build the proposal called `name` for the training sequences' catalogue.

    Raises:
        BadInput: an unknown name.
    """
    if name not in _PROPOSALS:
        raise unknown_name("proposal", name, _PROPOSALS)
    return _PROPOSALS[name](train)
