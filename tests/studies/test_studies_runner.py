"""A study is its arms x seeds, each run once; interrupted anywhere, it ends with the same table."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import BRIEF, SMALL, Apart, Command

from baselines.errors import BadInput
from experiments.cli.overrides import parse_overrides
from experiments.registry import find_method
from experiments.reporting import report
from experiments.reporting.publish import keep
from experiments.studies.definition import StudyDefinition, find_study
from experiments.studies.runner import plan

STUDY = ["study", "similarity", *SMALL, *BRIEF]
PLAIN = "import experiments.reporting.report as r; r.draw = lambda *_: []\n"
"""Reports without pictures, which take most of the time and have tests of their own."""

KILL = (
    PLAIN
    + """
import os, signal
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
def after(n, act):
    calls = []
    return lambda *a, **k: die() if calls.append(1) or len(calls) > n else act(*a, **k)
"""
)
MOMENTS = {
    "between two runs": "import experiments.studies.runner as r; r.execute = after(3, r.execute)",
    "within a training": "import experiments.training.fit as f; f.save_checkpoint = after(2, f.save_checkpoint)",
    "within an evaluation": "import experiments.runs as r; r.evaluate = after(3, r.evaluate)",
    "within the report": "import experiments.reporting.report as r; r.draw = die",
    "before the report gets its name": "from pathlib import Path; Path.replace = die",
}


@pytest.fixture(scope="module", autouse=True)
def _without_pictures() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(report, "draw", lambda *_: [])
        yield


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the study has been run, not to be written to."""
    from experiments.__main__ import main

    folder = tmp_path_factory.mktemp("done")
    assert main([*STUDY, f"--out={folder}/runs"]) == 0
    return folder


def tables(folder: Path) -> dict[str, bytes]:
    """What the report says of the results; not of cost and commands, which may differ."""
    files = (folder / "runs/similarity/report").iterdir()
    return {path.name: path.read_bytes() for path in files if path.stem not in ("cost", "report")}


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if "report" not in path.parts}


def test_a_study_killed_at_every_kind_of_moment_ends_with_the_same_table(done: Path, tmp_path: Path) -> None:
    for moment in MOMENTS.values():
        assert Apart(tmp_path, *STUDY, "--resume", code=KILL + moment).end().status == -signal.SIGKILL
    last = Apart(tmp_path, *STUDY, "--resume", code=PLAIN).end()
    assert last.status == 0, last.err
    assert tables(tmp_path) == tables(done)
    assert last.out == (done / "runs/similarity/report/main.md").read_text()
    left = [path.name for path in tmp_path.rglob("*") if ".partial" in path.name or path.name.endswith(".tmp")]
    assert left == []


def test_a_finished_study_is_not_run_again(command: Command, done: Path) -> None:
    before = times(done / "runs/similarity/synthetic")
    said = command(*STUDY, "--resume", f"--out={done}/runs")
    assert said.status == 0
    assert said.out == (done / "runs/similarity/report/main.md").read_text()
    assert said.err == f"\nReport: {done}/runs/similarity/report/report.md\n"
    assert times(done / "runs/similarity/synthetic") == before


def test_more_seeds_keep_what_was_run_and_what_was_kept_of_it(command: Command, done: Path, tmp_path: Path) -> None:
    shutil.copytree(done / "runs", tmp_path / "runs")
    keep(done / "runs/similarity", tmp_path)
    shutil.rmtree(tmp_path / "runs/similarity/synthetic/comirec_sa_dot_soft")
    for name in ("comirec_sa_dot_soft", "test_users.npz"):
        shutil.move(tmp_path / "similarity/synthetic" / name, tmp_path / "runs/similarity/synthetic")
    before = times(tmp_path / "runs/similarity/synthetic")
    said = command(*STUDY, "--resume", "--seeds=2", f"--out={tmp_path}/runs", "--format=json")
    assert said.status == 0
    after = times(tmp_path / "runs/similarity/synthetic")
    assert {path: after[path] for path in before if path.is_file()} == {
        path: time for path, time in before.items() if path.is_file()
    }
    rows = {row["arm"]: row for row in json.loads(said.out)["rows"]}
    assert rows["comirec_sa_dot_soft"]["recall@20 sd"] is not None
    assert rows["item_knn"]["recall@20 sd"] is None
    assert "over 2 seeds" in json.loads(said.out)["title"]


