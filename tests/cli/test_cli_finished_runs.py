"""A finished run, used again: evaluated, asked for recommendations, reported; and what happens when it is damaged."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import BRIEF, SMALL, Command, Runs, every_method_in_time

from experiments.studies.definition import COLUMNS

RUN_FILES = {"config.yaml", "run.json", "results.json", "per_user.npz", "model"}


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_training_prints_the_table_and_says_where_the_run_lies(command: Command, tmp_path: Path) -> None:
    said = command("train", "--method=comirec_sa", *SMALL, *BRIEF, "--out", tmp_path / "run", "--format=json")
    assert said.status == 0
    table = json.loads(said.out)
    results = read(tmp_path / "run/results.json")
    shown = {row["metric"]: row["test"] for row in table["rows"]}
    assert shown == {metric: results["test"][metric] for metric in COLUMNS}
    assert f"\nRun: {tmp_path / 'run'} (8 of {len(results['test'])} metrics; " in said.err
    assert {path.name for path in (tmp_path / "run").iterdir()} == RUN_FILES | {"metrics.jsonl"}
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@every_method_in_time
def test_evaluating_again_gives_the_same_numbers_to_the_last_bit(command: Command, finished: Runs, method: str) -> None:
    results = read(finished(method) / "results.json")
    said = command("evaluate", finished(method), "--format=json")
    assert said.status == 0, said.err
    rows = json.loads(said.out)["rows"]
    assert {row["metric"]: row["test"] for row in rows} == results["test"]
    assert {row["metric"]: row["validation"] for row in rows if row["validation"] is not None} == results["validation"]
    errors = {row["metric"]: row["test standard error"] for row in rows if row["test standard error"] is not None}
    assert errors == results["test_standard_errors"]


def test_evaluating_at_other_cutoffs_changes_what_is_asked_for_and_nothing_else(
    command: Command, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    flags = ["--evaluation.cutoffs=[5, 20]", "--evaluation.head_share=0.3", "--evaluation.metrics=[recall, gini]"]
    assert command("train", "--method=item_knn", *SMALL, *flags, "--out", run).status == 0
    again = {row["metric"] for row in json.loads(command("evaluate", run, "--format=json").out)["rows"]}
    assert again == set(read(run / "results.json")["test"])
    said = command("evaluate", run, "--evaluation.cutoffs=[10, 20, 50]", "--format=json")  # the defaults, said aloud
    assert {row["metric"] for row in json.loads(said.out)["rows"]} == {
        f"{name}@{n}{subset}" for n in (10, 20, 50)
        for name, subsets in {"recall": ["", ":novel", ":head30", ":mid30", ":tail40", ":tail70"], "gini": [""]}.items()
        for subset in subsets
    }  # fmt: skip


@every_method_in_time
def test_recommendations_are_those_of_the_ranking_and_can_be_read(
    command: Command, finished: Runs, method: str
) -> None:
    with np.load(finished(method) / "per_user.npz") as arrays:
        user = str(arrays["user_id"][0])
    said = command("recommend", finished(method), "--user", user, "--n=7", "--format=json")
    assert said.status == 0, said.err
    latest, *described, top = json.loads(said.out)
    assert [row["age"] for row in latest["rows"]] == list(range(len(latest["rows"])))
    assert [row["rank"] for row in top["rows"]] == list(range(1, len(top["rows"]) + 1))
    scores = [row["score"] for row in top["rows"]]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 7 or method == "history_repeat"
    assert all(row["title"].startswith("Leaf ") and row["categories"].startswith("Top ") for row in top["rows"])
    has_interests = read(finished(method) / "results.json")["interests"] is not None
    assert all((row["interest"] is not None) == has_interests for row in top["rows"])
    assert len(described) == has_interests
    for interests in described:
        importance = [row["importance %"] for row in interests["rows"]]
        assert importance == sorted(importance, reverse=True)
        assert sum(importance) == pytest.approx(100)
        assert {row["interest"] for row in top["rows"]} <= {row["interest"] for row in interests["rows"]}
        assert all(row["nearest items"].count("Leaf ") == 3 for row in interests["rows"])
    known = {row["item"] for row in latest["rows"]}
    assert all(row["in history"] == "yes" for row in top["rows"] if row["item"] in known)


def test_more_items_than_there_are_are_all_items(command: Command, finished: Runs) -> None:
    said = command("recommend", finished("most_popular"), "--user=1", "--n=100000", "--format=json")
    run = read(finished("most_popular") / "run.json")
    assert len(json.loads(said.out)[-1]["rows"]) == run["data"]["items"]


def test_users_may_have_names(command: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [f"ann{u:02},shoe-{i},{t}" for u in range(60) for t, i in enumerate(rng.integers(0, 20, 12))]
    (tmp_path / "log.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n")
    run = tmp_path / "run"
    assert command("train", "--method=item_knn", "--data", tmp_path / "log.csv", "--tracking.mode=disabled",
                   "--out", run).status == 0  # fmt: skip
    said = command("recommend", run, "--user=ann07")
    assert said.status == 0, said.err
    assert "shoe-" in said.out
    assert "unknown user 'ann7': did you mean 'ann" in command("recommend", run, "--user=ann7").error


def test_a_user_who_is_not_there_is_named(command: Command, finished: Runs) -> None:
    assert "unknown user '99999'" in command("recommend", finished("ease"), "--user=99999").error
    assert "--n must be at least 1" in command("recommend", finished("ease"), "--user=1", "--n=0").error


@pytest.mark.parametrize("form", ["md", "latex", "csv", "json"])
def test_every_verb_prints_every_format(command: Command, copied: Runs, form: str) -> None:
    run = copied("comirec_sa")
    for arguments in (["evaluate", run], ["report", run], ["recommend", run, "--user=1"], ["data", "list"], ["doctor"]):
        said = command(*arguments, "--format", form)
        assert said.status in (0, 1), said.err
        if form == "json":
            json.loads(said.out)
        elif form == "csv":
            assert {len(row) for part in said.out.split("\n\n") for row in [*csv.reader(io.StringIO(part))][1:]}
        else:
            assert (r"\begin{tabular}" if form == "latex" else "| :---") in said.out
        assert not said.out.endswith("\n\n")


FLAGS = {
    ("--keep=kept", "--out=x"): "--out is the place of one report",
    ("--document=d.md", "--out=x"): "--out is the place of one report",
    ("--readme=r.md",): "--readme goes with --document",
}


@pytest.mark.parametrize("flags", FLAGS)
def test_flags_of_another_kind_of_report_are_refused(command: Command, tmp_path: Path, flags: tuple[str, ...]) -> None:
    assert FLAGS[flags] in command("report", tmp_path, *flags).error


def test_a_report_of_one_run_and_of_a_folder_of_runs(command: Command, finished: Runs, tmp_path: Path) -> None:
    one = command("report", finished("ease"), "--out", tmp_path / "r1")
    assert "| ease " in one.out
    assert one.err == f"\nReport: {tmp_path / 'r1/report.md'}\n"
    assert {path.name for path in finished("ease").iterdir()} == RUN_FILES  # nothing was added to it
    shutil.copytree(finished("item_knn"), tmp_path / "folder/item_knn")
    shutil.copytree(finished("ease"), tmp_path / "folder/ease")
    both = json.loads(command("report", tmp_path / "folder", "--format=json").out)["rows"]
    assert [row["arm"] for row in both] == ["ease", "item_knn"]
    assert (tmp_path / "folder/report/report.md").exists()


def test_the_doctors_status_says_whether_the_machine_is_ready(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from experiments import doctor as room
    from experiments.doctor import Check, Diagnosis

    assert command("doctor").status == 0
    ill = Diagnosis((Check("torch", "fail", "absent", "pip install torch"),))
    monkeypatch.setattr(room, "doctor", lambda _: ill)
    said = command("doctor")
    assert said.status == 1
    assert "pip install torch" in said.out


DAMAGED = {
    "results.json": "results.json",
    "run.json": "run.json",
    "config.yaml": "config.yaml",  # half a YAML file is still one, of another run
    "model/model.safetensors": "model.safetensors: the saved model cannot be read",
}


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("damage", ["cut", "noise", "gone", "empty"])
@pytest.mark.parametrize("method", ["ease", "comirec_sa"])
def test_a_damaged_file_is_named_in_one_line(
    command: Command, copied: Runs, name: str, damage: str, method: str
) -> None:
    run = copied(method)
    path = run / name
    content = path.read_bytes()
    spoilt = {"cut": content[: len(content) // 2], "noise": bytes(256) + content[256:], "empty": b""}
    path.unlink() if damage == "gone" else path.write_bytes(spoilt[damage])
    for verb in (["evaluate", run], ["recommend", run, "--user=1"]):
        assert DAMAGED[name] in command(*verb).error


def test_per_user_values_that_are_damaged_are_named_where_they_are_needed(
    command: Command, finished: Runs, tmp_path: Path
) -> None:
    for method in ("ease", "item_knn"):
        shutil.copytree(finished(method), tmp_path / "study" / method)
    (tmp_path / "study/ease/per_user.npz").write_bytes(b"cut")
    assert "per_user.npz" in command("report", tmp_path / "study").error
    assert not (tmp_path / "study/report").exists()


def test_data_that_have_changed_since_are_refused(command: Command, tmp_path: Path) -> None:
    log, run = tmp_path / "log.csv", tmp_path / "run"
    rows = "".join(f"{u},{(u * i) % 17},{i}\n" for u in range(1, 41) for i in range(1, 11))
    log.write_text("user_id,item_id,timestamp\n" + rows)
    assert command("train", "--method=ease", "--data", log, "--tracking.mode=disabled", "--out", run).status == 0
    (tmp_path / "moved.csv").write_text(log.read_text())
    log.write_text(log.read_text() + "1,3,99\n")
    assert "the data have changed since" in command("evaluate", run).error
    log.unlink()
    assert "--data" in command("evaluate", run).error
    assert command("evaluate", run, "--data", tmp_path / "moved.csv").status == 0


def test_what_is_no_run_is_said_to_be_none(command: Command, finished: Runs, tmp_path: Path) -> None:
    assert "is not a folder" in command("evaluate", tmp_path / "nowhere").error
    assert "no finished run" in command("evaluate", tmp_path).error
    assert "not a run directory" in command("evaluate", finished("ease").parent).error


def test_a_kept_copy_says_how_to_have_its_model_again(command: Command, copied: Runs, tmp_path: Path) -> None:
    run = copied("comirec_sa")
    assert command("report", run, "--keep", tmp_path / "results").status == 0
    kept = next((tmp_path / "results").rglob("config.yaml.gz"))
    said = command("evaluate", kept.parent).error
    assert "is a kept copy, without a model" in said
    assert f"(gunzip -c {kept} > run.yaml; adaptive-mi train --config run.yaml --out NEW)" in said
    (tmp_path / "run.yaml").write_bytes(gzip.decompress(kept.read_bytes()))
    assert command("train", "--config", tmp_path / "run.yaml", "--out", tmp_path / "again").status == 0
    assert read(tmp_path / "again/results.json") == read(run / "results.json")


@every_method_in_time
def test_numbers_are_finite(finished: Runs, method: str) -> None:
    results = read(finished(method) / "results.json")
    assert all(math.isfinite(value) for value in results["test"].values())
