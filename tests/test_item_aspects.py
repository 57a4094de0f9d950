"""Item metadata as aspects of an item table."""

from __future__ import annotations

import pytest

from baselines.errors import BadInput
from experiments.data.metadata import ItemMetadata
from experiments.item_aspects import item_aspects

METADATA = ItemMetadata(
    titles=["", "one", "two", "three"],
    categories=[(), ("Beauty", "Lips"), (), ("Beauty", "Eyes", "Beauty")],
    brands=["", "zeta", "alpha", ""],
)


def test_every_name_of_a_category_path_is_one_value() -> None:
    aspects = item_aspects(METADATA, ("categories",))
    names, rows = aspects.names["categories"], aspects.values["categories"]
    assert [{names[v - 1] for v in row if v} for row in rows] == [set(), {"Beauty", "Lips"}, set(), {"Beauty", "Eyes"}]
    assert [sum(row > 0) for row in rows] == [0, 2, 0, 2]  # a name repeated in a path counts once


def test_a_brand_is_one_value_and_an_unknown_one_none() -> None:
    aspects = item_aspects(METADATA, ("brand",))
    assert aspects.names["brand"] == ["alpha", "zeta"]
    assert aspects.values["brand"].tolist() == [[0], [2], [1], [0]]


def test_aspects_come_as_they_were_wanted() -> None:
    assert [*item_aspects(METADATA, ("brand", "categories")).values] == ["brand", "categories"]
    assert not item_aspects(METADATA, ()).values


@pytest.mark.parametrize("aspect", ["categories", "brand"])
def test_metadata_that_knows_nothing_is_bad_input(aspect: str) -> None:
    with pytest.raises(BadInput, match=f"asks for {aspect}, but"):
        item_aspects(ItemMetadata.empty(3), (aspect,))  # type: ignore[arg-type]
