"""Weights & Biases mirrors a run: whatever it does, the run is the same."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from command_line import BRIEF, SMALL, Apart, Command, Runs

from baselines.errors import BadInput
from experiments.studies.definition import COLUMNS
from experiments.tracking import Mirror, TrackingConfig, automatic_mode

TRAIN = ["train", "--method=comirec_sa", *[flag for flag in SMALL if "tracking" not in flag], *BRIEF]
MODES = ["online", "offline", "disabled"]


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user without a key."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("WANDB_MODE", "WANDB_API_KEY", "NETRC"):
        monkeypatch.delenv(name, raising=False)


class FakeRun:
    """A run of Weights & Biases that notes what it is told, and breaks where it is asked to."""

    def __init__(self, breaking: str) -> None:
        self.breaking = breaking
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.summary: dict[str, Any] = {}
        self.exit_code: int | None = None

    def log(self, values: dict[str, float], step: int) -> None:
        self._perhaps("log")
        self.logged.append((step, values))

    def finish(self, exit_code: int) -> None:
        self._perhaps("finish")
        self.exit_code = exit_code

    def _perhaps(self, verb: str) -> None:
        if verb == self.breaking:
            raise ConnectionError("the network is down")


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    """The module, replaced; `breaking` in the test's parameters says which verb fails."""
    breaking = getattr(request, "param", "")
    fake = SimpleNamespace(run=None, asked={}, Settings=dict)

    def init(**asked: Any) -> FakeRun:
        if breaking == "init":
            raise ConnectionError("the network is down")
        fake.asked, fake.run = asked, FakeRun(breaking)
        run: FakeRun = fake.run
        return run

    fake.init = init
    monkeypatch.setitem(sys.modules, "wandb", fake)  # type: ignore[arg-type]
    return fake


def results(run: Path) -> Any:
    return json.loads((run / "results.json").read_text())


def test_the_mirror_shows_what_the_run_directory_holds(command: Command, wandb: Any, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert command(*TRAIN, "--tracking.mode=online", "--tracking.project=mine", "--seed=4", "--out", out).status == 0
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert wandb.run.logged == [(row.pop("step"), row) for row in rows]
    assert wandb.run.summary == results(out)["test"]
    assert wandb.run.exit_code == 0
    assert (wandb.asked["project"], wandb.asked["name"], wandb.asked["mode"]) == ("mine", "comirec_sa-4", "online")
    assert wandb.asked["config"]["training"]["max_steps"] == 12
    assert wandb.asked["dir"] == f"{out}.partial"


@pytest.mark.parametrize("wandb", ["init", "log", "finish"], indirect=True)
def test_a_failing_mirror_fails_no_run_and_says_so_once(
    command: Command, finished: Runs, wandb: Any, tmp_path: Path
) -> None:
    said = command(*TRAIN, "--tracking.mode=online", "--out", tmp_path / "run")
    assert said.status == 0
    warnings = [line for line in said.err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert "ConnectionError: the network is down; the run directory is complete without it" in warnings[0]
    assert results(tmp_path / "run") == results(finished("comirec_sa"))


def test_a_run_that_fails_is_marked_as_failed(command: Command, wandb: Any, tmp_path: Path) -> None:
    diverging = ["--training.learning_rate=1e30", "--scoring.similarity=dot"]
    assert command(*TRAIN, "--tracking.mode=offline", *diverging, "--out", tmp_path / "run").status == 1
    assert wandb.run.exit_code == 1


@pytest.mark.parametrize("mode", MODES)
def test_without_wandb_a_run_is_the_same(
    command: Command, finished: Runs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: str
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)  # importing it raises ImportError
    said = command(*TRAIN, f"--tracking.mode={mode}", "--out", tmp_path / "run")
    assert said.status == 0
    assert said.err.count("warning: ") == (mode != "disabled")
    assert results(tmp_path / "run") == results(finished("comirec_sa"))


def test_disabled_asks_nothing_of_wandb(command: Command, wandb: Any, tmp_path: Path) -> None:
    assert command(*TRAIN, "--tracking.mode=disabled", "--out", tmp_path / "run").status == 0
    assert wandb.asked == {}


def test_the_automatic_mode_needs_no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert automatic_mode() == "offline"
    monkeypatch.setenv("WANDB_API_KEY", "a-made-up-key")
    assert automatic_mode() == "online"
    for mode in MODES:
        monkeypatch.setenv("WANDB_MODE", mode)
        assert automatic_mode() == mode
    monkeypatch.setenv("WANDB_MODE", "offlin")
    with pytest.raises(BadInput, match="did you mean 'offline'"):
        automatic_mode()


def test_a_key_in_the_netrc_file_is_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".netrc").write_text("machine api.wandb.ai\n  login user\n  password made-up\n")
    (home / ".netrc").chmod(0o600)
    assert automatic_mode() == "online"
    (home / ".netrc").write_text("garbage that is no netrc file")
    assert automatic_mode() == "offline"


def test_what_is_said_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch, wandb: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    Mirror(TrackingConfig(mode="offline"), tmp_path, name="n", group="g", settings={})
    assert wandb.asked["mode"] == "offline"


def test_offline_files_lie_in_the_run_directory_and_nothing_is_said(finished: Runs, tmp_path: Path) -> None:
    quiet = f"import os\nos.environ.update(HOME={str(tmp_path)!r}, WANDB_CACHE_DIR={str(tmp_path)!r})\n"
    (tmp_path / "here").mkdir()
    said = Apart(tmp_path / "here", *TRAIN, f"--out={tmp_path}/elsewhere/run", code=quiet).end()
    assert said.status == 0, said.err
    assert said.out.startswith("**comirec_sa on synthetic")
    run = tmp_path / "elsewhere/run"
    of_all = f"{len(COLUMNS)} of {len(results(run)['test'])} metrics; 'adaptive-mi evaluate {run}' shows all"
    assert said.err == f"\nRun: {run} ({of_all})\n"
    assert not any((tmp_path / "here").iterdir())
    assert [path.name for path in run.parent.iterdir()] == ["run"]
    (mirrored,) = run.glob("wandb/offline-run-*/run-*.wandb")
    assert mirrored.stat().st_size > 0
    links = [path for path in run.rglob("*") if path.is_symlink()]
    assert all(path.exists() for path in links)  # they survive the change of name
    assert results(run) == results(finished("comirec_sa"))
