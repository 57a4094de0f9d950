"""The routing benchmark times every extractor at every size, and says how its cost grows."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from baselines.errors import BadInput
from baselines.extractors.comirec import ComiRecDR
from experiments.bench import routing
from experiments.bench.routing import CONTENDERS, YARDSTICK, Cell, bench_routing, growth


@pytest.fixture(autouse=True)
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "_SECONDS", 0.0)
    monkeypatch.setattr(routing, "_TURNS", 1)
    monkeypatch.setattr(routing, "_BEHAVIOURS", 60)


def test_every_method_has_a_row_at_every_size_beside_the_yardstick() -> None:
    cells, fitted = bench_routing([6, 12], [2, 5], [8])
    sizes = {(6, 2), (6, 5), (12, 2)}
    assert {(row[0], row[1], row[2]) for row in cells.rows} == {(name, *size) for name in CONTENDERS for size in sizes}
    for row in cells.rows:
        assert all(float(str(number)) >= 0 for number in row[1:])
        assert row[0] != YARDSTICK or row[6] == 1
    assert [row[0] for row in fitted.rows] == list(CONTENDERS)


@pytest.mark.parametrize("name", ["comirec_sa", "comirec_dr-1", "comirec_dr-3", "comirec_dr-3-per_position", "mind"])
def test_multiply_adds_are_those_that_torch_counts(name: str) -> None:
    cell = Cell(12, 3, 8)
    extractor = CONTENDERS[name].make(cell).train()
    history, mask = torch.randn(5, 12, 8), torch.ones(5, 12, dtype=torch.bool)
    with FlopCounterMode(display=False) as counter:
        extractor(history, mask)
    assert counter.get_total_flops() / 2 / 5 == CONTENDERS[name].multiply_adds(12, 3, 8, 3.0)


def test_what_is_compiled_stands_in_columns_of_its_own_and_what_cannot_be_is_left_empty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken(torch.nn.Module):
        def forward(self, *_: object) -> None:
            raise RuntimeError

    monkeypatch.setattr(torch, "compile", lambda it, **_: Broken() if isinstance(it, ComiRecDR) else it)
    cells, _ = bench_routing([6], [2], [8], methods=["comirec_dr-3"], compiled=True)
    compiled = {str(row[0]): row[9:] for row in cells.rows}
    assert compiled["comirec_dr-3"] == [None, None]
    assert all(float(str(number)) > 0 for number in compiled[YARDSTICK])
    assert len(cells.columns) == 11


def test_growth_is_the_exponent_that_times_were_made_with() -> None:
    rows = [["a", L, K, 64, 1.0, 3.0 * K**0.5 * L**2, 1.0, 0.0, 0.0] for L, K in ((10, 2), (10, 8), (30, 2))]
    (row,) = growth(rows, 10, 2).rows
    assert [row[2], row[4]] == pytest.approx([0.5, 2.0])
    assert growth(rows[:1], 10, 2).rows == [["a", 64, None, None, None]]


def test_multiply_adds_of_sparse_routing_are_a_small_part_of_attentions() -> None:
    n, K, d = 50, 4, 64
    attention, sparse = (CONTENDERS[name].multiply_adds(n, K, d, 2.0) for name in (YARDSTICK, "sparse_routing"))
    assert attention == n * (4 * d * d + 5 * d * K)
    assert sparse < 0.05 * attention


@pytest.mark.parametrize("name", CONTENDERS)
def test_a_contender_has_as_many_interests_as_it_is_told(name: str) -> None:
    cell = Cell(6, 3, 8)
    found = CONTENDERS[name].make(cell).eval()(torch.randn(2, 6, 8), torch.ones(2, 6, dtype=torch.bool))
    assert found.mask.shape == (2, 3)


def test_chosen_methods_are_timed_beside_the_yardstick_and_unknown_ones_refused() -> None:
    cells, _ = bench_routing([6], [2], [8], methods=["mind"])
    assert [row[0] for row in cells.rows] == [YARDSTICK, "mind"]
    with pytest.raises(BadInput, match="did you mean 'sparse_routing'"):
        bench_routing([6], [2], [8], methods=["sparse_routin"])
