"""Reading run directories back: what is refused, what is left out, and in what order they come."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fabricated_runs import PROTOCOL, fabricate_run, fabricate_study

from baselines.errors import BadInput
from experiments.reporting.runs import load_runs, unfinished
from experiments.reporting.study import Study


def test_runs_come_by_dataset_arm_and_seed(tmp_path: Path) -> None:
    for dataset, arm, seed in [("b", "x", 0), ("a", "y", 1), ("a", "y", 0), ("a", "x", 10)]:
        fabricate_run(tmp_path, arm, seed=seed, dataset=dataset)
    keys = [(run.dataset, run.arm, run.seed) for run in load_runs(tmp_path)]
    assert keys == [("a", "x", 10), ("a", "y", 0), ("a", "y", 1), ("b", "x", 0)]


def test_a_run_directory_itself_is_a_folder_of_one_run(tmp_path: Path) -> None:
    run = fabricate_run(tmp_path, "ease")
    assert [loaded.folder for loaded in load_runs(run)] == [run]


def test_unfinished_runs_are_left_out_and_counted(tmp_path: Path) -> None:
    done = fabricate_run(tmp_path, "ease")
    done.with_name("1.partial").mkdir()
    (done.with_name("1.partial") / "results.json").write_text("{")  # killed while it was written
    assert [run.seed for run in load_runs(tmp_path)] == [0]
    assert unfinished(tmp_path) == 1


def test_an_empty_folder_is_refused_and_unfinished_runs_are_mentioned(tmp_path: Path) -> None:
    (tmp_path / "toy" / "ease" / "0.partial").mkdir(parents=True)
    with pytest.raises(BadInput, match=r"no finished run.*1 unfinished"):
        load_runs(tmp_path)
    with pytest.raises(BadInput, match="is not a folder"):
        load_runs(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '{"arm": "ease"}', "\x00\xff"])
def test_a_corrupt_results_file_is_named(tmp_path: Path, text: str) -> None:
    run = fabricate_run(tmp_path, "ease")
    (run / "results.json").write_text(text)
    with pytest.raises(BadInput, match=r"0/results\.json"):
        load_runs(tmp_path)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 cut short"])
def test_a_corrupt_array_file_is_named_when_it_is_read(tmp_path: Path, damage: bytes) -> None:
    path = fabricate_run(tmp_path, "ease") / "per_user.npz"
    path.write_bytes(damage)
    (run,) = load_runs(tmp_path)
    with pytest.raises(BadInput, match=r"per_user\.npz"):
        run.per_user("recall@20")


def test_a_missing_record_is_named(tmp_path: Path) -> None:
    (fabricate_run(tmp_path, "ease") / "run.json").unlink()
    with pytest.raises(BadInput, match=r"run\.json"):
        load_runs(tmp_path)


def test_different_data_under_one_name_are_refused(tmp_path: Path) -> None:
    fabricate_run(tmp_path, "ease")
    fabricate_run(tmp_path, "item_knn", fingerprint="fedcba9876543210")
    with pytest.raises(
        BadInput, match=r"differ in fingerprint: 0123456789abcdef in .*ease.* fedcba9876543210 in .*knn"
    ):
        load_runs(tmp_path)


def test_different_protocols_are_refused(tmp_path: Path) -> None:
    fabricate_run(tmp_path, "ease")
    fabricate_run(tmp_path, "item_knn", protocol={**PROTOCOL, "min_interactions": 10})
    with pytest.raises(BadInput, match=r"differ in protocol\.min_interactions: 5 in .* 10 in"):
        load_runs(tmp_path)


def test_the_same_arm_and_seed_twice_is_refused(tmp_path: Path) -> None:
    fabricate_run(tmp_path / "one", "ease")
    fabricate_run(tmp_path / "two", "ease")
    with pytest.raises(BadInput, match="is there twice"):
        load_runs(tmp_path)


def test_per_user_arrays_are_what_the_run_wrote(tmp_path: Path) -> None:
    folder = fabricate_run(tmp_path, "ease")
    (run,) = load_runs(tmp_path)
    with np.load(folder / "per_user.npz") as arrays:
        np.testing.assert_array_equal(run.per_user("ndcg@20"), arrays["metric/ndcg@20"].astype(np.float64))
    assert run.per_user("coverage@50") is None


def test_a_folder_without_a_study_file_is_a_study_of_its_arms(tmp_path: Path) -> None:
    fabricate_run(tmp_path / "plain", "b")
    fabricate_run(tmp_path / "plain", "a")
    study = Study.read(tmp_path / "plain", load_runs(tmp_path))
    assert (study.name, list(study.arms), study.baseline) == ("plain", ["a", "b"], None)


def test_a_run_of_its_own_is_named_by_its_folder(tmp_path: Path) -> None:
    path = fabricate_run(tmp_path, "ease") / "results.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "study": None}))
    assert Study.read(path.parent, load_runs(path.parent)).name == "0"


def test_an_unknown_key_of_a_study_file_is_refused(tmp_path: Path) -> None:
    folder = fabricate_study(tmp_path / "k", seeds=1)
    told = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps({**told, "basline": "x"}))
    with pytest.raises(BadInput, match="basline"):
        Study.read(folder, load_runs(folder))
