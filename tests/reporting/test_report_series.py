"""Curves: what the study says, as far as it was run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fabricated_runs import fabricate_definition, fabricate_study

from experiments.reporting.plots import draw
from experiments.reporting.runs import load_runs
from experiments.reporting.series import GREY, colors_of, references_of, series_of
from experiments.reporting.study import Study
from experiments.reporting.summary import Summary
from experiments.studies.definition import find_study


def summary_of(folder: Path, name: str) -> Summary:
    fabricate_definition(folder / name, find_study(name), seeds=1, n_users=30)
    runs = load_runs(folder / name)
    return Summary(runs, Study.read(folder / name, runs))


@pytest.fixture(scope="module")
def k_sensitivity(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    return summary_of(tmp_path_factory.mktemp("runs"), "k_sensitivity")


def test_a_method_has_two_curves_of_one_colour_that_meet_in_one_run(k_sensitivity: Summary) -> None:
    series = {one.label: one for one in series_of(k_sensitivity, "toy")}
    wide, budget = series["mind"], series["mind, K × D = 256"]
    assert [arm.arm for arm in wide.arms] == [f"mind_k{k}" for k in (1, 2, 4, 8, 16)]
    assert wide.x == budget.x == [1, 2, 4, 8, 16]
    assert wide.arms[2] is budget.arms[2]
    assert wide.color == budget.color != series["comirec_sa"].color
    assert (wide.rank, budget.rank) == (0, 1)


def test_references_are_the_arms_on_no_curve(k_sensitivity: Summary) -> None:
    references = [arm.arm for arm in references_of(k_sensitivity, "toy")]
    assert references == ["item_knn", "repeat_then_item_knn"]
    assert all(colors_of(k_sensitivity, "toy")[arm] == GREY for arm in references)


def test_curves_come_in_order_of_the_scale_and_without_what_was_not_run(k_sensitivity: Summary) -> None:
    curve = {"mind_k8": 8, "never_run": 2, "mind_k1": 1}
    part = replace(k_sensitivity, study=replace(k_sensitivity.study, curves={"mind": curve, "none": {"never_run": 1}}))
    (one,) = series_of(part, "toy")
    assert one.x == [1, 8]


def test_curves_of_one_method_are_told_apart_by_colour(tmp_path: Path) -> None:
    series = series_of(summary_of(tmp_path, "regularization"), "toy")
    assert len({one.color for one in series}) == len(series) == 4
    assert {one.rank for one in series} == {0}


def test_places_without_a_scale_are_drawn_as_bars_of_all_datasets(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, "aggregation")
    assert not any(one.scaled for one in series_of(summary, "toy"))
    plots = draw(summary, tmp_path)
    assert [(plot.file, plot.dataset) for plot in plots] == [
        ("hit_rate-20-by-aggregator.png", None), ("hit_rate-50-by-aggregator.png", None),
    ]  # fmt: skip


def test_live_interests_are_drawn_only_where_users_differ(k_sensitivity: Summary, tmp_path: Path) -> None:
    assert not [plot for plot in draw(k_sensitivity, tmp_path) if plot.file.startswith("live-k")]


def test_curves_that_vary_something_else_have_plots_of_their_own(tmp_path: Path) -> None:
    curves = {"by K": {"comirec_sa_k2": 2, "comirec_sa_k4": 4}, "by width": {"comirec_sa_k4": 64, "comirec_sa_k8": 128}}
    plots = [["recall@20", "number of interests K"], ["recall@50", "width"], ["recall@20", "recall@50"]]
    folder = fabricate_study(
        tmp_path / "s", columns=["recall@20", "recall@50"], curves=curves, x_of={"by width": "width"}, plots=plots
    )
    runs = load_runs(folder)
    summary = Summary(runs, Study.read(folder, runs))
    assert summary.axes == ["number of interests K", "width"]
    assert [(one.label, one.axis) for one in series_of(summary, "toy")] == [
        ("by K", "number of interests K"),
        ("by width", "width"),
    ]
    files = sorted(path.file for path in draw(summary, tmp_path))
    assert [file for file in files if "-by-" in file] == [
        "recall-20-by-number-of-interests-K-toy.png",
        "recall-50-by-width-toy.png",
    ]
