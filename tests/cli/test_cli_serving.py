"""What is otherwise in serving than in training: a setting of a run, and of what is done with a finished run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import BRIEF, SMALL, Command, Runs

from experiments.studies.definition import COLUMNS

OTHERWISE = {
    "knobs": ["--serving.model={temperature: 3.0}"],
    "jitter": ["--serving.jitter=0.5", "--serving.n_copies=2"],
    "dropout": ["--serving.dropout=0.2", "--serving.n_passes=2"],
    "penalty": ["--serving.popularity_penalty=0.5"],
    "contrast": ["--serving.contrast=2"],
    "fewer": ["--serving.n_kept=2"],
}


def table(command: Command, *arguments: object) -> dict[str, Any]:
    """The test column of what a verb prints."""
    said = command(*arguments, "--format=json")
    assert said.status == 0, said.err
    return {row["metric"]: row["test"] for row in json.loads(said.out)["rows"]}


@pytest.mark.parametrize("otherwise", OTHERWISE)
def test_a_run_serves_as_a_finished_run_can_be_asked_to_and_is_trained_as_without(
    command: Command, finished: Runs, tmp_path: Path, otherwise: str
) -> None:
    run, plain = tmp_path / "run", finished("comirec_sa")
    shown = table(command, "train", "--method=comirec_sa", *SMALL, *BRIEF, *OTHERWISE[otherwise], f"--out={run}")
    trained = json.loads((run / "results.json").read_text())["test"]
    assert shown == {metric: trained[metric] for metric in COLUMNS}
    for name in ("metrics.jsonl", "model/model.safetensors"):
        assert (run / name).read_bytes() == (plain / name).read_bytes()
    assert table(command, "evaluate", plain, *OTHERWISE[otherwise]) == trained
    assert table(command, "evaluate", run) == trained
    assert trained != json.loads((plain / "results.json").read_text())["test"]


def test_a_recommendation_is_served_otherwise_too(command: Command, finished: Runs) -> None:
    ask = ["recommend", finished("comirec_sa"), "--user=1", "--n=20", "--format=json"]
    plain, moved = (json.loads(command(*ask, *flags).out)[-1]["rows"] for flags in ([], ["--serving.jitter=3"]))
    assert [row["item"] for row in moved] != [row["item"] for row in plain]


BAD = {
    "--serving.model={n_interest: 3}": "did you mean 'n_interests'",
    "--serving.model={n_interests: 3}": "the parameters of comirec_sa are others than those that were trained",
    "--serving.model={temperature: 0}": "model.temperature must be a finite number greater than 0",
    "--serving.jitter=-1": "serving.jitter must be",
    "--serving.contrast=0.5": "serving.contrast must be",
    "--serving.kept_share=0": "serving.kept_share must be",
    "--serving.jiter=1": "did you mean 'serving.jitter'",
}


@pytest.mark.parametrize("flag", BAD)
def test_what_a_method_cannot_bear_is_refused_before_anything_is_written(
    command: Command, finished: Runs, tmp_path: Path, flag: str
) -> None:
    said = command("train", "--method=comirec_sa", *SMALL, *BRIEF, flag, f"--out={tmp_path / 'run'}")
    assert BAD[flag] in said.error
    assert not any(tmp_path.iterdir())
    assert BAD[flag] in command("evaluate", finished("comirec_sa"), flag).error


def test_a_method_without_a_gradient_is_served_as_it_is(command: Command, finished: Runs, tmp_path: Path) -> None:
    said = command("train", "--method=ease", *SMALL, "--serving.jitter=1", f"--out={tmp_path / 'run'}")
    assert "ease is fitted without a gradient" in said.error
    assert "leave 'serving' out" in command("evaluate", finished("ease"), "--serving.jitter=1").error


def test_a_run_of_a_version_that_knew_no_serving_goes_on_as_the_same_run(
    command: Command, copied: Runs, tmp_path: Path
) -> None:
    run = copied("comirec_sa")
    settings = yaml.safe_load((run / "config.yaml").read_text())
    del settings["serving"]
    (run / "config.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    train = ["train", "--method=comirec_sa", *SMALL, *BRIEF, "--out", run, "--resume"]
    assert command(*train).status == 0
    assert "serving.jitter 0.0, now 1.0" in command(*train, "--serving.jitter=1").error
