"""Command line over YAML over defaults; every unknown key is an error; what is printed reloads to the same run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import Command, Runs, every_method_in_time

from experiments.cli.arguments import load_run
from experiments.registry import METHODS


def settings(command: Command, *arguments: object) -> dict[str, Any]:
    """What --print_config says."""
    said = command("train", *arguments, "--print_config")
    assert (said.status, said.err) == (0, "")
    read: dict[str, Any] = yaml.safe_load(said.out)
    return read


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "settings.yaml"
    path.write_text(
        "method: comirec_sa\nseed: 5\ntraining: {max_steps: 7, batch_size: 32}\nmodel: {n_interests: 2}\n"
        "data: {source: ml-1m, synthetic: {n_users: 50}}\n"
    )
    return path


@pytest.mark.parametrize("method", METHODS)
def test_what_is_printed_reloads_to_itself(command: Command, tmp_path: Path, method: str) -> None:
    odd = ["--seed=3", "--evaluation.metrics=[recall, live_k]", "--data.reader.names=[user, item]", "--data.root=null"]
    printed = command("train", "--method", method, *odd, "--print_config").out
    (tmp_path / "printed.yaml").write_text(printed)
    assert command("train", "--config", tmp_path / "printed.yaml", "--print_config").out == printed
    assert load_run(tmp_path / "printed.yaml").evaluation.metrics == ("recall", "live_k")


@every_method_in_time
def test_a_runs_config_is_what_print_config_says_and_makes_the_same_run(
    command: Command, finished: Runs, tmp_path: Path, method: str
) -> None:
    config = finished(method) / "config.yaml"
    assert command("train", "--config", config, "--print_config").out == config.read_text()
    again = command("train", "--config", config, "--out", tmp_path / "again")
    assert again.status == 0
    assert (tmp_path / "again/config.yaml").read_bytes() == config.read_bytes()
    assert (tmp_path / "again/results.json").read_bytes() == (finished(method) / "results.json").read_bytes()


def test_printing_settings_starts_nothing_and_leaves_the_verbs_own_flags_out(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    read = settings(command, "--method=ease", "--out=run", "--resume", "--format=csv")
    assert not {"out", "resume", "format", "config", "print_config"} & read.keys()
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["before", "after"])
def test_the_command_line_wins_over_files_wherever_it_stands(command: Command, file: Path, place: str) -> None:
    flags = ["--training.max_steps=9", "--data", "synthetic"]
    config = ["--config", file]
    read = settings(command, *(flags + config if place == "before" else config + flags))
    assert read["training"]["max_steps"] == 9
    assert read["training"]["batch_size"] == 32
    assert read["training"]["patience"] > 0
    assert read["data"]["source"] == "synthetic"
    assert read["data"]["synthetic"]["n_users"] == 50
    assert (read["seed"], read["model"]["n_interests"]) == (5, 2)


def test_of_two_files_the_later_one_wins_key_by_key(command: Command, file: Path, tmp_path: Path) -> None:
    later = tmp_path / "later.yaml"
    later.write_text("training: {max_steps: 8}\n")
    read = settings(command, "--config", file, f"--config={later}")
    assert (read["training"]["max_steps"], read["training"]["batch_size"]) == (8, 32)
    read = settings(command, "--config", later, "--config", file)
    assert read["training"]["max_steps"] == 7


def test_the_method_of_the_command_line_brings_its_own_knobs(command: Command, tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text("method: comirec_sa\ndata: {source: ml-1m}\n")
    read = settings(command, "--config", tmp_path / "data.yaml", "--method=ease", "--model.l2=7")
    assert (read["method"], read["model"]["l2"], read["data"]["source"]) == ("ease", 7, "ml-1m")


def test_the_short_flags_are_the_long_ones(command: Command) -> None:
    short = settings(command, "--method=ease", "--data", "ml-1m", "--data-root=/d")
    assert short == settings(command, "--method=ease", "--data.source=ml-1m", "--data.root", "/d")


UNKNOWN = {
    "--training.max_stesp=3": "unknown key 'training.max_stesp': did you mean 'training.max_steps'",
    "--max_steps=3": "did you mean 'training.max_steps'",
    "--model.n_interets=3": "did you mean 'model.n_interests'",
    "--data.synthetic.nusers=3": "did you mean 'data.synthetic.n_users'",
    "--evaluation.cutofs=[3]": "did you mean 'evaluation.cutoffs'",
    "--model.n_interest=3": "unknown key 'model.n_interest'",  # no abbreviation
    "--method=comirec_as": "unknown method 'comirec_as': did you mean 'comirec_sa'",
    "--loss.kind=softmax": "unknown loss.kind 'softmax': did you mean 'full_softmax'",
    "--evaluation.metrics=[recal]": "unknown metric 'recal': did you mean 'recall'",
    "--evaluation.group_metrics=[recal]": "unknown metric 'recal': did you mean 'recall'",
    "--data.protocol.split=users": "did you mean 'user'",
    "--tracking.mode=offlin": "did you mean 'offline'",
    "--format=xml": "Known: csv, json, latex, md",
}


@pytest.mark.parametrize("flag", UNKNOWN)
def test_an_unknown_name_on_the_command_line_names_the_nearest(command: Command, tmp_path: Path, flag: str) -> None:
    assert UNKNOWN[flag] in command("train", "--method=comirec_sa", flag, "--out", tmp_path / "run").error
    assert not any(tmp_path.iterdir())


IN_A_FILE = {
    "trainng: {max_steps: 3}": "did you mean 'training.max_steps'",
    "training: {max_step: 3}": "did you mean 'training.max_steps'",
    "data: {synthetic: {nusers: 3}}": "did you mean 'data.synthetic.n_users'",
    "model: {n_interets: 3}": "did you mean 'model.n_interests'",
    "seeds: 3": "did you mean 'seed'",
    "method: comirec_as": "did you mean 'comirec_sa'",
    "training: 3": "training must be a group of keys (max_steps,",
    "training:": "training must be a group of keys (max_steps,",
    "data: ml-1m": "data must be a group of keys (source, root, reader, synthetic, protocol), got ml-1m",
    "data: {synthetic: 3}": "data.synthetic must be a group of keys",
    "training: {max_steps: many}": "training.max_steps must be a whole number, got many",
    "- 1": "must hold settings",
    "": "must hold settings",
    "training: {max_steps: [": "cannot be read as YAML",
}


@pytest.mark.parametrize("text", IN_A_FILE)
def test_what_is_wrong_in_a_file_is_said_although_a_flag_would_override_it(
    command: Command, tmp_path: Path, text: str
) -> None:
    (tmp_path / "f.yaml").write_text(text)
    method = [] if text.startswith("method") else ["--method=comirec_sa"]
    said = command("train", *method, "--training.max_steps=2", "--config", tmp_path / "f.yaml", "--out", tmp_path / "r")
    assert IN_A_FILE[text] in said.error
    assert [path.name for path in tmp_path.iterdir()] == ["f.yaml"]


WRONG = {
    "--training.max_steps=three": "training.max_steps must be a whole number, got three",
    "--training.max_steps=2.5": "must be a whole number",
    "--scoring.temperature=hot": "scoring.temperature must be a number, got hot",
    "--loss.log_q=perhaps": "loss.log_q must be true or false",
    "--evaluation.metrics=recall": "evaluation.metrics must be a list such as [a, b] or null, got recall",
    "--evaluation.cutoffs=20": "evaluation.cutoffs must be a list such as [1, 2], got 20",
    "--evaluation.cutoffs=[20,10]": "ascending",
    "--evaluation.batch_size=0": "batch_size must be at least 1",
    "--training.batch_size=0": "training.batch_size must be a finite number greater than 0",
    "--scoring.width=0": "scoring.width must be a finite number greater than 0",
    "--scoring.init_std=.inf": "scoring.init_std must be a finite number greater than 0, got inf",
    "--scoring.memory_budget_mb=.inf": "scoring.memory_budget_mb must be a finite number",
    "--scoring.power=.nan": "scoring.power must be a finite number of at least 0, got nan",
    "--training.weight_decay=-1": "training.weight_decay must be a finite number of at least 0",
    "--training.threads=-1": "training.threads must be a finite number of at least 0",
    "--data.synthetic.sibling_odds=.inf": "data.synthetic.sibling_odds must be a finite number",
    "--data.synthetic.concentration=.inf": "data.synthetic.concentration must be a finite number",
    "--evaluation.collapse_rank=.nan": "evaluation.collapse_rank must be a finite number",
    "--seed=-1": "seed must not be negative",
    "--seed=1.5": "seed must be a whole number",
    "--data.synthetic.n_users=0": "n_users must be at least 1",
    "--data.protocol.history_share=1.5": "history_share",
    "--config=nowhere.yaml": "nowhere.yaml cannot be read: No such file or directory",
    "--method": "--method needs a value",
}


@pytest.mark.parametrize("flag", WRONG)
def test_a_wrong_value_is_named_with_what_was_expected(command: Command, tmp_path: Path, flag: str) -> None:
    said = command("train", "--method=comirec_sa", "--out", tmp_path / "run", flag)
    assert WRONG[flag] in said.error
    assert said.status == 2
    assert not any(tmp_path.iterdir())


def test_what_a_method_does_not_have_is_said_to_be_so(command: Command) -> None:
    untrained = command("train", "--method=ease", "--training.max_steps=3", "--out=x").error
    assert "'training.max_steps' cannot be set here: ease is fitted without a gradient" in untrained
    assert "most_popular has no knobs" in command("train", "--method=most_popular", "--model.l2=3", "--out=x").error
    assert "--method is not given" in command("train", "--model.l2=3", "--out=x").error


def test_what_must_be_given_is_named(command: Command) -> None:
    assert "--method must be given" in command("train", "--out=x").error
    assert "--out must be given" in command("train", "--method=ease").error
    assert "RUN must be given" in command("evaluate").error
    assert "--user must be given" in command("recommend", "run").error


def test_an_unknown_verb_names_the_nearest(command: Command) -> None:
    assert "did you mean 'train'" in command("trian").error
    assert "did you mean 'stats'" in command("data", "stat").error
    assert "did you mean 'k_sensitivity'" in command("study", "k_sensitivty").error
    assert "did you mean 'training'" in command("bench", "trainig").error


@pytest.mark.parametrize("flag", ["--model.n_interests=8", "--method=mind", "--training.batch_size=64"])
def test_the_training_benchmark_refuses_what_it_decides_itself(command: Command, flag: str) -> None:
    assert "cannot be set here: every method" in command("bench", "training", flag).error


def test_the_evaluation_benchmark_has_no_flag_it_would_not_hear(command: Command) -> None:
    assert "unknown key 'methods'" in command("bench", "evaluation", "--methods=[mind]", "--data=synthetic").error
