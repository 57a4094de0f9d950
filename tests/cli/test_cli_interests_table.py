"""Interests in words."""

from __future__ import annotations

import math

import numpy as np
import torch

from baselines.interests import Interests
from experiments.cli.interests_table import interests_table
from experiments.data.metadata import ItemMetadata


def test_an_interest_is_told_by_its_behaviours_their_categories_and_what_is_near_it() -> None:
    items = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.2], [0.0, 3.0], [0.1, 1.0]])
    metadata = ItemMetadata(
        ["", "Alien", "", "Casablanca", ""],
        [(), ("Film", "Horror"), ("Film",), ("Film", "Romance"), ()],
        [""] * 5,
    )
    interests = Interests(
        vectors=torch.tensor([[[0.0, 1.0], [5.0, 0.0], [9.0, 9.0], [1.0, 1.0]]]),
        mask=torch.tensor([[True, True, False, True]]),
        log_weight=torch.tensor([[math.log(0.3), math.log(0.6), 9.0, math.log(0.1)]]),
        assignment=torch.tensor([[[0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0]]]),
    )
    ids = np.array(["", "a", "b", "c", "d"])
    table = interests_table(interests, np.array([1, 2, 3], np.int32), items, metadata, ids)
    assert table.columns == ["interest", "importance %", "behaviours", "their categories", "nearest items"]
    second, first, whole = table.rows
    assert second[0::4] == [2, "Alien; b (Film); d"]
    assert second[2:4] == [2.5, "Film (2.5), Horror (1), Romance (0.5)"]
    assert [first[0], first[2], first[3]] == [1, 0.5, "Film (0.5), Romance (0.5)"]
    assert str(first[4]).startswith("Casablanca; d; ")
    assert whole[0] == 4
    assert whole[2:4] == [0.0, ""], "nothing belongs to it alone"
    np.testing.assert_allclose([row[1] for row in table.rows], [60, 30, 10], rtol=1e-5)
