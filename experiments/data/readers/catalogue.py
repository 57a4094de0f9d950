"""What a source says of its items, by original id. N items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from experiments.data.metadata import ItemMetadata


@dataclass(frozen=True)
class ItemFacts:
    """What is known of one item: "" and () where nothing is."""

    title: str = ""
    categories: tuple[str, ...] = ()
    brand: str = ""


@dataclass(frozen=True)
class Catalogue:
    """Items by their original id, written as a string.

    Attributes:
        facts: id -> what is known; a source that lists an item twice is believed the first time.
        n_duplicates: rows that list an item again.
    """

    facts: Mapping[str, ItemFacts] = field(default_factory=dict)
    n_duplicates: int = 0

    def aligned(self, item_ids: NDArray[np.generic]) -> tuple[ItemMetadata, int]:
        """Return the metadata of `item_ids` [N + 1] (entry 0 = padding) and how many of the N items are not listed."""
        nothing = ItemFacts()
        ids = [str(i) for i in item_ids[1:].tolist()]
        chosen = [nothing, *(self.facts.get(i, nothing) for i in ids)]
        metadata = ItemMetadata(
            [item.title for item in chosen], [item.categories for item in chosen], [item.brand for item in chosen]
        )
        return metadata, sum(i not in self.facts for i in ids)


class CatalogueBuilder:
    """Collects items row by row."""

    def __init__(self) -> None:
        self._facts: dict[str, ItemFacts] = {}
        self._n_duplicates = 0

    def add(self, item_id: str, facts: ItemFacts) -> None:
        """Note one item, unless it was noted before."""
        if item_id in self._facts:
            self._n_duplicates += 1
        else:
            self._facts[item_id] = facts

    def build(self) -> Catalogue:
        """Return what was collected."""
        return Catalogue(self._facts, self._n_duplicates)
