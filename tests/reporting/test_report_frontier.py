"""One curve against another at equally many vectors, and how often a user has the same K with another seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fabricated_runs import fabricate_run

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
    assert rows["near"][2:6] == [None] * 4, "nothing is extrapolated to nine vectors"
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


def test_curves_may_be_held_against_each_other_at_equal_accuracy(tmp_path: Path) -> None:
    for arm, quality in (("few", 0.2), ("many", 0.4), ("ours", 0.3)):
        fabricate_run(tmp_path / "k", arm, quality=quality, stochastic=False)
    study = Study(
        name="k", arms={arm: {"method": "comirec_sa"} for arm in ("few", "many", "ours")},
        columns=("recall@20", "coverage@50"), judged_by=("recall@20", "coverage@50"),
        frontiers=(
            ("recall@20", {"generated": ("ours",), "control": ("many", "few")}),
            ("coverage@50", {"generated": ("ours",), "control": ("many", "few")}),
        ),
    )  # fmt: skip
    summary = Summary(load_runs(tmp_path / "k"), study)
    table, other = frontiers(summary, "toy")
    assert [row[2] for row in other.rows] == ["recall@20"]
    assert other.columns[3] == "coverage@50"
    assert [row[2] for row in table.rows] == ["coverage@50"]
    assert table.columns[3] == "recall@20"
    assert "at equal recall@20" in table.columns
    arms = {arm.arm: arm for arm in summary.repeats}
    (x0, y0), (x1, y1), (x, _) = (
        (number(arms[name].mean("recall@20")), number(arms[name].mean("coverage@50")))
        for name in ("few", "many", "ours")
    )
    assert number(table.rows[0][5]) == pytest.approx(y0 + (y1 - y0) * (x - x0) / (x1 - x0))
    assert table.rows[0][7:] == [None, None], "a metric of all users together has no interval over users"


def test_where_accuracy_is_equal_by_these_users_the_interval_lets_the_place_vary_too(tmp_path: Path) -> None:
    for arm, quality in (("few", 0.2), ("many", 0.4), ("ours", 0.3)):
        fabricate_run(tmp_path / "k", arm, quality=quality, stochastic=False)
    curves = {"generated": ("ours",), "control": ("many", "few")}
    study = Study(
        name="k", arms={arm: {"method": "comirec_sa"} for arm in ("few", "many", "ours")},
        columns=("recall@20", "ndcg@20"), judged_by=("recall@20", "ndcg@20"), frontiers=(("recall@20", curves),),
    )  # fmt: skip
    summary = Summary(load_runs(tmp_path / "k"), study)
    (table,) = frontiers(summary, "toy")
    arms = {arm.arm: arm for arm in summary.repeats}
    x, y = (
        {name: np.asarray(arm.per_user(metric), np.float64) for name, arm in arms.items()}
        for metric in ("recall@20", "ndcg@20")
    )
    gap = x["many"].mean() - x["few"].mean()
    share, slope = (x["ours"].mean() - x["few"].mean()) / gap, (y["many"].mean() - y["few"].mean()) / gap
    off = [of["ours"] - share * of["many"] - (1 - share) * of["few"] for of in (y, x)]
    counted = off[0] - slope * off[1]
    drawn = np.random.default_rng(0).integers(0, len(counted), (20_000, len(counted)))
    bounds = np.quantile(counted[drawn].mean(1), [0.025, 0.975])
    row = table.rows[0]
    np.testing.assert_allclose([number(value) for value in row[7:9]], 100 * bounds / number(row[5]), atol=1.5)
    assert np.std(counted) != pytest.approx(np.std(off[0]), rel=0.05), "or the place made no difference"


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
