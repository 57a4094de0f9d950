"""The training benchmark times what training does, and its tables outlive it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import ONE_OF_A_KIND

from experiments.bench import training
from experiments.bench.public_training import examples_per_second
from experiments.bench.training import random_sequences, timed, trained_methods, with_method
from experiments.config import RunConfig
from experiments.data.dataset import Dataset
from experiments.memory import peak_memory
from experiments.reporting.benchmarks import benchmarks, keep_benchmark
from experiments.reporting.table import Table


@pytest.mark.parametrize(
    "method",
    [name if name in ONE_OF_A_KIND else pytest.param(name, marks=pytest.mark.slow) for name in trained_methods()],
)
def test_the_shares_of_the_phases_are_all_of_the_time(
    configure: Callable[..., RunConfig], dataset: Dataset, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(training, "_SECONDS", 0.05)
    rate, *shares, megabytes = timed(with_method(configure("comirec_sa"), method), dataset.train)
    assert float(str(rate)) > 0
    assert sum(float(str(share)) for share in shares) == pytest.approx(100)
    assert float(str(megabytes)) > 1


def test_a_method_is_timed_with_its_own_loss(configure: Callable[..., RunConfig]) -> None:
    remi = with_method(configure("comirec_sa"), "remi")
    assert remi.loss.hardness > 0
    assert "routing" in remi.loss.weights
    plain = with_method(remi, "mind")
    assert plain.loss.hardness == 0
    assert not plain.loss.weights


def test_random_histories_are_full_and_favour_popular_items() -> None:
    train = random_sequences(1000, 20)
    assert (train.lengths == 21).all()
    counts = train.item_counts[1:]
    assert counts[:10].sum() > counts[-500:].sum() > 0


def test_the_plain_loop_trains_too(dataset: Dataset) -> None:
    sizes = {"width": 8, "max_history": 5, "n_interests": 2, "batch_size": 16, "n_negatives": 10}
    assert examples_per_second(dataset.train, **sizes, n_steps=3) > 0


def test_the_peak_is_of_the_work_and_not_of_what_went_before(configure: Callable[..., RunConfig]) -> None:
    np.ones(40 << 20).sum()  # 320 MiB that are gone again
    with peak_memory("cpu") as small:
        np.ones(1 << 20).sum()
    with peak_memory("cpu") as large:
        np.ones(24 << 20).sum()
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("this system does not forget a peak")
    assert large.mb - small.mb == pytest.approx(184, abs=60)


def test_a_kept_benchmark_says_what_it_was_measured_with(tmp_path: Path) -> None:
    table = Table(["method", "examples/s"], [["mind", 1234.4], ["ease", None]], "speed", {"examples/s": 0})
    keep_benchmark("training", [table], tmp_path, command="adaptive-mi bench training", code="1 (abc)", device="cpu")
    shown, made = benchmarks(tmp_path)["training"]
    assert "| mind   |       1234 |" in shown
    assert made.startswith("`adaptive-mi bench training`, 20")
    assert "code 1 (abc)" in made
    assert benchmarks(tmp_path / "nowhere") == {}
