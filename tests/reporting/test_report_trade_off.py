"""Plots of metric against metric: who is in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fabricated_runs import fabricate_study

from experiments.reporting.runs import load_runs
from experiments.reporting.study import Study
from experiments.reporting.summary import Summary
from experiments.reporting.trade_off import trade_off

LOW = ["most_popular", "item_knn", "comirec_sa_k2", "comirec_sa_k4"]  # of what the best has, .31, .87, .77, .85


@pytest.mark.parametrize(("floor", "left_out"), [(0.0, []), (0.5, LOW[:1]), (0.89, LOW)])
def test_arms_below_the_floor_are_named_and_not_drawn(tmp_path: Path, floor: float, left_out: list[str]) -> None:
    folder = fabricate_study(tmp_path / "s")
    runs = load_runs(folder)
    summary = Summary(runs, replace(Study.read(folder, runs), floor=floor))
    (plot,) = trade_off(summary, "toy", [("recall@20", "coverage@50")], tmp_path)
    _, _, named = plot.caption.partition("and not drawn: ")
    assert named.rstrip(".") == ", ".join(left_out)
