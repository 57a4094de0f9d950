"""The trainable vectors of the items: one of its own for each, and those of what is known of it.

N items, D width. Of one aspect: A values that an item has, S distinct sets of values, m of them looked up. Thousands of
items share a few hundred sets of categories, so each set is averaged once, not once an item.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.item_aspects import ItemAspects


class ItemTable(nn.Module):
    """x_i = w_i + sum over aspects of the mean of the vectors of item i's values; an aspect unknown of i adds nothing.

    Vectors of aspect values start at 0: with side information or without, training starts at the same item vectors and
    the same place of the random stream.

    Args:
        n_items: N; ids run from 1, row 0 is padding.
        width: D.
        init_std: standard deviation of the entries at the start, drawn from torch's default generator.
        initial: [N + 1, D] what `weight` starts from instead; its row 0 is not read.
        aspects: what is known of items 1..N; None = nothing. Not part of the saved state, unlike the vectors.

    Attributes:
        weight: [N + 1, D]; row 0 is zeros and stays so, since only items are looked up in training.
        sparse: whether the gradient of `weight` is row-sparse when ids are looked up; the trainer sets it.

    Raises:
        ValueError: `initial` or `aspects` of another catalogue or width.
    """

    def __init__(
        self,
        n_items: int,
        width: int,
        *,
        init_std: float,
        initial: Tensor | None = None,
        aspects: ItemAspects | None = None,
    ) -> None:
        super().__init__()
        self.sparse = False
        if initial is not None and initial.shape != (n_items + 1, width):
            raise ValueError(f"initial must be [{n_items + 1}, {width}], got {list(initial.shape)}")
        weight = torch.randn(n_items + 1, width) * init_std if initial is None else initial.float().clone()
        weight[0] = 0
        self.weight = nn.Parameter(weight)
        self.of_aspect = nn.ParameterDict()
        known = aspects or ItemAspects(names={}, values={})
        for aspect, values in known.values.items():
            if len(values) != n_items + 1:
                raise ValueError(f"{aspect} must have {n_items + 1} rows, got {len(values)}")
            self.of_aspect[aspect] = nn.Parameter(torch.zeros(len(known.names[aspect]) + 1, width))
            sets, set_of_item = np.unique(values, axis=0, return_inverse=True)
            self.register_buffer(f"sets_of_{aspect}", torch.from_numpy(sets), persistent=False)
            self.register_buffer(f"{aspect}_of_item", torch.from_numpy(set_of_item.reshape(-1)), persistent=False)

    def forward(self, ids: Tensor | None = None) -> Tensor:
        """Vectors of `ids` (any shape), [..., D]; of all N + 1 rows, padding first, where `ids` is None."""
        vectors = self.weight if ids is None else F.embedding(ids, self.weight, sparse=self.sparse)
        for aspect, table in self.of_aspect.items():
            sets = self.get_buffer(f"sets_of_{aspect}")  # [S, A]
            set_of_item = self.get_buffer(f"{aspect}_of_item")  # [N + 1]
            looked_up, place = torch.unique(set_of_item if ids is None else set_of_item[ids], return_inverse=True)
            means = F.embedding_bag(sets[looked_up], table, mode="mean", padding_idx=0)  # [m, D]: over a set's values
            vectors = vectors + F.embedding(place, means)
        return vectors
