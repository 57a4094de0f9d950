"""`adaptive-mi tune` and what is done with its result: killed with kill -9 it ends the same, and a file tells all."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import BRIEF, HEARING, SMALL, Apart, Command

DATA = SMALL[:2]
TRAINED = [*DATA, *(flag for flag in BRIEF if "batch_size" not in flag), "--loss.proposal=uniform"]
TUNE = ["tune", "comirec_sa", *TRAINED, "--trials=5", "--tuned-dir=tuned", "--out=runs"]
RESULT = Path("tuned/synthetic/comirec_sa.yaml")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the search has been run, not to be written to."""
    folder = tmp_path_factory.mktemp("done")
    said = Apart(folder, *TUNE).end()
    assert said.status == 0, said.err
    return folder


def header(folder: Path) -> list[str]:
    text = (folder / RESULT).read_text()
    return [line[2:] for line in text.splitlines() if line.startswith("# ")]


def chosen(folder: Path) -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load((folder / RESULT).read_text())
    return settings


def test_the_head_of_the_file_says_how_it_was_made(done: Path) -> None:
    what, value, command, when = header(done)
    assert re.fullmatch(
        r"comirec_sa on synthetic: 5 of 5 trials \(\d+ complete, \d+ pruned, 0 failed\), in \d+ s", what
    )
    found = re.fullmatch(r"validation recall@50: (\S+), best step (\d+); default settings: (\S+)", value)
    assert found
    assert float(found[1]) >= float(found[3])
    assert command.startswith("made by: adaptive-mi tune comirec_sa --data.synthetic.n_users=300 ")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d, code \S+.*, data [0-9a-f]{16}", when)


def test_the_file_holds_what_was_searched_and_nothing_else(done: Path) -> None:
    settings = chosen(done)
    assert settings["method"] == "comirec_sa"
    assert {"method", "model", "scoring", "loss", "training"} == set(settings)
    assert settings["loss"]["n_negatives"] == 20  # given, where it would have been searched
    assert "max_steps" not in settings["training"]
    assert "width" not in settings["scoring"]


def test_a_run_by_the_file_measures_what_the_file_says(command: Command, done: Path, tmp_path: Path) -> None:
    again = [flag for flag in TRAINED if "n_negatives" not in flag and "proposal" not in flag]
    flags = [*again, "--tracking.mode=disabled", f"--config={done / RESULT}", f"--out={tmp_path / 'run'}"]
    assert command("train", *flags).status == 0
    fit = json.loads((tmp_path / "run/results.json").read_text())["fit"]
    assert f"validation recall@50: {fit['best_value']:.4f}, best step {fit['best_step']};" in header(done)[1]


MOMENTS = {
    "as the first trial begins": "t.Search._try = die",
    "within the default": "t.quick = after(1, t.quick)",
    "within a later trial": "t.quick = after(9, t.quick)",
    "before the result is told": "import optuna; optuna.Study.tell = after(2, optuna.Study.tell)",
    "while the result is written": "import experiments.tuning.tuned as f; f.write_text = after(3, f.write_text)",
    "within a line of the journal": """
import optuna.storages.journal._file as f
def half(self, logs, append=f.JournalFileBackend.append_logs, calls=[]):
    calls.append(1)
    if len(calls) < 40:
        return append(self, logs)
    with open(self._file_path, "ab") as file:
        file.write(b'{"op_code":5,"work')
    die()
f.JournalFileBackend.append_logs = half
""",
}
KILL = """
import os, signal
import experiments.tuning.search as t
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
def after(n, act):
    calls = []
    return lambda *a, **k: die() if calls.append(1) or len(calls) > n else act(*a, **k)
"""


