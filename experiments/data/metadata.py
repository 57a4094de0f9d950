"""What is known of the items: titles, categories, brands. Aligned with an InteractionLog's item ids.

N items, C categories.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy import sparse


@dataclass(frozen=True)
class ItemMetadata:
    """Metadata of items 1..N; entry 0 of each field belongs to padding and is empty.

    Attributes:
        titles: N + 1 titles, "" where unknown.
        categories: N + 1 tuples of category names, general to specific where the source gives a path; () if unknown.
        brands: N + 1 brands, "" where unknown.
    """

    titles: Sequence[str]
    categories: Sequence[tuple[str, ...]]
    brands: Sequence[str]

    def __post_init__(self) -> None:
        lengths = len(self.titles), len(self.categories), len(self.brands)
        if len(set(lengths)) > 1 or lengths[0] == 0:
            raise ValueError(f"titles, categories and brands must all have N + 1 entries, found {lengths}")

    @classmethod
    def empty(cls, n_items: int) -> ItemMetadata:
        """Return metadata that knows nothing of `n_items` items."""
        return cls([""] * (n_items + 1), [()] * (n_items + 1), [""] * (n_items + 1))

    def __len__(self) -> int:
        """Return N."""
        return len(self.titles) - 1

    def take(self, ids: NDArray[np.integer]) -> ItemMetadata:
        """Return the metadata of `ids` [M + 1] (entry 0 = padding), in that order."""
        chosen = ids.tolist()
        return ItemMetadata(
            [self.titles[i] for i in chosen], [self.categories[i] for i in chosen], [self.brands[i] for i in chosen]
        )

    @cached_property
    def category_names(self) -> list[str]:
        """The C distinct category names, sorted."""
        return sorted({name for names in self.categories for name in names})

    @cached_property
    def item_categories(self) -> sparse.csr_matrix:
        """[N + 1, C] float32 with 1 where an item is in a category; a row of zeros where nothing is known."""
        from scipy import sparse  # slow to import, and not on the way to `--help`

        index = {name: c for c, name in enumerate(self.category_names)}
        rows = [sorted({index[name] for name in names}) for names in self.categories]
        columns = [c for row in rows for c in row]
        indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
        values = np.ones(len(columns), np.float32)
        return sparse.csr_matrix((values, columns, indptr), shape=(len(self.categories), len(index)))
