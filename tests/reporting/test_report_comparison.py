"""What of a difference lies in the seeds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fabricated_runs import fabricate_run

from experiments.reporting.comparison import between
from experiments.reporting.repeats import Repeats
from experiments.reporting.runs import load_runs
from experiments.reporting.study import Study
from experiments.reporting.summary import Summary


def arms(folder: Path, **means: list[float]) -> dict[str, Repeats]:
    """Arms whose recall@20 with seed 0, 1, ... is as given, for all users together."""
    for arm, values in means.items():
        for seed, value in enumerate(values):
            path = fabricate_run(folder, arm, quality=0.5 if arm == "rival" else 0.9, seed=seed) / "results.json"
            results = json.loads(path.read_text())
            results["test"]["recall@20"] = value
            path.write_text(json.dumps(results))
    return {arm.arm: arm for arm in Summary(load_runs(folder), Study(name="s")).repeats}


def test_seeds_that_both_arms_have_are_paired(tmp_path: Path) -> None:
    found = arms(tmp_path, rival=[0.30, 0.40, 0.50], arm=[0.35, 0.46, 0.56])
    (one,) = between([(found["arm"], found["rival"])], "recall@20")
    assert one.over_seeds == pytest.approx(np.std([0.05, 0.06, 0.06], ddof=1))
    assert one.significant, "what seeds do to both arms alike is no noise"


def test_a_difference_that_seeds_do_not_agree_on_is_none(tmp_path: Path) -> None:
    found = arms(tmp_path, rival=[0.5, 0.2], arm=[0.2, 1.5])
    (one,) = between([(found["arm"], found["rival"])], "recall@20")
    assert one.adjusted < 0.05
    assert not one.significant


@pytest.mark.parametrize("rival", [[0.4], [0.4, 0.4, 0.4]])
def test_of_one_seed_the_others_deviation_counts(tmp_path: Path, rival: list[float]) -> None:
    found = arms(tmp_path, rival=rival, arm=[0.3, 0.5, 0.4])
    (one,) = between([(found["arm"], found["rival"])], "recall@20")
    assert one.over_seeds == pytest.approx(0.1)
