"""Compact per-user metrics: the same bits, by user."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from baselines.errors import BadInput
from experiments.reporting.per_user import FILE, PerUser, write_compact

TABLES = st.integers(0, 12).flatmap(
    lambda n_users: numpy_strategies.arrays(
        np.float32, (2, n_users), elements=st.floats(width=32) | st.sampled_from([0.0, -0.0, 0.5])
    )
)


def write_run(folder: Path, users: list[str], **metrics: np.ndarray) -> PerUser:
    folder.mkdir(parents=True)
    arrays: dict[str, Any] = {f"metric/{name}": row for name, row in metrics.items()}
    np.savez(folder / FILE, user_id=np.array(users, str), **arrays)
    return PerUser(folder)


@given(TABLES, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_every_user_keeps_every_bit(table: np.ndarray, random: object) -> None:
    users = [f"u{u}" for u in range(table.shape[1])]
    random.shuffle(users)  # type: ignore[attr-defined]
    with TemporaryDirectory() as place:
        folder = Path(place)
        run = write_run(folder / "run", users, a=table[0], b=table[1])
        (folder / "d" / "arm" / "0").mkdir(parents=True)
        write_compact(run, ["b", "absent", "a"], folder / "d" / "arm" / "0")
        kept = PerUser(folder / "d" / "arm" / "0")
        order = np.argsort(run.users)
        np.testing.assert_array_equal(kept.users, run.users[order])
        for name, row in zip("ab", table, strict=True):
            found = kept.metric(name)
            assert found is not None
            np.testing.assert_array_equal(found.astype(np.float32).view(np.int32), row[order].view(np.int32))
        assert kept.metric("absent") is None


def test_users_lie_once_beside_the_runs_of_a_dataset_and_others_are_refused(tmp_path: Path) -> None:
    metric = np.array([0.5, 1.0], np.float32)
    for arm, users in {"a": ["x", "y"], "b": ["x", "z"]}.items():
        run = write_run(tmp_path / "runs" / arm, users, recall=metric)
        (tmp_path / "d" / arm / "0").mkdir(parents=True)
        write_compact(run, ["recall"], tmp_path / "d" / arm / "0")
    assert PerUser(tmp_path / "d" / "b" / "0").users.tolist() == ["x", "z"]
    with pytest.raises(BadInput, match=r"does not hold the users that .*/a/0 was tested on"):
        _ = PerUser(tmp_path / "d" / "a" / "0").users
    (tmp_path / "d" / "test_users.npz").unlink()
    with pytest.raises(BadInput, match="keep that run again"):
        _ = PerUser(tmp_path / "d" / "b" / "0").users


def test_a_kept_run_of_five_thousand_users_is_small(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n_targets = rng.integers(1, 5, 5000)
    hits = rng.binomial(n_targets, 0.3)
    recall = (hits / n_targets).astype(np.float32)
    ndcg = np.where(hits > 0, 1 / np.log2(1 + rng.geometric(0.2, 5000)), 0).astype(np.float32)
    users = [str(1_000_000 + u) for u in range(5000)]
    run = write_run(tmp_path / "run", users, recall=recall, ndcg=ndcg, hit=(hits > 0).astype(np.float32))
    (tmp_path / "d" / "arm" / "0").mkdir(parents=True)
    write_compact(run, ["recall", "ndcg", "hit"], tmp_path / "d" / "arm" / "0")
    assert (tmp_path / "d" / "arm" / "0" / FILE).stat().st_size < 8_000
