"""Laws of the numbers in the tables: means, spreads, marks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fabricated_runs import fabricate_run, fabricate_study

from baselines.errors import BadInput
from experiments.evaluation.significance import holm
from experiments.reporting import tables
from experiments.reporting.report import main_table
from experiments.reporting.runs import Run, load_runs
from experiments.reporting.study import Study
from experiments.reporting.summary import Summary
from experiments.reporting.table import Cell


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fabricate_study(tmp_path_factory.mktemp("runs") / "k_sensitivity", seeds=3)


@pytest.fixture(scope="module")
def summary(folder: Path) -> Summary:
    runs = load_runs(folder)
    return Summary(runs, replace(Study.read(folder, runs), judged_by=()))  # every column with a better end is tested


def cells(summary: Summary) -> dict[tuple[str, str], Cell]:
    table = tables.main(summary)
    found = {(str(row[0]), name): row[c] for row in table.rows for c, name in enumerate(table.columns) if c}
    assert all(isinstance(cell, Cell) for cell in found.values())
    return found  # type: ignore[return-value]


def values_of(runs: list[Run], arm: str, metric: str) -> list[float]:
    return [run.results["test"][metric] for run in runs if run.arm == arm]


def test_a_number_is_the_mean_over_seeds_and_its_spread_the_sample_deviation(folder: Path, summary: Summary) -> None:
    values = values_of(load_runs(folder), "comirec_sa_k4", "recall@20")
    mean = sum(values) / 3
    cell = cells(summary)["comirec_sa_k4", "recall@20"]
    assert cell.value == pytest.approx(mean)
    assert cell.spread == pytest.approx((sum((value - mean) ** 2 for value in values) / 2) ** 0.5)


def test_single_seeds_and_methods_without_randomness_show_no_spread(tmp_path: Path, summary: Summary) -> None:
    assert cells(summary)["item_knn", "recall@20"].spread is None
    for seed in range(2):
        fabricate_run(tmp_path, "ease", seed=seed, stochastic=False)
    runs = load_runs(tmp_path)
    assert all(cell.spread is None for cell in cells(Summary(runs, Study.read(tmp_path, runs))).values())


def test_the_order_of_arms_and_runs_changes_no_number(summary: Summary) -> None:
    turned = replace(summary.study, arms=dict(reversed(list(summary.study.arms.items()))))
    other = Summary(list(reversed(summary.runs)), turned)
    assert cells(other) == cells(summary)
    assert set(other.against_baseline) == set(summary.against_baseline)
    assert [row[0] for row in tables.main(other).rows] == [row[0] for row in reversed(tables.main(summary).rows)]


def test_an_arm_left_out_changes_only_the_correction_for_the_number_of_comparisons(summary: Summary) -> None:
    fewer = Summary([run for run in summary.runs if run.arm != "most_popular"], summary.study)
    whole = {(one.arm, one.metric): one for one in summary.against_baseline}
    assert len(fewer.against_baseline) < len(whole)
    for one in fewer.against_baseline:
        same = whole[one.arm, one.metric]
        assert replace(one, adjusted=0) == replace(same, adjusted=0)
        assert one.p <= one.adjusted <= same.adjusted


def test_all_comparisons_with_an_arm_are_one_family(summary: Summary) -> None:
    found = summary.against_baseline
    assert len({one.arm for one in found}) > 1
    adjusted = holm(np.array([one.p for one in found]))
    assert [one.adjusted for one in found] == pytest.approx(adjusted.tolist())


def test_marks_appear_where_and_only_where_users_and_seeds_tell_arms_apart(summary: Summary) -> None:
    expected: dict[tuple[str, str], str] = {}
    for found in summary.against_baseline:
        if found.adjusted < 0.05 and abs(found.difference) >= 2 * found.over_seeds:
            expected[found.arm, found.metric] = "↑" if found.difference > 0 else "↓"
    for found in summary.best_against_second:
        if found.adjusted < 0.05 and abs(found.difference) >= 2 * found.over_seeds:
            expected[found.arm, found.metric] = expected.get((found.arm, found.metric), "") + "†"
    assert {key: cell.mark for key, cell in cells(summary).items() if cell.mark} == expected
    assert {"↑", "↓", "†"} <= set("".join(expected.values()))
    assert any(found.adjusted >= 0.05 for found in summary.against_baseline)


def test_clones_of_the_baseline_get_no_mark(tmp_path: Path) -> None:
    for arm in ("baseline", "clone"):
        fabricate_run(tmp_path, arm, stochastic=False)
    runs = [run for run in load_runs(tmp_path) if run.arm == "baseline"]
    twin = replace(runs[0], results={**runs[0].results, "arm": "clone"})
    found = Summary([*runs, twin], Study(name="s", baseline="baseline"))
    assert [one.adjusted for one in found.against_baseline] == [1.0] * len(found.against_baseline)
    assert not any(cell.mark for cell in cells(found).values())


def test_adjusted_p_values_are_never_below_the_raw_ones(summary: Summary) -> None:
    assert all(found.p <= found.adjusted <= 1 for found in (*summary.against_baseline, *summary.best_against_second))


def test_a_difference_is_over_the_users_for_whom_the_metric_is_defined(folder: Path, summary: Summary) -> None:
    (found,) = (
        one for one in summary.against_baseline if (one.arm, one.metric) == ("adaptive_hdbscan", "recall@20:novel")
    )
    ours = [
        np.load(folder / f"toy/adaptive_hdbscan/{seed}/per_user.npz")["metric/recall@20:novel"] for seed in range(3)
    ]
    theirs = np.load(folder / "toy/item_knn/0/per_user.npz")["metric/recall@20:novel"]
    differences = [sum(float(values[u]) for values in ours) / 3 - float(theirs[u]) for u in range(len(theirs))]
    defined = [difference for difference in differences if difference == difference]
    assert found.n_users == len(defined) < len(theirs)
    assert found.difference == pytest.approx(sum(defined) / len(defined))
    assert found.low <= found.difference <= found.high


def test_only_what_a_study_judges_by_is_tested(folder: Path, summary: Summary) -> None:
    judged = Summary(summary.runs, Study.read(folder, summary.runs))
    assert judged.study.judged_by == judged.tested == ["recall@20"]
    assert {one.metric for one in (*judged.against_baseline, *judged.best_against_second)} == {"recall@20"}
    assert len(summary.tested) > 1


def test_users_are_paired_by_id_and_not_by_place(tmp_path: Path) -> None:
    folder = fabricate_study(tmp_path / "k", seeds=1)
    runs = load_runs(folder)
    before = Summary(runs, Study.read(folder, runs)).against_baseline
    path = folder / "toy" / "adaptive_hdbscan" / "0" / "per_user.npz"
    with np.load(path) as arrays:
        turned = {key: arrays[key][::-1] for key in arrays}
    np.savez(path, **turned)
    runs = load_runs(folder)
    assert Summary(runs, Study.read(folder, runs)).against_baseline == before


def test_different_test_users_are_refused(tmp_path: Path) -> None:
    fabricate_run(tmp_path, "ease")
    fabricate_run(tmp_path, "item_knn", n_users=299)
    with pytest.raises(BadInput, match="different users"):
        main_table(load_runs(tmp_path), Study(name="s", baseline="ease"))


def test_an_arm_whose_configuration_changes_between_seeds_is_refused(tmp_path: Path) -> None:
    fabricate_run(tmp_path, "a", seed=0, model={"n_interests": 2})
    fabricate_run(tmp_path, "a", seed=1, model={"n_interests": 4})
    with pytest.raises(BadInput, match="configured differently"):
        main_table(load_runs(tmp_path), Study(name="s"))


def test_a_seed_from_before_a_knob_existed_is_one_at_its_default(tmp_path: Path) -> None:
    fabricate_run(tmp_path, "a", seed=0, model={"n_interests": 2})
    fabricate_run(tmp_path, "a", seed=1, model={"n_interests": 2, "temperature": 1.0})
    main_table(load_runs(tmp_path), Study(name="s"))
    fabricate_run(tmp_path, "a", seed=2, model={"n_interests": 2, "temperature": 2.0})
    with pytest.raises(BadInput, match="configured differently"):
        main_table(load_runs(tmp_path), Study(name="s"))


def test_best_and_second_follow_the_better_direction_within_each_dataset(tmp_path: Path) -> None:
    for dataset in ("a", "b"):
        for arm, quality in {"x": 0.2, "y": 0.3, "z": 0.4}.items():
            fabricate_run(tmp_path, arm, quality=quality if dataset == "a" else -quality + 0.6, dataset=dataset)
    table = main_table(load_runs(tmp_path), Study(name="s", columns=["recall@20", "gini@50"]))
    places = [(row[0], row[1], *(cell.emphasis for cell in row[2:] if isinstance(cell, Cell))) for row in table.rows]
    assert places == [
        ("a", "x", "", ""), ("a", "y", "second", "second"), ("a", "z", "best", "best"),
        ("b", "x", "best", "best"), ("b", "y", "second", "second"), ("b", "z", "", ""),
    ]  # fmt: skip


def test_metrics_of_the_whole_corpus_and_live_k_get_no_mark(summary: Summary) -> None:
    assert not any(cell.mark for (_, metric), cell in cells(summary).items() if metric in ("coverage@50", "live K"))
    assert all(cell.emphasis == "" for (_, metric), cell in cells(summary).items() if metric == "live K")


def test_the_main_table_holds_nothing_of_time_or_memory(folder: Path, tmp_path: Path) -> None:
    runs = load_runs(folder)
    slower = [replace(run, record={**run.record, "wall_seconds": {}, "peak_mb": 1, "device": "x"}) for run in runs]
    study = Study.read(folder, runs)
    assert main_table(slower, study) == main_table(runs, study)


def test_a_column_that_a_dataset_has_not_is_left_out_of_its_table_alone(tmp_path: Path) -> None:
    fabricate_run(tmp_path, "a", dataset="new", corpus={"gini@20": 0.5})
    fabricate_run(tmp_path, "a", dataset="old")
    found = Summary(load_runs(tmp_path), Study(name="s", columns=("recall@20", "gini@20")))
    assert found.metrics == found.only("new").metrics == ["recall@20", "gini@20"]
    assert found.only("old").metrics == ["recall@20"]


def test_unknown_columns_and_baselines_are_refused(summary: Summary) -> None:
    with pytest.raises(BadInput, match="did you mean 'recall@20'"):
        tables.main(Summary(summary.runs, replace(summary.study, columns=["recal@20"])))
    with pytest.raises(BadInput, match="baseline 'nobody'"):
        tables.main(Summary(summary.runs, replace(summary.study, baseline="nobody")))


def test_groups_keep_their_order_and_sizes(summary: Summary) -> None:
    (table,) = tables.groups(summary).values()
    assert list(table.columns) == ["arm", "short (100)", "long (200)"]


def test_the_interest_table_lists_only_arms_with_interests(summary: Summary) -> None:
    table = tables.interests(summary)
    assert table is not None
    assert [row[0] for row in table.rows] == ["comirec_sa_k2", "comirec_sa_k4", "comirec_sa_k8", "adaptive_hdbscan"]
    assert [row[1] for row in table.rows][:3] == [2.0, 4.0, 8.0]
    rest = ["effective rank", "dominant share", "collapsed share", "collapsed"]
    assert list(table.columns) == ["arm", "live K", "mean pairwise cosine", *rest]


def test_a_metric_that_one_arm_lacks_is_a_dash_there(tmp_path: Path) -> None:
    fabricate_run(tmp_path, "a")
    path = fabricate_run(tmp_path, "b") / "results.json"
    told = json.loads(path.read_text())
    told["test"]["recall@20"] = None
    path.write_text(json.dumps(told))
    row = main_table(load_runs(tmp_path), Study(name="s")).rows[1]
    assert row[1] == Cell(None)
