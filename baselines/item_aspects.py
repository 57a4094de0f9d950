"""What is known of each item, as integers: its categories, its brand.

N items, A values of one item, V distinct values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ItemAspects:
    """Aspects of items 1..N, each a set of values; row 0 (padding) has none.

    Attributes:
        names: aspect -> the V names of its values; value v is `names[aspect][v - 1]`.
        values: aspect -> [N + 1, A] int64, the distinct values 1..V of each item, 0 where padded. A is the most that an
            item has: nothing is cut off.

    Raises:
        ValueError: aspects named in one of the two only, tables of different heights, a value outside 0..V, or a
            padding row with a value.
    """

    names: Mapping[str, Sequence[str]]
    values: Mapping[str, NDArray[np.int64]]

    def __post_init__(self) -> None:
        if self.names.keys() != self.values.keys():
            raise ValueError(f"names and values must be of the same aspects, got {[*self.names]} and {[*self.values]}")
        if len({len(table) for table in self.values.values()}) > 1:
            raise ValueError("every aspect must have N + 1 rows")
        for aspect, table in self.values.items():
            V = len(self.names[aspect])
            if table.ndim != 2 or table.min(initial=0) < 0 or table.max(initial=0) > V:
                raise ValueError(f"{aspect} must be a table [N + 1, A] of values 0..{V}")
            if table[:1].any():
                raise ValueError(f"row 0 of {aspect} is padding and has no value")
