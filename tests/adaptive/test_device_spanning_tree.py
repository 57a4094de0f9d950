"""Trees that are grown by torch are the compiled ones to the last bit, however users are cut into blocks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from histories import lattice, lifelike, pack

from adaptive_mi.batched_hdbscan import batched_hdbscan
from adaptive_mi.density import Floats
from adaptive_mi.device_spanning_tree import device_spanning_trees
from adaptive_mi.spanning_tree import spanning_trees
from baselines.errors import BadInput

LENGTHS = [0, 1, 2, 3, 7, 8, 20, 33, 0, 64, 5, 200, 1]


def users_of(kind: str, D: int, seed: int) -> list[Floats]:
    rng = np.random.default_rng(seed)
    if kind == "tied":
        return [np.pad(lattice(rng, n, 3), [(0, 0), (0, D - 3)]) for n in LENGTHS]
    same = np.repeat(lifelike(rng, 1, D), 6, axis=0)
    return [*(lifelike(rng, n, D, repeats=kind == "repeats") for n in LENGTHS if n), same, same[:0]]


@pytest.mark.parametrize("min_samples", [1, 2, 5, 300])
@pytest.mark.parametrize("kind", ["usual", "repeats", "tied"])
@pytest.mark.parametrize("budget", [1, 40_000, 2**28])
def test_trees_are_the_compiled_ones(kind: str, min_samples: int, budget: int) -> None:
    vectors, starts = pack(users_of(kind, D=33, seed=min_samples))
    expected = spanning_trees(vectors, starts, min_samples)
    found = device_spanning_trees(torch.from_numpy(vectors), starts, min_samples, budget=budget)
    np.testing.assert_array_equal(found.n_distinct, expected.n_distinct)
    np.testing.assert_array_equal(found.which, expected.which)
    for first, m in zip(starts[:-1], expected.n_distinct, strict=True):
        np.testing.assert_array_equal(found.order[first : first + m], expected.order[first : first + m])
        np.testing.assert_array_equal(found.length[first + 1 : first + m], expected.length[first + 1 : first + m])


@pytest.mark.parametrize("allow_single_cluster", [False, True])
@pytest.mark.parametrize(("min_cluster_size", "min_samples"), [(2, 1), (3, 2), (5, 5)])
def test_a_tensor_has_the_clusters_of_an_array(
    min_cluster_size: int, min_samples: int, allow_single_cluster: bool
) -> None:
    vectors, starts = pack([*users_of("repeats", 16, seed=1), *users_of("tied", 16, seed=2)])
    sizes = {"min_cluster_size": min_cluster_size, "min_samples": min_samples}
    expected = batched_hdbscan(vectors, starts, **sizes, allow_single_cluster=allow_single_cluster)
    found = batched_hdbscan(torch.from_numpy(vectors), starts, **sizes, allow_single_cluster=allow_single_cluster)
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(found.n_clusters, expected.n_clusters)
    np.testing.assert_array_equal(found.persistence, expected.persistence)


def test_a_tensor_that_is_not_finite_is_refused() -> None:
    vectors = torch.eye(4)
    vectors[2, 1] = torch.nan
    with pytest.raises(BadInput, match="1 of 4 rows, the first of them 2"):
        batched_hdbscan(vectors, np.array([0, 4]), min_cluster_size=2, min_samples=1)
