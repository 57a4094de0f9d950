"""The spanning tree is the least one by mutual reachability, visited as Prim's algorithm does."""

from __future__ import annotations

import numpy as np
import pytest
from histories import lattice, lifelike, pack, parts
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import cdist

from adaptive_mi.density import Floats
from adaptive_mi.spanning_tree import spanning_trees


def mutual_reachability(distinct: Floats, min_samples: int) -> np.ndarray:
    """By the definition, [m, m]."""
    distance = cdist(distinct.astype(np.float64), distinct.astype(np.float64))
    core = np.sort(distance, axis=1)[:, min(min_samples, len(distinct) - 1)]  # place 0 is the behaviour itself
    mutual: np.ndarray = np.maximum(distance, np.maximum(core[:, None], core[None]))
    np.fill_diagonal(mutual, 0)
    return mutual


@pytest.mark.parametrize("min_samples", [1, 2, 5, 300])
@pytest.mark.parametrize("D", [1, 3, 4, 33])
def test_edges_are_those_of_the_least_spanning_tree(D: int, min_samples: int) -> None:
    rng = np.random.default_rng(D)
    users = [lifelike(rng, n, D=33, repeats=n % 2 == 0)[:, :D].copy() for n in (1, 2, 3, 8, 9, 40, 130)]
    users += [lattice(rng, n, D) for n in (5, 30)]
    vectors, starts = pack(users)
    trees = spanning_trees(vectors, starts, min_samples)
    pieces = (parts(values, starts) for values in (trees.which, trees.order, trees.length))
    for m, user, which, order, length in zip(trees.n_distinct, users, *pieces, strict=True):
        distinct = user[[np.flatnonzero(which == j)[0] for j in range(m)]]
        assert len(np.unique(user, axis=0)) == m
        np.testing.assert_array_equal(distinct[which], user)
        if m < 2:
            continue
        assert sorted(order[:m]) == list(range(m))
        mutual = mutual_reachability(distinct, min_samples)
        np.testing.assert_allclose(np.sort(length[1:m]), np.sort(minimum_spanning_tree(mutual).data), rtol=1e-12)
        for place in range(1, m):
            to_visited = mutual[np.ix_(order[:place], order[place:m])]
            assert length[place] == pytest.approx(to_visited.min(), rel=1e-12)
            assert length[place] == pytest.approx(to_visited[:, 0].min(), rel=1e-12)


def test_of_equally_near_behaviours_the_first_is_visited_first() -> None:
    corners = np.array([[0, 0], [1, 1], [0, 1], [1, 0]], np.float32)
    assert spanning_trees(corners, np.array([0, 4]), 1).order.tolist() == [0, 2, 1, 3]
    assert spanning_trees(np.eye(5, dtype=np.float32), np.array([0, 5]), 1).order.tolist() == [0, 1, 2, 3, 4]
