"""Who is above and who below, in words: as the comparisons and the seeds say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fabricated_runs import fabricate_definition, fabricate_run

from experiments.reporting.comparison import Comparison
from experiments.reporting.repeats import Repeats
from experiments.reporting.runs import load_runs
from experiments.reporting.study import Study
from experiments.reporting.summary import Summary
from experiments.reporting.verdicts import Verdict, verdicts
from experiments.studies.definition import StudyDefinition, find_study


def repeats(folder: Path, **qualities: float) -> dict[str, Repeats]:
    """Three seeds of each arm, whose recall@20 is about its quality."""
    for arm, quality in qualities.items():
        for seed in range(3):
            fabricate_run(folder, arm, quality=quality, seed=seed)
    return {arm.arm: arm for arm in Summary(load_runs(folder), Study(name="s")).repeats}


def compared(
    arm: str, difference: float, adjusted: float, metric: str = "recall@20", over_seeds: float = 0.0
) -> Comparison:
    return Comparison("toy", arm, "rival", metric, 300, difference, 0.0, 0.0, over_seeds, adjusted, adjusted)


def test_arms_are_above_or_below_by_the_test_and_the_best_comes_first(tmp_path: Path) -> None:
    arms = repeats(tmp_path, rival=0.3, low=0.2, high=0.4, higher=0.45, same=0.3)
    found = [compared("low", -0.1, 0.001), compared("high", 0.1, 0.001), compared("higher", 0.15, 0.01)]
    found.append(compared("same", 0.2, 0.05))
    (verdict,) = verdicts(arms["rival"], list(arms.values()), found)
    assert verdict == Verdict("rival", "recall@20", above=["higher", "high"], level=["same"], below=["low"])


def test_a_difference_within_the_noise_of_the_seeds_is_none(tmp_path: Path) -> None:
    arms = repeats(tmp_path, rival=0.3, arm=0.31)
    for factor, above in {1.9: [], 2.1: ["arm"]}.items():
        one = compared("arm", 0.01 * factor, 0.001, over_seeds=0.01)
        (verdict,) = verdicts(arms["rival"], list(arms.values()), [one])
        assert verdict.above == above
        assert verdict.level == [arm for arm in ["arm"] if arm not in above]


def test_where_lower_is_better_above_is_lower(tmp_path: Path) -> None:
    arms = repeats(tmp_path, rival=0.3, arm=0.4)
    (verdict,) = verdicts(arms["rival"], list(arms.values()), [compared("arm", -0.1, 0.001, "gini@50")])
    assert verdict.above == ["arm"]


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    study: StudyDefinition = find_study("k_sensitivity")
    folder = fabricate_definition(tmp_path_factory.mktemp("runs") / "k", study, datasets=("a", "b"), n_users=40)
    runs = load_runs(folder)
    return Summary(runs, Study.read(folder, runs))


def test_a_rival_on_a_curve_is_held_against_its_curve_and_the_studys_own_arms_another_against_all(
    summary: Summary,
) -> None:
    own = {"mean_pooling", "mean_pooling_width_256"}
    assert own == set(summary.study.own)
    for dataset in ("a", "b"):
        named = {one.rival: {*one.above, *one.level, *one.below} for one in summary.verdicts[dataset]}
        assert named["item_knn"] == set(summary.study.arms) - {"item_knn"}
        assert named["mind_k1"] == {"mind_k2", "mind_k4", "mind_k8", "mind_k16"} | own
        at_equal_budget = {"mind_k2_width_128", "mind_k4", "mind_k8_width_32", "mind_k16_width_16"}
        assert named["mind_k1_width_256"] == at_equal_budget | own


def test_verdicts_of_the_baseline_agree_with_the_marks_of_the_table(summary: Summary) -> None:
    (verdict,) = (one for one in summary.verdicts["a"] if one.rival == "item_knn")
    marked = {
        one.arm: one.difference
        for one in summary.against_baseline
        if (one.dataset, one.metric) == ("a", verdict.metric) and one.significant
    }
    assert {*verdict.above} == {arm for arm, difference in marked.items() if difference > 0}
    assert {*verdict.below} == {arm for arm, difference in marked.items() if difference < 0}


def test_one_dataset_has_the_verdicts_it_has_among_several(summary: Summary) -> None:
    assert summary.only("b").verdicts == {"b": summary.verdicts["b"]}


def test_a_rival_that_was_not_run_and_a_metric_that_is_not_shown_have_no_verdict(summary: Summary) -> None:
    study = replace(summary.study, rivals=["nobody"], judged_by=["recall@50"])
    assert Summary(summary.runs, study).verdicts["a"] == []
    study = replace(summary.study, judged_by=["recall@7"])
    assert Summary(summary.runs, study).verdicts["a"] == []
