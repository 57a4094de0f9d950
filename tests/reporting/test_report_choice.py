"""What validation chooses of several arms, and the study's own arms against it on test."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from fabricated_runs import fabricate_run
from numpy.typing import NDArray

from experiments.reporting.answers import answers
from experiments.reporting.choice import against_chosen, behind_chosen, chosen
from experiments.reporting.publish import keep, publish
from experiments.reporting.runs import load_runs
from experiments.reporting.study import Study
from experiments.reporting.summary import Summary

ARMS = ("k1", "k3", "heuristic", "ours")
STUDY = Study(
    name="k",
    arms={arm: {"method": "comirec_sa"} for arm in ARMS},
    columns=("recall@20",),
    judged_by=("coverage@50", "recall@20"),
    choices={"preset K": ("k1", "k3", "heuristic", "not run"), "of none": ("heuristic", "not run")},
    own=("ours", "not run"),
)


@pytest.fixture(params=["measured", "an older copy, without validation"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """On `a` validation is wrong: it chooses k1 by the mean of two seeds, and k3 is better on test."""

    def run(dataset: str, arm: str, quality: float, validation: float | None, seed: int = 0) -> None:
        path = fabricate_run(tmp_path / "k", arm, quality=quality, seed=seed, dataset=dataset) / "results.json"
        results = json.loads(path.read_text())
        measured = request.param == "measured"
        fit = None if validation is None else {"best_step": 1, "best_value": 0.9 if measured else validation}
        results |= {"fit": fit, "validation": {"recall@50": validation} if measured else {}}
        path.write_text(json.dumps(results))

    for seed in (0, 1):
        run("a", "k1", 0.30, 0.4 + 0.2 * seed, seed)
        run("a", "k3", 0.50, 0.45, seed)
    run("b", "k1", 0.20, 0.1)
    run("b", "k3", 0.40, 0.2)
    for dataset in ("a", "b"):
        run(dataset, "heuristic", 0.9, None)
        run(dataset, "ours", 0.45, 0.9)
    return tmp_path / "k"


@pytest.fixture
def summary(folder: Path) -> Summary:
    return Summary(load_runs(folder), STUDY)


def means(summary: Summary, dataset: str) -> dict[str, float]:
    return {arm.arm: float(arm.mean("recall@20") or 0) for arm in summary.datasets[dataset]}


def test_the_choice_sees_validation_alone_and_only_what_was_measured_there(summary: Summary) -> None:
    assert {name: arm.arm for name, arm in chosen(summary, "a").items()} == {"preset K": "k1"}
    assert {name: arm.arm for name, arm in chosen(summary, "b").items()} == {"preset K": "k3"}


def test_own_arms_are_held_against_the_choice_on_test(summary: Summary) -> None:
    table, test = against_chosen(summary, "a"), means(summary, "a")

    def arm(name: str) -> NDArray[np.float64]:
        return next(arm.values("recall@20") for arm in summary.datasets["a"] if arm.arm == name)

    assert table is not None
    expected = ["preset K (3 of 4 run)", "k1", pytest.approx(0.5), test["k1"], "ours", test["ours"]]
    assert [row[:7] for row in table.rows] == [["recall@20", *expected]]
    higher, low, high, over_seeds, p = table.rows[0][7:]
    assert higher == pytest.approx(100 * (test["ours"] / test["k1"] - 1))
    assert low < higher < high
    assert over_seeds == pytest.approx(100 * np.std(arm("k1"), ddof=1) / test["k1"]), "ours has one seed, k1 has two"
    assert p == pytest.approx(1e-4, rel=0.01)


def test_they_are_held_against_it_on_each_metric_that_is_judged_by(summary: Summary) -> None:
    columns = ("recall@20", "ndcg@20", "coverage@50")
    both = Summary(summary.runs, replace(STUDY, columns=columns, judged_by=(*columns, "live_k")))
    table = against_chosen(both, "a")
    assert table is not None
    assert [(row[0], row[-1] is None) for row in table.rows] == [
        ("recall@20", False),
        ("ndcg@20", False),
        ("coverage@50", True),  # there is no test of what users have together
    ]


def test_one_choice_for_all_datasets_is_told_by_where_it_is_furthest_behind(summary: Summary) -> None:
    table, a, b = behind_chosen(summary), means(summary, "a"), means(summary, "b")
    assert table is not None
    assert list(table.columns) == ["arm", "a", "b", "least"]
    expected = {
        arm: [100 * (test[arm] / test[best] - 1) for test, best in ((a, "k1"), (b, "k3"))]
        for arm in ("k1", "k3", "heuristic", "ours")
    }
    found = {str(row[0]): row[1:] for row in table.rows}
    assert found == {arm: pytest.approx([*values, min(values)]) for arm, values in expected.items()}
    assert behind_chosen(summary.only("a")) is None, "there is no other dataset on which it could fail"


def test_an_own_choice_is_held_against_the_others_by_the_arm_that_validation_chooses_of_it(summary: Summary) -> None:
    choices = {"ours": ("heuristic", "ours"), "preset K": ("k1", "k3"), "k3": ("k3",)}
    study = replace(STUDY, choices=choices, own=("ours", "preset K"))
    table = against_chosen(Summary(summary.runs, study), "a")
    assert table is not None
    assert [(row[1], row[2], row[5]) for row in table.rows] == [("k3", "k3", "ours"), ("k3", "k3", "k1")]


def test_without_choices_nothing_is_said(summary: Summary) -> None:
    for study in (Study(name="k", judged_by=("recall@20",)), Study(name="k", choices=STUDY.choices)):
        none = Summary(summary.runs, study)
        assert against_chosen(none, "a") is None
        assert behind_chosen(none) is None


def test_the_answers_tell_both_and_kept_runs_tell_the_same(summary: Summary, folder: Path, tmp_path: Path) -> None:
    told = "\n".join(answers(summary, [], heading="##"))
    assert "in percent above what validation chooses" in told
    assert told.count("and the study's own arms against it on test") == 2
    keep(folder, tmp_path / "results")
    kept = Summary(load_runs(tmp_path / "results/k"), STUDY)
    assert "\n".join(answers(kept, [], heading="##")) == told


def test_readme_may_show_it_alone(summary: Summary, folder: Path, tmp_path: Path) -> None:
    (folder / "study.json").write_text(json.dumps(asdict(STUDY)))
    keep(folder, tmp_path / "results")
    readme, table = tmp_path / "README.md", against_chosen(summary, "a")
    assert table is not None
    readme.write_text("<!-- BEGIN k/a/choice -->\n<!-- END k/a/choice -->\n")
    publish(tmp_path / "results", tmp_path / "RESULTS.md", readme)
    assert readme.read_text() == f"<!-- BEGIN k/a/choice -->\n{table.render('md').strip()}\n<!-- END k/a/choice -->\n"