@pytest.mark.slow  # `test_tuning_search` kills a search at the same moments within one process
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_search_killed_at_any_point_ends_with_the_same_settings(done: Path, tmp_path: Path, moment: str) -> None:
    assert Apart(tmp_path, *TUNE, code=KILL + MOMENTS[moment]).end().status == -signal.SIGKILL
    resumed = Apart(tmp_path, *TUNE).end()
    assert resumed.status == 0, resumed.err
    assert chosen(tmp_path) == chosen(done)
    assert header(tmp_path)[1] == header(done)[1]
    told = "1 interrupted and repeated" in header(tmp_path)[0]
    assert told == (moment != "while the result is written")
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.slow
def test_a_search_killed_again_and_again_at_random_moments_ends_the_same(done: Path, tmp_path: Path) -> None:
    for _ in range(8):
        running = Apart(tmp_path, *TUNE)
        time.sleep(random.uniform(0.3, 2))
        running.kill()
        assert running.end().status in (0, -signal.SIGKILL)
    assert Apart(tmp_path, *TUNE).end().status == 0
    assert chosen(tmp_path) == chosen(done)


def test_an_unfinished_search_shows_how_far_it_came(tmp_path: Path) -> None:
    code = KILL + "t.Search._try = after(3, t.Search._try)"
    assert Apart(tmp_path, *TUNE, code=code).end().status == -signal.SIGKILL
    assert "comirec_sa on synthetic: 3 of 5 trials" in header(tmp_path)[0]


def test_ctrl_c_is_one_line_that_says_how_to_go_on(tmp_path: Path) -> None:
    code = HEARING + KILL.replace("SIGKILL", "SIGINT") + MOMENTS["within a later trial"]
    stopped = Apart(tmp_path, *TUNE, code=code).end()
    assert stopped.status == 130
    assert stopped.error == (
        "error: interrupted; the trials that were finished are kept, the same command goes on from there\n"
    )


def test_the_table_sets_the_best_beside_the_default(command: Command, tmp_path: Path) -> None:
    tune = ["tune", "ease", *DATA, "--trials=4", f"--out={tmp_path}/runs", f"--tuned-dir={tmp_path}/tuned"]
    said = command(*tune, "--format=json")
    recall, l2, repeats = json.loads(said.out)["rows"]
    assert recall["validation"] == "recall@50"
    assert recall["best"] >= recall["default"]
    assert l2["default"] == 500
    assert repeats["default"] is True
    assert yaml.safe_load((tmp_path / "tuned/synthetic/ease.yaml").read_text())["model"]["l2"] == l2["best"]
    assert f"Tuned settings: {tmp_path}/tuned/synthetic/ease.yaml" in said.err
    assert command(*tune, "--format=json").out == said.out  # nothing is left to do


BAD = {
    "--trials=0": "--trials must be a finite number of at least 1, got 0",
    "--trials=many": "invalid int value: 'many'",
    "--training.max_stesp=3": "did you mean 'training.max_steps'",
    "--training.monitor=recall@50:nvel": "did you mean 'novel'",
    "--method=ease": "leave 'method' out",
    "--data=ml1m": "did you mean 'ml-1m'",
    "--model.n_interests=[": "cannot be read as YAML",
    "--config=nowhere.yaml": "nowhere.yaml cannot be read",
    "-x": "expected pairs '--key value'",
}


@pytest.mark.parametrize("flag", BAD)
def test_what_cannot_be_searched_is_said_before_anything_is_written(
    command: Command, tmp_path: Path, flag: str
) -> None:
    said = command("tune", "comirec_sa", *TRAINED, f"--out={tmp_path}/runs", f"--tuned-dir={tmp_path}/tuned", flag)
    assert BAD[flag] in said.error
    assert said.status == 2
    assert not any(tmp_path.iterdir())


def test_an_unknown_method_is_told_the_nearest(command: Command) -> None:
    assert "did you mean 'comirec_sa'" in command("tune", "comirec_as").error


def test_an_installed_package_is_not_written_into(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("experiments.cli.tune.PACKAGED", tmp_path / "site-packages/experiments/tuned")
    assert "--tuned-dir must be given" in command("tune", "ease", *DATA, f"--out={tmp_path}/runs").error


def test_help_lists_what_is_searched_and_imports_nothing_heavy(command: Command) -> None:
    assert "model.l2: 10 to 10000 (log)" in command("tune", "ease", "--help").out
    assert "nothing: one trial measures it" in command("tune", "most_popular", "--help").out
    code = """
import contextlib, io, sys
from experiments.__main__ import main
for arguments in (["tune", "--help"], ["tune", "comirec_sa", "--help"]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main(arguments)
assert not {"torch", "optuna", "numpy"} & set(sys.modules), {"torch", "optuna", "numpy"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
