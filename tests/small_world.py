"""One small world with planted interests, and every registered method fitted to it; `conftest.py` shares them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from experiments.config import RunConfig
    from experiments.data.dataset import Dataset
    from experiments.evaluation.context import EvaluationContext
    from experiments.methods import AnyMethod

MAX_HISTORY = 12
FEW_SAMPLES = {"n_samples": 3, "n_steps": 2}
"""Settings of `model` under which what generates interests takes its time no longer than others."""


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Small products gain nothing from threads and lose much when tests share the cores with something else."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """Return about 300 users and 120 items."""
    from experiments.data.dataset import make_dataset
    from experiments.data.protocol import ProtocolConfig
    from experiments.data.synthetic.config import SyntheticConfig
    from experiments.data.synthetic.generate import generate

    world = generate(SyntheticConfig(n_users=300, n_items=120, median_length=14.0))
    return make_dataset("small", world.log, world.metadata, ProtocolConfig(), world.truth)


@pytest.fixture(scope="session")
def context(dataset: Dataset) -> EvaluationContext:
    """Return what the metrics know of `dataset`."""
    from experiments.runs import Workbench

    return Workbench.of(dataset).context


@pytest.fixture(scope="session")
def configure() -> Callable[..., RunConfig]:
    """Return `configure(name, seed=0)`: a method's small configuration."""
    from baselines.config import LossConfig, ScoringConfig
    from experiments.config import RunConfig
    from experiments.registry import find_method
    from experiments.training.config import TrainingConfig

    def of(name: str, seed: int = 0) -> RunConfig:
        its_own = find_method(name).settings
        hardness, weights = its_own.get("loss.hardness", 0.0), its_own.get("loss.weights", {})
        return RunConfig(
            method=name,
            seed=seed,
            device="cpu",
            model=FEW_SAMPLES if name.startswith("diffusion_") else {},
            scoring=ScoringConfig(width=16, max_history=MAX_HISTORY),
            loss=LossConfig(n_negatives=40, hardness=hardness, weights=weights),
            training=TrainingConfig(
                max_steps=6,
                evaluate_every=3,
                batch_size=32,
                learning_rate=0.01,
                positions=its_own.get("training.positions", "one"),
            ),
        )

    return of


@pytest.fixture(scope="session")
def fitted(dataset: Dataset, configure: Callable[..., RunConfig]) -> Callable[[str], AnyMethod]:
    """Return `fitted(name)`: the method after a few steps, made once; leave it as you found it."""
    from experiments.methods import fit_method, make_method

    @cache
    def of(name: str) -> AnyMethod:
        config = configure(name)
        method = make_method(config, dataset.train)
        fit_method(method, dataset.train, lambda: 0.5, config)
        return method

    return of
