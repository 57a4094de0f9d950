"""A seed decides a run, bit for bit, and is the only thing that does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from under_law import every_method

from baselines.recommender import Recommender
from experiments.config import RunConfig
from experiments.data.dataset import Dataset
from experiments.methods import AnyMethod, fit_method, make_method


def learnt(method: AnyMethod) -> dict[str, NDArray[np.generic]]:
    """Everything that training decides, as raw bytes."""
    if isinstance(method, Recommender):
        return {name: tensor.numpy().view(np.uint8) for name, tensor in method.state_dict().items() if tensor.ndim}
    return {name: np.atleast_1d(array).view(np.uint8) for name, array in method.state().items()}


def run(config: RunConfig, dataset: Dataset) -> dict[str, NDArray[np.generic]]:
    method = make_method(config, dataset.train)
    fit_method(method, dataset.train, lambda: 0.5, config)
    return learnt(method)


@every_method
def test_the_same_seed_gives_the_same_bits(
    name: str, fitted: Callable[[str], AnyMethod], dataset: Dataset, configure: Callable[..., RunConfig]
) -> None:
    first = learnt(fitted(name))
    torch.manual_seed(12345)  # whatever went on before
    again = run(configure(name), dataset)
    assert first.keys() == again.keys()
    for array in first:
        np.testing.assert_array_equal(again[array], first[array], err_msg=array)


@every_method
def test_another_seed_changes_a_method_that_says_it_is_stochastic_and_no_other(
    name: str, fitted: Callable[[str], AnyMethod], dataset: Dataset, configure: Callable[..., RunConfig]
) -> None:
    first, other = learnt(fitted(name)), run(configure(name, seed=1), dataset)
    same = all(np.array_equal(first[array], other[array]) for array in first)
    assert same != fitted(name).stochastic