def test_arms_may_be_run_a_few_at_a_time_and_end_in_the_same_table(
    command: Command, done: Path, tmp_path: Path
) -> None:
    arms = list(find_study("similarity").arms)
    for some in (arms[3:], arms[:3]):
        said = command(*STUDY, "--resume", f"--arms={','.join(some)}", f"--out={tmp_path}/runs")
        assert said.status == 0, said.err
    assert tables(tmp_path) == tables(done)
    misspelt = command(*STUDY, "--resume", "--arms=item_kn", f"--out={tmp_path}/runs").error
    assert "item_kn" in misspelt
    assert "item_knn" in misspelt


REFUSED = {
    (): "exists already and is not overwritten; add --resume",
    ("--resume", "--training.max_steps=9"): "was run with other settings (training.max_steps 12, now 9)",
}


@pytest.mark.parametrize("flags", REFUSED)
def test_runs_that_are_there_are_neither_overwritten_nor_mixed(
    command: Command, done: Path, flags: tuple[str, ...]
) -> None:
    before = times(done)
    assert REFUSED[flags] in command(*STUDY, *flags, f"--out={done}/runs").error
    assert times(done) == before


def test_two_datasets_share_a_study_and_each_has_its_table(command: Command, done: Path, tmp_path: Path) -> None:
    shutil.copytree(done / "runs", tmp_path / "runs")
    log = tmp_path / "shop.csv"
    rows = "".join(f"{u},{(u * i + i * i) % 23},{i}\n" for u in range(1, 61) for i in range(1, 11))
    log.write_text("user_id,item_id,timestamp\n" + rows)
    said = command("study", "similarity", "--data", log, *SMALL, *BRIEF, "--resume", f"--out={tmp_path}/runs")
    assert said.status == 0, said.err
    assert "(shop)" in said.out
    assert "synthetic" not in said.out
    both = (tmp_path / "runs/similarity/report/main.csv").read_text()
    assert {line.partition(",")[0] for line in both.splitlines()[1:]} == {"shop", "synthetic"}
    again = command(*STUDY, "--resume", f"--out={tmp_path}/runs")
    assert again.out == (done / "runs/similarity/report/main.md").read_text()


def test_columns_that_are_not_measured_are_left_out_and_said(command: Command, tmp_path: Path) -> None:
    flags = ["--evaluation.metrics=[recall, live_k]", "--evaluation.cutoffs=[20]"]
    said = command(*STUDY, *flags, f"--out={tmp_path}", "--format=json")
    assert said.status == 0
    assert {"recall@20", "live K"} <= set(json.loads(said.out)["rows"][0])
    assert "note: not in the table, since evaluation leaves it out: recall@50, ndcg@20," in said.err


def test_a_method_that_declines_the_data_is_left_out_and_the_study_goes_on(command: Command, tmp_path: Path) -> None:
    brief = [flag for flag in BRIEF if "width" not in flag]  # which an arm decides
    compare = ["study", "compare", *SMALL, *brief, f"--out={tmp_path}", "--model.max_items=10", "--format=json"]
    compare.append("--arms=item_knn,ease,mean_pooling")
    first = command(*compare)
    assert first.status == 0, first.err
    assert "note: ease, seed 0, is left out: EASE" in first.err
    arms = [row["arm"] for row in json.loads(first.out)["rows"]]
    assert arms == ["item_knn", "mean_pooling"]
    assert "Left out: ease on synthetic" in (tmp_path / "compare/report/report.md").read_text()
    assert command(*compare, "--resume").out == first.out
    assert not (tmp_path / "compare/synthetic/ease/0.partial").exists()


def test_a_training_that_diverges_is_left_out_and_the_study_goes_on(command: Command, tmp_path: Path) -> None:
    brief = [flag for flag in BRIEF if "width" not in flag]  # which an arm decides
    compare = ["study", "compare", *SMALL, *brief, f"--out={tmp_path}", "--training.learning_rate=1e30"]
    said = command(*compare, "--scoring.similarity=dot", "--arms=mean_pooling,item_knn", "--format=json")
    assert said.status == 0, said.err
    assert "note: mean_pooling, seed 0, is left out: training diverged at step 2" in said.err
    assert [row["arm"] for row in json.loads(said.out)["rows"]] == ["item_knn"]
    assert "Left out: mean_pooling on synthetic" in (tmp_path / "compare/report/report.md").read_text()


