"""Re-ranking as a setting of a run, and of what is done with a finished run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import BRIEF, SMALL, Command, Runs

from experiments.studies.definition import COLUMNS

VARIED = ["--reranking.kind=controllable", "--reranking.diversity_weight=0.5", "--reranking.pool=150"]


def table(command: Command, *arguments: object) -> dict[str, Any]:
    """The test column of what a verb prints."""
    said = command(*arguments, "--format=json")
    assert said.status == 0, said.err
    return {row["metric"]: row["test"] for row in json.loads(said.out)["rows"]}


@pytest.mark.parametrize("method", ["item_knn", "comirec_sa"])
def test_a_run_reranks_what_a_finished_run_can_be_asked_to(
    command: Command, finished: Runs, tmp_path: Path, method: str
) -> None:
    brief = BRIEF if method == "comirec_sa" else []
    shown = table(command, "train", f"--method={method}", *SMALL, *brief, *VARIED, f"--out={tmp_path / 'run'}")
    trained = json.loads((tmp_path / "run/results.json").read_text())["test"]
    assert shown == {metric: trained[metric] for metric in COLUMNS if metric in trained}  # item-kNN has no live K
    plain = finished(method)
    assert table(command, "evaluate", plain, *VARIED) == trained
    assert table(command, "evaluate", tmp_path / "run") == trained
    as_it_was = json.loads((plain / "results.json").read_text())["test"]
    assert table(command, "evaluate", tmp_path / "run", "--reranking.kind=none") == as_it_was
    assert table(command, "evaluate", plain, *VARIED, "--reranking.diversity_weight=0") == as_it_was
    assert trained["div@20"] > as_it_was["div@20"]


def test_validation_during_training_is_without_it(command: Command, finished: Runs, tmp_path: Path) -> None:
    run = tmp_path / "run"
    table(command, "train", "--method=comirec_sa", *SMALL, *BRIEF, *VARIED, f"--out={run}")
    for name in ("metrics.jsonl", "model/model.safetensors"):
        assert (run / name).read_bytes() == (finished("comirec_sa") / name).read_bytes()


def test_a_finished_method_with_interests_can_be_reranked_by_its_vectors(command: Command, finished: Runs) -> None:
    plain, varied = (
        table(command, "evaluate", finished("comirec_sa"), f"--reranking.kind={kind}") for kind in ("none", "dpp")
    )
    assert plain != varied
    assert plain.keys() == varied.keys()


def test_recommendations_can_be_reranked(command: Command, finished: Runs) -> None:
    ask = ["recommend", finished("item_knn"), "--user=1", "--n=20", "--format=json"]
    plain, varied = (json.loads(command(*ask, *flags).out)[-1]["rows"] for flags in ([], VARIED))
    assert len({row["categories"] for row in varied}) >= len({row["categories"] for row in plain})
    assert [row["item"] for row in varied] != [row["item"] for row in plain]


def test_what_a_method_or_the_data_cannot_bear_is_refused_before_anything_is_written(
    command: Command, finished: Runs, tmp_path: Path
) -> None:
    run = ["--tracking.mode=disabled", "--out", tmp_path / "run"]
    assert "ItemKNN has none" in command("train", "--method=item_knn", *SMALL, "--reranking.kind=dpp", *run).error
    assert "ItemKNN has none" in command("evaluate", finished("item_knn"), "--reranking.kind=dpp").error
    log = tmp_path / "log.csv"
    log.write_text(
        "user_id,item_id,timestamp\n" + "".join(f"{u},{(u * i) % 17},{i}\n" for u in range(1, 41) for i in range(1, 11))
    )
    said = command("train", "--method=item_knn", "--data", log, "--reranking.kind=controllable", *run)
    assert "these data have none" in said.error
    assert not list(tmp_path.glob("run*"))
    said = command("train", "--method=item_knn", *SMALL, "--reranking.kind=controlable", *run)
    assert "did you mean 'controllable'" in said.error
