"""Partitions of batched HDBSCAN are the package's in a hundred thousand cases; where they are not, there are ties.

The package sorts edges by numpy's unstable sort: of equal ones any may come first, as the processor likes. So a case in
which the two differ is tried again with the package sorting stably, and must then be equal; and ties are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import hdbscan.hdbscan_
import numpy as np
import pytest
from histories import lattice, lifelike, pack, partition, parts, planted, unit

from adaptive_mi.batched_hdbscan import batched_hdbscan
from adaptive_mi.density import Floats, hdbscan_clusters
from adaptive_mi.spanning_tree import spanning_trees
from baselines.errors import BadInput

USERS = 500  # of a batch
MADE_UP, REAL = 180, 20  # batches of made-up histories, and of each log's, as far as it has users
LONGEST = 200
LOGS = ("amazon-beauty", "ml-1m")


def sizes_of(rng: np.random.Generator) -> dict[str, Any]:
    """Both parameters, and whether the whole may be a cluster."""
    sizes: dict[str, Any] = {"min_cluster_size": int(rng.integers(2, 10)), "min_samples": int(rng.integers(1, 10))}
    if rng.random() < 0.5:
        sizes["min_samples"] = 1
    return sizes | {"allow_single_cluster": bool(rng.random() < 0.2)}


def lengths_of(rng: np.random.Generator, n_users: int) -> np.ndarray:
    """From 1 to 200 behaviours, short histories being many, as they are."""
    return np.minimum(np.exp(rng.uniform(0, np.log(LONGEST + 1), n_users)).astype(int), LONGEST)


def made_up(rng: np.random.Generator) -> list[Floats]:
    D = int(rng.integers(2, 70))
    users = []
    for n in lengths_of(rng, USERS):
        kind = rng.random()
        if kind < 0.6:
            users.append(lifelike(rng, n, D, repeats=rng.random() < 0.3))
        elif kind < 0.8:
            users.append(unit(rng.standard_normal((n, D))))
        elif kind < 0.9:
            groups = min(int(rng.integers(1, 6)), n, D)
            counts = rng.multinomial(n, np.full(groups, 1 / groups))
            users.append(planted(rng, counts, D=D)[0])
        else:
            users.append(np.pad(lattice(rng, n, min(3, D)), [(0, 0), (0, max(0, D - 3))]))
    return users


def real(name: str) -> Iterator[list[Floats]]:
    """The latest behaviours of a log's users, as vectors of its spectral table."""
    from baselines.spectral import spectral_table
    from experiments.cli.arguments import make_run
    from experiments.data.loading import load_dataset

    config, _ = make_run({"method": "mean_pooling", "data": {"source": name}})
    train = load_dataset(config.data).train
    table = spectral_table(train, 64, 0.1)
    table = (table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)).astype(np.float32)
    histories = [train[u][-LONGEST:] for u in range(len(train))]
    for begin in range(0, len(histories) - USERS, USERS):
        yield [table[ids] for ids in histories[begin : begin + USERS]]


class Tally:
    """What became of the cases."""

    def __init__(self) -> None:
        self.n = self.tied = self.differ = 0

    def count(self, users: list[Floats], sizes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        vectors, starts = pack(users)
        found = parts(batched_hdbscan(vectors, starts, **sizes).labels, starts)
        trees = spanning_trees(vectors, starts, sizes["min_samples"])
        for b, (user, labels) in enumerate(zip(users, found, strict=True)):
            length = trees.length[starts[b] + 1 : starts[b] + trees.n_distinct[b]]
            tied = len(np.unique(length)) < len(length)
            self.n, self.tied = self.n + 1, self.tied + tied
            if partition(labels) != partition(hdbscan_clusters(user, **sizes).labels):
                self.differ += 1
                assert tied, "where nothing is tied they are the same"
                with monkeypatch.context() as patched:
                    names = {**vars(np), "argsort": lambda values: np.argsort(values, kind="stable")}
                    patched.setattr(hdbscan.hdbscan_, "np", SimpleNamespace(**names))
                    assert partition(labels) == partition(hdbscan_clusters(user, **sizes).labels)


def report(kind: str, tally: Tally) -> None:
    print(
        f"\n{kind}: {tally.n:,} cases, {tally.tied:,} with ties; {tally.differ:,} of these differ as the package sorts"
    )


@pytest.mark.slow
def test_made_up_histories(monkeypatch: pytest.MonkeyPatch) -> None:
    tally = Tally()
    for seed in range(MADE_UP):
        rng = np.random.default_rng([7, seed])
        tally.count(made_up(rng), sizes_of(rng), monkeypatch)
    report("made up", tally)
    assert tally.n == USERS * MADE_UP


@pytest.mark.slow
@pytest.mark.parametrize("name", LOGS)
def test_real_histories(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tally, rng = Tally(), np.random.default_rng(8)
    try:
        for users, _ in zip(real(name), range(REAL), strict=False):
            tally.count(users, sizes_of(rng), monkeypatch)
    except BadInput as error:
        pytest.skip(str(error))
    report(name, tally)
    assert tally.n > USERS
