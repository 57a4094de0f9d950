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


def test_each_panel_is_a_picture_and_one_with_a_single_curve_is_none(tmp_path: Path) -> None:
    folder = fabricate_study(tmp_path / "s")
    runs = load_runs(folder)
    study = Study.read(folder, runs)
    curves = {"by K": {"comirec_sa_k2": 2.0, "comirec_sa_k4": 4.0}}
    panels = {"K and a reference": ("by K", "item_knn"), "K alone": ("by K",), "not run": ("by K", "mind_k2")}
    summary = Summary(runs, replace(study, curves=curves, x="K", panels=panels))
    (plot,) = trade_off(summary, "toy", [("recall@20", "coverage@50")], tmp_path)
    assert plot.file == "trade-off-toy-K-and-a-reference.png"
    assert (tmp_path / plot.file).exists()
    for part in ("K and a reference: recall@20", "the figure in a point is its K", "pale: the study's other arms"):
        assert part in plot.caption
