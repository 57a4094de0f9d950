"""Histories to be clustered: planted groups, a likeness of real ones, and lattices full of ties."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from adaptive_mi.density import Floats, Ints


def unit(vectors: np.ndarray) -> Floats:
    """Scale rows to length 1."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def planted(
    rng: np.random.Generator, sizes: Sequence[int] | Ints, spread: float = 0.02, D: int = 32
) -> tuple[Floats, Ints]:
    """Groups of the given sizes about centres at right angles, shuffled; the vectors and the group of each."""
    group = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return unit(np.eye(D)[group] + spread * rng.standard_normal((len(group), D))), group


def lifelike(rng: np.random.Generator, n: int, D: int = 32, repeats: bool = False) -> Floats:
    """A few groups, dense and loose, and strays; with `repeats`, a third of the behaviours are some of the others."""
    n_groups = int(rng.integers(1, 6))
    centres, spread = rng.standard_normal((n_groups, D)), np.exp(rng.uniform(-3, 0, n_groups))
    group = rng.integers(0, n_groups, n)
    vectors = centres[group] + spread[group, None] * rng.standard_normal((n, D))
    stray = rng.random(n) < 0.2
    vectors[stray] = rng.standard_normal((stray.sum(), D))
    again = (rng.random(n) < 0.33) & repeats
    vectors[again] = vectors[rng.integers(0, n, again.sum())]
    return unit(vectors)


def lattice(rng: np.random.Generator, n: int, D: int = 3) -> Floats:
    """Corners of a grid: nearly all distances are tied, and many behaviours equal."""
    return rng.integers(-1, 2, (n, D)).astype(np.float32)


def pack(users: Sequence[Floats]) -> tuple[Floats, Ints]:
    """Lay users' vectors back to back; the vectors and where each user's begin."""
    return np.concatenate(users), np.cumsum([0, *map(len, users)]).astype(np.int64)


def parts(values: np.ndarray, starts: Ints) -> list[np.ndarray]:
    """Cut what lies back to back into a piece for each user."""
    return [values[first:last] for first, last in itertools.pairwise(starts)]


def partition(labels: Ints) -> tuple[set[frozenset[int]], frozenset[int]]:
    """Say who is with whom, whatever the numbering: the clusters, and the noise."""
    members = {label: frozenset(np.flatnonzero(labels == label).tolist()) for label in {-1, *labels.tolist()}}
    noise = members.pop(-1)
    return set(members.values()), noise
