"""What is planted is what was asked for, what is found is counted as is said, and no cost of clustering is left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from command_line import Command
from sklearn.metrics import adjusted_rand_score

from adaptive_mi.extractor import AdaptiveExtractor
from experiments.bench import clustering_cost
from experiments.bench.clustering import MODERATE, RULES, find_labels, planted_tables
from experiments.bench.clustering_cost import PACKAGE, ToldExtractor, cost_of_rules, share_of_step
from experiments.bench.planted import PlantedHistories, adjusted_rand, plant, recovery
from experiments.config import RunConfig
from experiments.reporting.table import Table


def number(value: object) -> float:
    return float(str(value))


def cells(table: Table) -> dict[tuple[object, ...], list[float]]:
    """The curves by rule, L and noise."""
    return {tuple(row[:3]): [number(value) for value in row[3:]] for row in table.rows}


@pytest.mark.parametrize("cosine", [1.0, 0.7, 0.3])
def test_behaviours_of_an_interest_are_as_near_as_is_said_and_others_are_not(cosine: float) -> None:
    made = plant(400, 20, cosine, 0.1, np.random.default_rng(0))
    np.testing.assert_allclose(np.linalg.norm(made.vectors, axis=-1), 1, atol=1e-5)
    product = made.vectors @ made.vectors.transpose(0, 2, 1)  # [B, L, L]
    real = made.labels >= 0
    same = (made.labels[:, :, None] == made.labels[:, None]) & real[:, :, None] & ~np.eye(20, dtype=bool)
    other = made.labels[:, :, None] != made.labels[:, None]
    assert product[same].mean() == pytest.approx(cosine, abs=0.01)
    assert product[other].mean() == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(("length", "most"), [(20, 8), (10, 4), (2, 1)])
def test_every_user_has_its_share_of_noise_and_two_behaviours_of_every_interest(length: int, most: int) -> None:
    made = plant(40, length, 0.5, 0.2, np.random.default_rng(0))
    assert ((made.labels < 0).sum(1) == round(0.2 * length)).all()
    assert np.bincount(made.n_interests).tolist() == [0, *[40 // most] * most]
    for own, K in zip(made.labels, made.n_interests, strict=True):
        counts = np.bincount(own[own >= 0])
        assert len(counts) == K
        assert counts.min() >= 2


def test_the_same_seed_plants_the_same() -> None:
    one, other = (plant(9, 12, 0.5, 0.1, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one.vectors, other.vectors)
    np.testing.assert_array_equal(one.labels, other.labels)


@pytest.mark.parametrize("name", RULES)
def test_interests_at_right_angles_are_recovered_by_every_rule(name: str) -> None:
    """Four of five behaviours each: as many as log2 n, and more than a cluster of any rule needs."""
    rng = np.random.default_rng(0)
    labels = rng.permuted(np.tile(np.repeat(np.arange(4), 5), (30, 1)), axis=1)
    vectors = np.eye(64, dtype=np.float32)[labels] + rng.normal(0, 0.01, (30, 20, 64)).astype(np.float32)
    planted = PlantedHistories(vectors, labels, np.full(30, 4))
    found = recovery(find_labels(AdaptiveExtractor(64, 20, **RULES[name]), planted), planted)
    right = found.exact & found.exact_of_all & (found.error == 0) & (found.agreement == 1)
    right &= ~(found.merged | found.split | found.gathered)
    assert right.mean() >= (0.9 if name == "gap" else 1), "the gap is judged by one standard deviation, and so errs"


def test_a_stray_alone_is_no_cluster_and_every_kind_of_mistake_is_told_apart() -> None:
    """Two interests of three, and two strays: found; merged; split, a stray joining; strays gathered."""
    planted = np.tile([0, 0, 0, 1, 1, 1, -1, -1], (4, 1))
    found = np.array(
        [[0, 0, 0, 1, 1, 1, 2, 3], [0, 0, 0, 0, 0, 0, 1, 2], [0, 0, 0, 1, 1, 2, 2, 3], [0, 0, 0, 1, 1, 1, 2, 2]]
    )
    made = recovery(found, PlantedHistories(np.zeros((4, 8, 2), np.float32), planted, np.full(4, 2)))
    assert made.exact.tolist() == [True, False, False, False]
    assert made.error.tolist() == [0, 1, 1, 1]
    assert made.exact_of_all.tolist() == [False] * 4
    assert made.merged.tolist() == [False, True, False, False]
    assert made.split.tolist() == [False, False, True, False]
    assert made.gathered.tolist() == [False, False, False, True]
    assert made.agreement[[0, 1, 3]].tolist() == [1, 0, 1]


def test_the_rand_index_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    found, planted = rng.integers(0, 4, (50, 12)), rng.integers(-1, 3, (50, 12))
    found[0], planted[:2] = 0, 1
    expected = [adjusted_rand_score(p[p >= 0], f[p >= 0]) for f, p in zip(found, planted, strict=True)]
    np.testing.assert_allclose(adjusted_rand(found, planted), expected, atol=1e-12)


def test_recovery_falls_with_noise_and_where_interests_are_loose() -> None:
    moderate, recovered, any_size, error, agreement = planted_tables(
        0, n_users=160, lengths=[20], noises=[0.0, 0.1, 0.2], cosines=[MODERATE[0], 0.1]
    )
    assert [row[0] for row in moderate.rows] == list(RULES)
    assert moderate.columns[:4] == ["rule", "L", "recovered %", "recovered, any size %"]
    for table in (recovered, any_size, error, agreement):
        assert table.columns == ["rule", "L", "noise", "cosine 0.7", "cosine 0.1"]
        assert list(cells(table)) == [(rule, 20, noise) for noise in ("0%", "10%", "20%") for rule in RULES]
    share, off, alike = cells(recovered), cells(error), cells(agreement)
    for rule in ("distance", "distance-0.8", "gap", "hdbscan-2"):
        assert share[rule, 20, "0%"][0] > share[rule, 20, "0%"][1], "near ones are found sooner"
        assert off[rule, 20, "0%"][0] < off[rule, 20, "0%"][1]
        assert alike[rule, 20, "0%"][0] > alike[rule, 20, "0%"][1]
    for rule in ("distance-0.8", "gap", "hdbscan-2"):
        assert share[rule, 20, "0%"][0] > share[rule, 20, "20%"][0]
    assert share["distance", 20, "10%"][0] >= 95, "the default rule at moderate separation and noise"
    for row in moderate.rows:
        assert number(row[2]) == share[str(row[0]), 20, "10%"][0]


@pytest.fixture
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in {"_B": 16, "_TRAINED": 1, "_BATCHES": 2, "_TURNS": 1, "_RULE_TURNS": 1, "_CALLS": 2}.items():
        monkeypatch.setattr(clustering_cost, name, size)
    monkeypatch.setattr(clustering_cost, "_BEHAVIOURS", 60)


@pytest.mark.usefixtures("_brief")
def test_the_parts_of_a_step_are_all_of_it_and_a_log_that_is_not_there_is_skipped(
    configure: Callable[..., RunConfig],
) -> None:
    config = configure("adaptive")
    table = share_of_step(replace(config, data=replace(config.data, source="synthetic")))
    full, missing = table.rows
    assert full[1] == 20
    assert 1 <= number(full[2]) <= 16
    assert sum(number(share) for share in full[4:7]) == pytest.approx(100)
    assert number(full[7]) > 0
    assert "skipped" in str(missing[0])
    assert set(missing[1:]) == {None}


def test_told_its_own_labels_the_extractor_does_as_ever() -> None:
    torch.manual_seed(0)
    extractor, history = ToldExtractor(8, 6), torch.randn(3, 6, 8)
    mask = torch.tensor([[True] * n + [False] * (6 - n) for n in (6, 3, 1)])
    found = extractor(history, mask)
    extractor.known = extractor.cluster(history[mask], mask).labels
    told = extractor(history + 0 * history, mask)
    assert torch.equal(found.vectors, told.vectors)
    extractor.known = torch.zeros_like(extractor.known)
    assert extractor(history, mask).vectors.shape[1] == 1


@pytest.mark.usefixtures("_brief")
def test_every_rule_is_timed_at_every_length_beside_the_package() -> None:
    table = cost_of_rules(0, (6, 9))
    assert [row[0] for row in table.rows] == [6] * 7 + [9] * 7
    for row in table.rows:
        assert number(row[2]) > 0
        assert number(row[3]) == 1 or row[1] != PACKAGE


@pytest.mark.parametrize("flag", ["--model.max_distance=0.5", "--method=mind"])
def test_what_the_benchmark_decides_itself_is_refused(command: Command, flag: str) -> None:
    assert "cannot be set here: every method" in command("bench", "clustering", flag).error
