"""The category tree and its items.

N items, C leaf categories, D width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.data.metadata import ItemMetadata
from experiments.data.synthetic.config import SyntheticConfig

LEAF_DISTANCE = 0.6
"""Distance of a leaf from its top category, whose distance from the origin is 1: siblings are nearer than strangers."""

ITEM_DISTANCE = 0.3
"""Distance of an item from its leaf."""


@dataclass(frozen=True)
class Catalogue:
    """Items 0..N-1 in order of leaf, within a leaf from the most to the least popular.

    Attributes:
        first: [C + 1] int64; leaf c has the items first[c]..first[c + 1] - 1.
        leaf: [N] int32, each item's leaf.
        leaf_popularity: [C] float64, sums to 1.
        popularity: [N] float64, within its leaf; sums to 1 over each leaf.
        directions: [N, D] float64, unit vectors, where an item lies within its leaf.
        vectors: [N, D] float32, top + leaf + item: the latent position.
    """

    first: NDArray[np.int64]
    leaf: NDArray[np.int32]
    leaf_popularity: NDArray[np.float64]
    popularity: NDArray[np.float64]
    directions: NDArray[np.float64]
    vectors: NDArray[np.float32]

    def items_of(self, leaf: int) -> slice:
        """Return the items of a leaf."""
        return slice(int(self.first[leaf]), int(self.first[leaf + 1]))


def make_catalogue(config: SyntheticConfig, rng: np.random.Generator) -> Catalogue:
    """Draw the tree."""
    n, n_leaves, width = config.n_items, config.n_leaves, config.n_factors
    first = np.arange(n_leaves + 1) * n // n_leaves
    sizes = np.diff(first)
    leaf = np.repeat(np.arange(n_leaves, dtype=np.int32), sizes)
    weight = (np.arange(n) - first[leaf] + 1.0) ** -config.item_exponent
    leaf_weight = (rng.permutation(n_leaves) + 1.0) ** -config.leaf_exponent
    tops = unit_vectors(rng, config.n_top_categories, width)
    leaves = np.repeat(tops, config.leaves_per_top, axis=0) + LEAF_DISTANCE * unit_vectors(rng, n_leaves, width)
    directions = unit_vectors(rng, n, width)
    return Catalogue(
        first=first,
        leaf=leaf,
        leaf_popularity=leaf_weight / leaf_weight.sum(),
        popularity=weight / np.bincount(leaf, weight)[leaf],
        directions=directions,
        vectors=(leaves[leaf] + ITEM_DISTANCE * directions).astype(np.float32),
    )


def make_metadata(config: SyntheticConfig, catalogue: Catalogue) -> ItemMetadata:
    """Name the items: "Leaf 3.2 item 17" is the 17th most popular of the second leaf of the third top category."""
    tops = [c // config.leaves_per_top + 1 for c in range(config.n_leaves)]
    leaves = [f"Leaf {top}.{c % config.leaves_per_top + 1}" for c, top in enumerate(tops)]
    paths = [(f"Top {top}", name) for top, name in zip(tops, leaves, strict=True)]
    rank = np.arange(config.n_items) - catalogue.first[catalogue.leaf] + 1
    leaf = catalogue.leaf.tolist()
    return ItemMetadata(
        titles=["", *(f"{leaves[c]} item {r}" for c, r in zip(leaf, rank.tolist(), strict=True))],
        categories=[(), *(paths[c] for c in leaf)],
        brands=[""] * (config.n_items + 1),
    )


def unit_vectors(rng: np.random.Generator, *shape: int) -> NDArray[np.float64]:
    """Draw vectors of length 1 in uniformly random directions; the last axis is the width."""
    vectors = rng.standard_normal(shape)
    unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit
