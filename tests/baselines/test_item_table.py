"""The item table: plain, with side information, and with row-sparse gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from baselines.item_aspects import ItemAspects
from baselines.item_table import ItemTable

ASPECTS = ItemAspects(
    names={"categories": ["lips", "eyes", "face"], "brand": ["acme"]},
    values={
        "categories": np.array([[0, 0], [1, 2], [3, 0], [0, 0]]),
        "brand": np.array([[0], [1], [0], [0]]),
    },
)
"""Three items: of two categories and a brand, of one category, and one of which nothing is known."""


def filled(aspects: ItemAspects | None = ASPECTS) -> ItemTable:
    """A table of three items whose vectors of aspects are no longer 0."""
    torch.manual_seed(0)
    table = ItemTable(3, 2, init_std=1.0, aspects=aspects)
    for vectors in table.of_aspect.values():
        torch.nn.init.normal_(vectors)
    return table


def test_an_item_is_its_own_vector_plus_the_mean_of_each_aspect() -> None:
    table = filled()
    w, categories, brand = table.weight, table.of_aspect["categories"], table.of_aspect["brand"]
    expected = [torch.zeros(2), w[1] + (categories[1] + categories[2]) / 2 + brand[1], w[2] + categories[3], w[3]]
    torch.testing.assert_close(table(), torch.stack(expected))


@pytest.mark.parametrize("aspects", [None, ASPECTS], ids=["plain", "aspects"])
@pytest.mark.parametrize("shape", [(), (4,), (2, 2), (2, 1, 2)])
def test_ids_of_any_shape_get_the_rows_of_the_whole_table(aspects: ItemAspects | None, shape: tuple[int, ...]) -> None:
    table = filled(aspects)
    ids = torch.tensor([3, 0, 1, 1])[: int(np.prod(shape))].reshape(shape)
    torch.testing.assert_close(table(ids), table()[ids], rtol=0, atol=0)


@pytest.mark.parametrize("aspects", [None, ASPECTS], ids=["plain", "aspects"])
def test_no_ids_have_no_vectors(aspects: ItemAspects | None) -> None:
    assert filled(aspects)(torch.zeros(0, dtype=torch.int64)).shape == (0, 2)


def test_side_information_begins_at_the_plain_table() -> None:
    torch.manual_seed(3)
    plain, after_plain = ItemTable(3, 2, init_std=0.1), torch.rand(1)
    torch.manual_seed(3)
    informed, after_informed = ItemTable(3, 2, init_std=0.1, aspects=ASPECTS), torch.rand(1)
    torch.testing.assert_close(plain(), informed(), rtol=0, atol=0)
    assert after_plain == after_informed


def test_side_information_learns_though_it_begins_at_zero() -> None:
    table = ItemTable(3, 2, init_std=0.1, aspects=ASPECTS)
    table(torch.tensor([1, 1, 2])).sum().backward()
    torch.testing.assert_close(table.of_aspect["categories"].grad[:, 0], torch.tensor([0.0, 1.0, 1.0, 1.0]))
    torch.testing.assert_close(table.of_aspect["brand"].grad[:, 0], torch.tensor([0.0, 2.0]))


def test_items_that_share_a_category_learn_from_each_other() -> None:
    shared = ItemAspects({"categories": ["lips"]}, {"categories": np.array([[0], [1], [1], [0]])})
    table = ItemTable(3, 2, init_std=0.1, aspects=shared)
    before = table().detach().clone()
    table(torch.tensor([1])).sum().backward()
    with torch.no_grad():
        for parameter in table.parameters():
            parameter -= 0.1 * parameter.grad
    moved = (table() - before).abs().sum(-1) > 0
    assert moved.tolist() == [False, True, True, False]


@pytest.mark.parametrize("aspects", [None, ASPECTS], ids=["plain", "aspects"])
def test_the_sparse_gradient_is_the_dense_one(aspects: ItemAspects | None) -> None:
    ids = torch.tensor([[3, 1], [1, 2]])
    gradients = []
    for sparse in (False, True):
        table = filled(aspects)
        table.sparse = sparse
        F.normalize(table(ids), dim=-1).prod(-1).sum().backward()
        assert table.weight.grad.is_sparse == sparse
        gradients.append({name: p.grad.to_dense() for name, p in table.named_parameters()})
    assert gradients[0].keys() == gradients[1].keys()
    for name, dense in gradients[0].items():
        torch.testing.assert_close(dense, gradients[1][name])


def test_the_random_start_is_that_of_plain_normal_draws() -> None:
    torch.manual_seed(5)
    drawn = torch.randn(2001, 16) * 0.1
    torch.manual_seed(5)
    table = ItemTable(2000, 16, init_std=0.1)
    assert not table.weight[0].any()
    assert torch.equal(table.weight[1:], drawn[1:])


def test_a_given_start_is_copied_and_its_padding_row_is_not() -> None:
    initial = torch.ones(4, 2)
    table = ItemTable(3, 2, init_std=0.1, initial=initial)
    assert table().tolist() == [[0, 0], [1, 1], [1, 1], [1, 1]]
    initial.zero_()
    assert table.weight[1:].all()


def test_what_is_known_of_items_is_not_saved_but_its_vectors_are() -> None:
    table = filled()
    assert set(table.state_dict()) == {"weight", "of_aspect.categories", "of_aspect.brand"}
    restored = ItemTable(3, 2, init_std=1.0, aspects=ASPECTS)
    restored.load_state_dict(table.state_dict())
    torch.testing.assert_close(restored(), table(), rtol=0, atol=0)


def test_a_table_moves_as_a_whole() -> None:
    moved = filled().to("meta")
    assert {tensor.device.type for tensor in (*moved.parameters(), *moved.buffers())} == {"meta"}


def test_a_start_or_aspects_of_another_catalogue_are_refused() -> None:
    with pytest.raises(ValueError, match="initial must be"):
        ItemTable(3, 2, init_std=0.1, initial=torch.zeros(3, 2))
    with pytest.raises(ValueError, match="categories must have 6 rows"):
        ItemTable(5, 2, init_std=0.1, aspects=ASPECTS)


@pytest.mark.parametrize(
    ("names", "table", "complaint"),
    [
        ({"brand": ["a"]}, {"categories": [[0], [1]]}, "same aspects"),
        ({"brand": ["a"]}, {"brand": [[0], [2]]}, r"values 0\.\.1"),
        ({"brand": ["a"]}, {"brand": [[0], [-1]]}, r"values 0\.\.1"),
        ({"brand": ["a"]}, {"brand": [[1], [1]]}, "padding"),
        ({"brand": ["a"], "categories": ["b"]}, {"brand": [[0], [1]], "categories": [[0]]}, "rows"),
    ],
)
def test_broken_aspects_are_refused(
    names: dict[str, list[str]], table: dict[str, list[list[int]]], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        ItemAspects(names, {aspect: np.array(rows) for aspect, rows in table.items()})
