"""The point of a curve that validation would serve, held against what it chooses, on test."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from fabricated_runs import fabricate_run

from experiments.reporting.operating_points import operating_points
from experiments.reporting.publish import keep, publish
from experiments.reporting.runs import load_runs
from experiments.reporting.study import Study
from experiments.reporting.summary import Summary

ARMS = {  # on validation: recall, tail recall
    "weaker": (0.30, 0.90),
    "plain": (0.40, 0.10),
    "some": (0.398, 0.15),
    "more": (0.396, 0.20),
    "most": (0.39, 0.30),
    "noise": (0.20, 0.40),
}
STUDY = Study(
    name="s",
    arms={arm: {"method": "comirec_sa"} for arm in ARMS},
    columns=("recall@50", "recall@50:tail80", "coverage@50"),
    judged_by=("recall@50", "recall@50:tail80", "coverage@50"),
    choices={"deterministic": ("plain", "weaker")},
    points={"generated": ("plain", "some", "more", "most"), "noise": ("noise",), "not run": ("never",)},
    points_by="recall@50:tail80",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for arm, (recall, tail) in ARMS.items():
        path = fabricate_run(tmp_path / "s", arm, quality=0.2 + tail) / "results.json"
        validation = {"recall@50": recall, "recall@50:tail80": tail}
        path.write_text(json.dumps({**json.loads(path.read_text()), "validation": validation}))
    return tmp_path / "s"


def test_of_the_points_that_keep_accuracy_on_validation_the_one_with_most_is_taken(folder: Path) -> None:
    summary = Summary(load_runs(folder), STUDY)
    table = operating_points(summary, "toy")
    assert table is not None
    means = {arm.arm: arm for arm in summary.repeats}
    assert [row[:4] for row in table.rows] == [[m, "generated", "more", 0.2] for m in STUDY.judged_by]
    for metric, *_, ours, theirs, higher, low, high, over_seeds, p in table.rows:
        assert (ours, theirs) == (means["more"].mean(str(metric)), means["plain"].mean(str(metric)))
        assert higher == pytest.approx(100 * (ours / theirs - 1))
        tested = metric != "coverage@50"
        assert [value is not None for value in (low, high, over_seeds, p)] == [tested] * 4
    assert "99% of plain's recall@50" in str(table.title)


def test_the_first_choice_is_not_tested_against_itself(folder: Path) -> None:
    points = {"generated": ("more",), "itself": ("plain",)}
    table = operating_points(Summary(load_runs(folder), replace(STUDY, points=points)), "toy")
    alone = operating_points(Summary(load_runs(folder), replace(STUDY, points={"generated": ("more",)})), "toy")
    assert table is not None
    assert alone is not None
    assert [row for row in table.rows if row[1] == "generated"] == alone.rows, "nor is it one more of Holm's tests"
    assert [row[-1] for row in table.rows if row[1] == "itself"] == [None] * 3


def test_kept_copies_tell_the_same_and_older_ones_nothing(folder: Path, tmp_path: Path) -> None:
    told = operating_points(Summary(load_runs(folder), STUDY), "toy")
    (folder / "study.json").write_text(
        json.dumps({"name": "s", "columns": STUDY.columns, "judged_by": STUDY.judged_by})
    )
    keep(folder, tmp_path / "results")
    kept = Summary(load_runs(tmp_path / "results/s"), STUDY)
    assert operating_points(kept, "toy") == told
    old = [replace(run, results={**run.results, "validation": {}, "fit": {"best_value": 0.1}}) for run in kept.runs]
    assert operating_points(Summary(old, STUDY), "toy") is None
    assert operating_points(Summary(kept.runs, replace(STUDY, points_by=None)), "toy") is None


def test_readme_may_show_them_alone(folder: Path, tmp_path: Path) -> None:
    table = operating_points(Summary(load_runs(folder), STUDY), "toy")
    assert table is not None
    (folder / "study.json").write_text(json.dumps(asdict(STUDY)))
    keep(folder, tmp_path / "results")
    readme = tmp_path / "README.md"
    readme.write_text("<!-- BEGIN s/toy/points -->\n<!-- END s/toy/points -->\n")
    publish(tmp_path / "results", tmp_path / "RESULTS.md", readme)
    assert (
        readme.read_text() == f"<!-- BEGIN s/toy/points -->\n{table.render('md').strip()}\n<!-- END s/toy/points -->\n"
    )
