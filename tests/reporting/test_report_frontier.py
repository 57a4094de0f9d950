"""One curve against another at equally many vectors, and how often a user has the same K with another seed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from fabricated_runs import fabricate_run

from baselines.errors import BadInput
from experiments.reporting.frontier import frontiers
from experiments.reporting.publish import keep
from experiments.reporting.repeats import Repeats
from experiments.reporting.runs import load_runs
from experiments.reporting.stability import between_seeds
from experiments.reporting.study import Study
from experiments.reporting.summary import Summary
from experiments.reporting.table import Cell


def number(value: object) -> float:
    return float(str(value.value if isinstance(value, Cell) else value))


STUDY = Study(
    name="k",
    arms={arm: {"method": "comirec_sa"} for arm in ("k1", "k3", "far", "near", "none")},
    columns=("recall@20", "live_k"),
    judged_by=("recall@20",),
    frontiers=(("live_k", {"adaptive": ("far", "near", "none"), "preset K": ("k1", "k3"), "not run": ("k9",)}),),
)


@pytest.fixture
def summary(tmp_path: Path) -> Summary:
    for arm, quality, live_k in (
        ("k1", 0.2, (1,)), ("k3", 0.4, (3,)), ("far", 0.4, (2,)), ("near", 0.3, (9,)), ("none", 0.9, (2,)),
    ):  # fmt: skip
        fabricate_run(tmp_path / "k", arm, quality=quality, live_k=live_k, stochastic=False)
    return Summary(load_runs(tmp_path / "k"), STUDY)


def test_a_curve_is_held_against_the_other_at_equal_vectors_and_at_an_equal_value(summary: Summary) -> None:
    (table,) = frontiers(summary, "toy")
    assert {row[1] for row in table.rows} == {"preset K"}
    rows = {str(row[0]): row[3:] for row in table.rows}
    arms = {arm.arm: arm.mean("recall@20") for arm in summary.repeats}
    assert None not in arms.values()
    middle = (number(arms["k1"]) + number(arms["k3"])) / 2
    k, value, equal, higher, low, high, fewest, fewer = map(number, rows["far"])
    assert low - 1e-4 < higher < high + 1e-4
    assert (k, value) == (2, arms["far"])
    assert equal == pytest.approx(middle)
    assert higher == pytest.approx(100 * (value / middle - 1))
    assert fewest == pytest.approx(3)
    assert fewer == pytest.approx(100 / 3, abs=0.1)
    assert number(rows["near"][2]) == pytest.approx(arms["k3"]), "three of nine are enough, nothing is extrapolated"
    assert number(rows["near"][7]) < 0, "the other curve is there with fewer"
    assert rows["none"][6:] == [None, None], "the other curve is never as high"


def test_the_interval_at_equal_vectors_is_that_of_the_users_differences_from_the_line(summary: Summary) -> None:
    (table,) = frontiers(summary, "toy")
    arms = {arm.arm: arm for arm in summary.repeats}
    far, k1, k3 = (arms[name].per_user("recall@20") for name in ("far", "k1", "k3"))
    difference = far - (k1 + k3) / 2
    drawn = np.random.default_rng(0).integers(0, len(difference), (20_000, len(difference)))
    bounds = np.quantile(difference[drawn].mean(1), [0.025, 0.975])
    row = next(row for row in table.rows if row[0] == "far")
    equal, shown = number(row[5]), [number(value) for value in row[7:9]]
    np.testing.assert_allclose(shown, 100 * bounds / equal, atol=1.5)


def measured(folder: Path, points: Mapping[str, tuple[float, float]], *, seeds: Sequence[int] = (0,)) -> None:
    """Write runs whose users' recall@20 and ndcg@20 lie about these; ours depend on the seed."""
    rng = np.random.default_rng(0)
    for seed, (arm, means) in product(seeds, points.items()):
        run = fabricate_run(folder, arm, seed=seed, n_users=400)
        told = json.loads((run / "results.json").read_text())
        with np.load(run / "per_user.npz") as arrays:
            written = dict(arrays)
        for metric, mean in zip(("recall@20", "ndcg@20"), means, strict=True):
            values = (mean + 0.01 * seed * (arm == "ours") + rng.normal(0, 0.05, 400)).astype(np.float32)
            written[f"metric/{metric}"], told["test"][metric] = values, float(values.mean())
        np.savez(run / "per_user.npz", **written)
        (run / "results.json").write_text(json.dumps(told))


