"""Studies that start from tuned settings, and the files that hold them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import BRIEF, SMALL, Command

from baselines.errors import BadInput
from experiments.reporting import report
from experiments.settings import flatten
from experiments.studies.definition import StudyDefinition
from experiments.studies.runner import plan
from experiments.tuning import tuned
from experiments.tuning.tuned import read_tuned, write_tuned

ARMS = {
    "two": {"method": "comirec_sa", "model": {"n_interests": 2}},
    "mean": {"method": "mean_pooling"},
    "popular": {"method": "most_popular"},
}
STUDY = StudyDefinition(name="s", question="?", arms=ARMS, baseline="mean", common={"scoring": {"dropout": 0.1}})
TUNED: dict[str, dict[str, Any]] = {
    "comirec_sa": {
        "method": "comirec_sa",
        "model": {"n_interests": 8},
        "training": {"learning_rate": 0.5, "batch_size": 7},
        "scoring": {"dropout": 0.4},
        "loss": {"weights": {"routing": 3.0}},
    },
    "mean_pooling": {"method": "mean_pooling", "training": {"batch_size": 9}},
    "most_popular": {"method": "most_popular"},
}


def test_arm_over_command_line_over_study_over_tuned_over_default() -> None:
    cells = plan(STUDY, 1, [{"training.learning_rate": 0.25}], TUNED.__getitem__)
    config = {cell.arm: cell.config for cell in cells}
    assert config["two"].model["n_interests"] == 2
    assert config["two"].training.learning_rate == 0.25
    assert config["two"].scoring.dropout == 0.1
    assert config["two"].training.batch_size == 7
    assert config["two"].loss.weights == {"routing": 3.0}
    assert config["mean"].training.batch_size == 9
    assert config["mean"].training.patience == 4


def test_a_study_records_the_tuned_values_it_ran_with(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(report, "draw", lambda *_: [])
    monkeypatch.setattr("experiments.cli.study.find_study", lambda _: STUDY)
    for name, settings in TUNED.items():
        flat = {key: value for key, value in flatten(settings).items() if key != "method"}
        write_tuned(tmp_path / f"tuned/synthetic/{name}.yaml", name, flat, ["by hand"])
    brief = [flag for flag in BRIEF if "batch_size" not in flag]
    study = ["study", "s", *SMALL, *brief, f"--out={tmp_path}/runs"]
    said = command(*study, "--tuned", f"--tuned-dir={tmp_path}/tuned")
    assert said.status == 0, said.err
    recorded = yaml.safe_load((tmp_path / "runs/s/synthetic/two/0/config.yaml").read_text())
    assert recorded["training"]["batch_size"] == 7
    assert recorded["model"]["n_interests"] == 2
    assert "was run with other settings" in command(*study, "--resume").error  # the defaults are another study


def test_an_untuned_method_is_told_the_command(command: Command, tmp_path: Path) -> None:
    said = command("study", "compare", *SMALL, "--tuned", f"--tuned-dir={tmp_path}/tuned", f"--out={tmp_path}/runs")
    assert "not tuned on synthetic yet: item_knn, repeat_then_item_knn, ease, " in said.error
    assert "'adaptive-mi tune item_knn --data synthetic --trials 12 --tuned-dir" in said.error
    assert not any(tmp_path.iterdir())


def test_arms_that_are_not_tuned_are_left_out_and_said_unless_they_are_asked_for(
    command: Command, tmp_path: Path
) -> None:
    write_tuned(tmp_path / "tuned/synthetic/item_knn.yaml", "item_knn", {"model.n_neighbours": 20}, ["data x"])
    study = ["study", "k_sensitivity", *SMALL, "--tuned", f"--tuned-dir={tmp_path}/tuned", f"--out={tmp_path}/runs"]
    said = command(*study, "--format=json")
    assert said.status == 0, said.err
    assert "note: without " in said.err
    assert "not tuned on synthetic yet: repeat_then_item_knn, mean_pooling, mind, comirec_dr, comirec_sa;" in said.err
    assert [row["arm"] for row in json.loads(said.out)["rows"]] == ["item_knn"]
    refused = command(*study, "--resume", "--arms=item_knn,mind_k4")
    assert "not tuned on synthetic yet: mind;" in refused.error


def test_a_folder_of_tuned_settings_is_not_named_in_vain(command: Command, tmp_path: Path) -> None:
    said = command("study", "compare", *SMALL, f"--tuned-dir={tmp_path}", f"--out={tmp_path}/runs")
    assert "--tuned-dir goes with --tuned" in said.error


def test_a_method_with_nothing_to_choose_needs_no_file(tmp_path: Path) -> None:
    assert read_tuned(tmp_path, "any", "most_popular") == {"method": "most_popular"}


BROKEN = {
    "method: ease\n": "must hold settings of item_knn, found method: ease",
    "model: {window: 3}\n": "must hold settings of item_knn, found method: None",
    "method: item_knn\nmodel: {windw: 3}\n": "did you mean 'model.window'",
    "method: [": "cannot be read as YAML",
    "": "must hold settings",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_tuned_file_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    path = tuned.tuned_path(tmp_path, "d", "item_knn")
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(BadInput, match=re.escape(BROKEN[text])) as raised:
        read_tuned(tmp_path, "d", "item_knn")
    assert str(path) in str(raised.value)


def test_what_is_written_reloads_to_the_same_bits(tmp_path: Path) -> None:
    flat = {"training.learning_rate": 0.1 + 0.2, "loss.weights.routing": 1e-05, "scoring.readout": "hard"}
    write_tuned(tmp_path / "d/remi.yaml", "remi", flat, ["a head: with 'signs' # and all"])
    settings = read_tuned(tmp_path, "d", "remi")
    assert settings["training"]["learning_rate"] == 0.1 + 0.2
    assert settings["loss"]["weights"] == {"routing": 1e-05}


def packaged() -> list[Path]:
    return sorted(tuned.PACKAGED.rglob("*.yaml"))


@pytest.mark.parametrize("path", packaged(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_packaged_file_is_of_a_finished_search_and_reloads(path: Path) -> None:
    read_tuned(tuned.PACKAGED, path.parent.name, path.stem)
    head = path.read_text().splitlines()[0]
    found = re.match(r"# \S+ on \S+: (\d+) of (\d+) trials", head)
    assert "declines" in head or (found and found[1] == found[2])
