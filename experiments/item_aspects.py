"""Metadata of a dataset -> aspects of its items, as an item table takes them.

N items, A values of one item, V distinct values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from baselines.config import Aspect
from baselines.errors import BadInput
from baselines.item_aspects import ItemAspects
from baselines.sequences import gather_padded
from experiments.data.metadata import ItemMetadata


def item_aspects(metadata: ItemMetadata, wanted: tuple[Aspect, ...]) -> ItemAspects:
    """Return the wanted aspects of items 1..N.

    Of a category path every name is a value, general ones too; a name that occurs in several paths is one value.

    Raises:
        BadInput: an aspect that is unknown of all items.
    """
    found = {aspect: _READERS[aspect](metadata) for aspect in wanted}
    for aspect, (names, _) in found.items():
        if not names:
            raise BadInput(
                f"scoring.side_information asks for {aspect}, but nothing is known of the {aspect} of this dataset's "
                "items; leave it out, or take a dataset that has it."
            )
    return ItemAspects({a: names for a, (names, _) in found.items()}, {a: values for a, (_, values) in found.items()})


def _categories(metadata: ItemMetadata) -> tuple[Sequence[str], NDArray[np.int64]]:
    has = metadata.item_categories  # [N + 1, V]
    return metadata.category_names, gather_padded(has.indices + 1, has.indptr[:-1], np.diff(has.indptr))


def _brand(metadata: ItemMetadata) -> tuple[Sequence[str], NDArray[np.int64]]:
    names = sorted({*metadata.brands} - {""})
    value = {name: v for v, name in enumerate(names, 1)}
    return names, np.array([[value.get(brand, 0)] for brand in metadata.brands], np.int64)


_READERS = {"categories": _categories, "brand": _brand}