def against_a_control(folder: Path, *, over: str = "recall@20") -> tuple[Mapping[str, Sequence[object]], Summary]:
    """Hold all arms whose name begins with "our" against the others; return the rows by arm, and the summary."""
    runs = load_runs(folder)
    arms = sorted({run.arm for run in runs})
    ours = tuple(arm for arm in arms if arm.startswith("our"))
    curves = {"generated": ours, "control": tuple(arm for arm in arms if arm not in ours)}
    study = Study(
        name="k", arms={arm: {"method": "comirec_sa"} for arm in arms}, columns=("recall@20", "ndcg@20"),
        judged_by=("ndcg@20",), frontiers=((over, curves),),
    )  # fmt: skip
    summary = Summary(runs, study)
    (table,) = frontiers(summary, "toy")
    assert table.columns[3:6] == [over, "value", f"at no less {over}"]
    return {str(row[0]): row for row in table.rows}, summary


TRADE_OFF = {"accurate": (0.4, 0.2), "wide": (0.2, 0.4)}


def test_curves_may_be_held_against_each_other_at_equal_accuracy(tmp_path: Path) -> None:
    measured(tmp_path, TRADE_OFF | {"ours": (0.3, 0.35)})
    rows, summary = against_a_control(tmp_path)
    x, y = ({arm.arm: arm.mean(metric) for arm in summary.repeats} for metric in ("recall@20", "ndcg@20"))
    share = (x["ours"] - x["wide"]) / (x["accurate"] - x["wide"])
    expected = y["wide"] + share * (y["accurate"] - y["wide"])
    assert number(rows["ours"][5]) == pytest.approx(expected)
    assert number(rows["ours"][6]) == pytest.approx(100 * (y["ours"] / expected - 1))


def test_a_control_that_hurts_itself_is_not_taken_at_its_worse_points(tmp_path: Path) -> None:
    worse = {"worse": (0.3, 0.1), "worst": (0.15, 0.3)}  # than what the same control has with more accuracy
    measured(tmp_path, TRADE_OFF | worse | {"our_0": (0.3, 0.35), "our_1": (0.18, 0.35), "our_2": (0.5, 0.1)})
    rows, summary = against_a_control(tmp_path)
    without, _ = against_a_control(without_arms(tmp_path, *worse))
    assert rows == without
    wide = next(arm.mean("ndcg@20") for arm in summary.repeats if arm.arm == "wide")
    assert number(rows["our_1"][5]) == pytest.approx(wide), "which has it with more accuracy than ours"
    assert rows["our_2"][5:] == [None] * 4, "nothing is as accurate"


def without_arms(folder: Path, *arms: str) -> Path:
    for arm in arms:
        shutil.rmtree(folder / "toy" / arm)
    return folder


def test_where_accuracy_is_equal_by_these_users_the_interval_lets_the_place_vary_too(tmp_path: Path) -> None:
    measured(tmp_path, TRADE_OFF | {"ours": (0.3, 0.35)})
    rows, summary = against_a_control(tmp_path)
    x, y = (
        {arm.arm: np.asarray(arm.per_user(metric), np.float64) for arm in summary.repeats}
        for metric in ("recall@20", "ndcg@20")
    )
    gap = x["accurate"].mean() - x["wide"].mean()
    share = (x["ours"].mean() - x["wide"].mean()) / gap
    slope = (y["accurate"].mean() - y["wide"].mean()) / gap
    off = [of["ours"] - share * of["accurate"] - (1 - share) * of["wide"] for of in (y, x)]
    counted = off[0] - slope * off[1]
    drawn = np.random.default_rng(0).integers(0, len(counted), (20_000, len(counted)))
    bounds = np.quantile(counted[drawn].mean(1), [0.025, 0.975])
    shown = [number(value) for value in rows["ours"][7:9]]
    np.testing.assert_allclose(shown, 100 * bounds / number(rows["ours"][5]), atol=0.4)
    assert np.std(counted) != pytest.approx(np.std(off[0]), rel=0.05), "or the place made no difference"