BAD = {
    "--seeds=0": "--seeds must be at least 1, got 0",
    "--seeds=few": "invalid int value: 'few'",
    "--training.max_stesp=3": "did you mean 'training.max_steps'",
    "--training.max_steps=many": "training.max_steps must be a whole number, got many",
    "--training.max_steps=[": "cannot be read as YAML",
    "--scoring.similarity=dot": "'scoring.similarity' is what the arms of similarity differ in (mean_pooling_dot dot,",
    "--method=ease": "'method' is what the arms of similarity differ in",
    "--seed=3": "say how many with --seeds",
    "--training.monitor=recall@20:nvel": "did you mean 'novel'",
    "--data=ml1m": "did you mean 'ml-1m'",
    "--format=xml": "invalid choice: 'xml'",
    "--config=nowhere.yaml": "nowhere.yaml cannot be read",
    "-x": "expected pairs '--key value'",
}


@pytest.mark.parametrize("flag", BAD)
def test_what_cannot_be_run_is_said_before_the_first_run(command: Command, tmp_path: Path, flag: str) -> None:
    assert BAD[flag] in command(*STUDY, f"--out={tmp_path}/runs", flag).error
    assert not any(tmp_path.iterdir())


def test_files_give_settings_to_a_study_and_flags_win(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("training: {max_steps: 7, patience: 2}\nloss: {weights: {softmax: 2}}\n")
    (tmp_path / "b.yaml").write_text("training: {patience: 3}\n")
    flags = ["--training.max_steps=9", "--config", str(tmp_path / "a.yaml"), f"--config={tmp_path / 'b.yaml'}"]
    for cell in plan(find_study("similarity"), 1, parse_overrides(flags)):
        if find_method(cell.config.method).kind == "extractor":
            assert (cell.config.training.max_steps, cell.config.training.patience) == (9, 3)
            assert cell.config.loss.weights == {"softmax": 2}


def study(arms: Mapping[str, Mapping[str, Any]], **common: Any) -> StudyDefinition:
    return StudyDefinition(name="s", question="?", arms=arms, baseline=next(iter(arms)), common=common)


def test_methods_without_randomness_run_once_and_the_others_with_every_seed() -> None:
    cells = plan(study({"knn": {"method": "item_knn"}, "mean": {"method": "mean_pooling"}}), 3, [])
    assert sorted((cell.arm, cell.config.seed) for cell in cells) == [("knn", 0), ("mean", 0), ("mean", 1), ("mean", 2)]


def test_an_arm_wins_over_the_command_line_wins_over_the_study() -> None:
    arms = {"a": {"method": "mean_pooling", "scoring": {"width": 2}}, "b": {"method": "mean_pooling"}}
    cells = plan(
        study(arms, training={"max_steps": 5, "patience": 6}, scoring={"width": 3}), 1, [{"training.patience": 7}]
    )
    found = {cell.arm: cell.config for cell in cells}
    assert {arm: config.scoring.width for arm, config in found.items()} == {"a": 2, "b": 3}
    assert {(config.training.max_steps, config.training.patience) for config in found.values()} == {(5, 7)}


def test_a_setting_is_given_to_the_arms_that_know_it_and_must_be_known_to_one() -> None:
    arms = {"a": {"method": "ease"}, "b": {"method": "mean_pooling"}}
    cells = plan(study(arms), 1, [{"model.l2": 3, "training.max_steps": 4}])
    assert cells[0].config.model["l2"] == 3
    assert cells[1].config.training.max_steps == 4
    with pytest.raises(BadInput, match=r"did you mean 'model\.l2'"):
        plan(study(arms), 1, [{"model.l": 3}])


def test_arms_that_differ_in_serving_alone_share_a_training_and_end_as_if_each_had_its_own(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms: dict[str, dict[str, Any]] = {
        "plain": {"method": "mean_pooling"},
        "moved": {"method": "mean_pooling", "serving": {"jitter": 0.5}},
        "varied": {"method": "mean_pooling", "reranking": {"kind": "controllable"}},
        "longer": {"method": "mean_pooling", "training": {"batch_size": 8}},
    }
    monkeypatch.setattr("experiments.cli.study.find_study", lambda _: study(arms))
    brief = [flag for flag in BRIEF if "batch_size" not in flag]
    assert command("study", "s", *SMALL, *brief, f"--out={tmp_path}").status == 0
    runs = {arm: tmp_path / "s/synthetic" / arm / "0" for arm in arms}
    fitted_in = {arm: json.loads((run / "run.json").read_text())["fitted_in"] for arm, run in runs.items()}
    assert fitted_in == {"plain": None, "moved": str(runs["plain"]), "varied": str(runs["plain"]), "longer": None}
    alone = tmp_path / "alone"
    flags = ["--method=mean_pooling", "--serving.jitter=0.5", "--training.batch_size=256"]
    assert command("train", *SMALL, *brief, *flags, f"--out={alone}").status == 0
    for name in ("metrics.jsonl", "config.yaml", "model/model.safetensors", "per_user.npz"):
        assert (runs["moved"] / name).read_bytes() == (alone / name).read_bytes(), name
    told, by_itself = (json.loads((run / "results.json").read_text()) for run in (runs["moved"], alone))
    assert {**told, "arm": None, "study": None} == {**by_itself, "arm": None, "study": None}
    for asked in ([], ["--arms=moved"]):  # alone, too: what an arm that is not asked for has trained is there
        shutil.rmtree(runs["moved"])
        assert command("study", "s", *SMALL, *brief, *asked, f"--out={tmp_path}", "--resume").status == 0
        assert json.loads((runs["moved"] / "results.json").read_text()) == told
        assert json.loads((runs["moved"] / "run.json").read_text())["fitted_in"] == str(runs["plain"])


def test_what_a_study_beside_it_has_trained_on_the_same_data_is_not_trained_again(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms: dict[str, dict[str, Any]] = {name: {"method": "mean_pooling"} for name in ("first", "other")}
    arms["other"]["training"] = {"min_history": 2}
    first = study({"first": arms["first"]})
    monkeypatch.setattr("experiments.cli.study.find_study", lambda name: replace(study(arms), name=name))

    def fitted_in(out: Path) -> dict[str, str | None]:
        assert command("study", "second", *SMALL, *BRIEF, f"--out={out}").status == 0
        runs = {arm: out / "second/synthetic" / arm / "0" for arm in arms}
        return {arm: json.loads((run / "run.json").read_text())["fitted_in"] for arm, run in runs.items()}

    trained = tmp_path / "runs/first/synthetic/first/0"
    with monkeypatch.context() as patched:
        patched.setattr("experiments.cli.study.find_study", lambda name: replace(first, name=name))
        assert command("study", "first", *SMALL, *BRIEF, f"--out={tmp_path}/runs").status == 0
    assert fitted_in(tmp_path / "runs") == {"first": str(trained), "other": None}
    told = json.loads((tmp_path / "runs/second/synthetic/first/0/results.json").read_text())
    assert told["study"] == "second"
    assert told == {**json.loads((trained / "results.json").read_text()), "study": "second"}
    for name in ("metrics.jsonl", "config.yaml", "model/model.safetensors", "per_user.npz"):
        assert (tmp_path / "runs/second/synthetic/first/0" / name).read_bytes() == (trained / name).read_bytes(), name

    elsewhere = tmp_path / "changed/first/synthetic/first/0"
    shutil.copytree(trained, elsewhere)
    record = json.loads((elsewhere / "run.json").read_text())
    record["data"]["fingerprint"] = "of other data"
    (elsewhere / "run.json").write_text(json.dumps(record))
    assert fitted_in(tmp_path / "changed") == {"first": None, "other": None}
    (elsewhere / "run.json").write_text("{")
    shutil.rmtree(tmp_path / "changed/second")
    answer = command("study", "second", *SMALL, *BRIEF, f"--out={tmp_path}/changed")
    assert answer.status == 2
    assert f"cannot read {elsewhere / 'run.json'}" in answer.err