def test_the_interval_is_wider_where_seeds_differ(tmp_path: Path) -> None:
    widths = []
    for seeds in ((0,), (0, 3)):
        measured(tmp_path / str(len(seeds)), TRADE_OFF | {"ours": (0.3, 0.35)}, seeds=seeds)
        rows, _ = against_a_control(tmp_path / str(len(seeds)))
        low, high = (number(value) for value in rows["ours"][7:9])
        widths.append(high - low)
    assert widths[1] > 2 * widths[0]


def test_arms_of_other_users_are_refused(tmp_path: Path) -> None:
    for arm, quality, n_users in (("few", 0.4, 300), ("many", 0.5, 300), ("ours", 0.3, 299)):
        fabricate_run(tmp_path, arm, quality=quality, n_users=n_users)
    with pytest.raises(BadInput, match="different users"):
        against_a_control(tmp_path)


def test_a_metric_of_all_users_together_has_no_interval(tmp_path: Path) -> None:
    for arm, quality, coverage in (("few", 0.2, 0.9), ("many", 0.4, 0.1), ("ours", 0.3, 0.8)):
        fabricate_run(tmp_path / "k", arm, quality=quality, stochastic=False, corpus={"coverage@50": coverage})
    study = Study(
        name="k", arms={arm: {"method": "comirec_sa"} for arm in ("few", "many", "ours")},
        columns=("recall@20", "coverage@50"), judged_by=("recall@20", "coverage@50"),
        frontiers=(
            ("recall@20", {"generated": ("ours",), "control": ("many", "few")}),
            ("coverage@50", {"generated": ("ours",), "control": ("many", "few")}),
        ),
    )  # fmt: skip
    table, other = frontiers(Summary(load_runs(tmp_path / "k"), study), "toy")
    assert [(row[2], other.columns[3]) for row in other.rows] == [("recall@20", "coverage@50")], "not against itself"
    (row,) = table.rows
    assert row[2] == "coverage@50"
    assert row[5] == pytest.approx(0.5, abs=0.05)
    assert row[7:] == [None, None]


def test_without_two_curves_there_is_no_frontier(summary: Summary) -> None:
    one = {"adaptive": ("far", "near")}
    for study in (Study(name="k"), Study(name="k", judged_by=("recall@20",), frontiers=(("live_k", one),))):
        assert frontiers(Summary(summary.runs, study), "toy") == []


def with_live_k(folder: Path, seed: int, live_k: np.ndarray) -> None:
    run = fabricate_run(folder, "a", seed=seed, live_k=(1, 2), n_users=len(live_k))
    with np.load(run / "per_user.npz") as arrays:
        np.savez(run / "per_user.npz", **arrays, **{"metric/live_k": live_k.astype(np.float32)})


def test_k_between_seeds_is_the_mean_correlation_of_pairs_and_is_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    k = rng.integers(1, 6, (3, 40))
    k[1] = k[0]
    for seed in range(3):
        with_live_k(tmp_path / "s", seed, k[seed])
    r = np.corrcoef(k)
    expected = (r[0, 1] + r[0, 2] + r[1, 2]) / 3
    assert between_seeds(Repeats(load_runs(tmp_path / "s"))) == pytest.approx(expected)
    keep(tmp_path / "s", tmp_path / "kept")
    assert between_seeds(Repeats(load_runs(tmp_path / "kept" / "s"))) == pytest.approx(expected)


def test_of_one_seed_or_one_k_nothing_is_said(tmp_path: Path) -> None:
    with_live_k(tmp_path / "one", 0, np.arange(9))
    assert between_seeds(Repeats(load_runs(tmp_path / "one"))) is None
    for seed in range(2):
        with_live_k(tmp_path / "same", seed, np.full(9, 4))
        fabricate_run(tmp_path / "old", "a", seed=seed, live_k=(1, 2))
    assert between_seeds(Repeats(load_runs(tmp_path / "same"))) is None
    assert between_seeds(Repeats(load_runs(tmp_path / "old"))) is None
