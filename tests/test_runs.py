"""A run directory is whole or absent: whatever ends a run, nothing is lost, nothing overwritten, and it can go on."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import BRIEF, HEARING, SMALL, Apart, Command, Runs

from experiments.studies.definition import COLUMNS

TRAIN = ["train", "--method=comirec_sa", *SMALL, *BRIEF, "--out=run"]
KILL = "import os, signal\ndie = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"

MOMENTS = {
    "at the start": "import experiments.runs as r; r._work = die",
    "before the first checkpoint": "import experiments.training.fit as f; f.save_checkpoint = die",
    "while the second checkpoint is written": """
import experiments.files as f
calls = []
def half(temporary, path, replace=f.os.replace):
    calls.extend([1] * (path.name == "state.pt"))
    if len(calls) == 2:
        os.truncate(temporary, 1000)
        die()
    replace(temporary, path)
f.os.replace = half
""",
    "after the third checkpoint": """
import experiments.training.fit as f
save, calls = f.save_checkpoint, []
def then_die(*arguments):
    save(*arguments)
    calls.append(1)
    if len(calls) == 3: die()
f.save_checkpoint = then_die
""",
    "during the evaluation": "import experiments.runs as r; r.evaluate = die",
    "while the values by user are written": "import numpy; numpy.savez_compressed = die",
    "before the directory gets its name": "from pathlib import Path; Path.rename = die",
}  # fmt: skip
"""Code that lets a process die, as by kill -9, when its run comes to a certain point."""


def contents(run: Path) -> dict[str, bytes]:
    """Everything that must not depend on how often a run was interrupted."""
    files = {path.relative_to(run).as_posix(): path.read_bytes() for path in run.rglob("*") if path.is_file()}
    del files["run.json"]  # times
    return files


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_killed_at_any_point_resumes_to_the_same_bits(finished: Runs, tmp_path: Path, moment: str) -> None:
    assert Apart(tmp_path, *TRAIN, code=KILL + MOMENTS[moment]).end().status == -signal.SIGKILL
    assert not (tmp_path / "run").exists()
    assert "add --resume" in Apart(tmp_path, *TRAIN).end().error
    resumed = Apart(tmp_path, *TRAIN, "--resume").end()
    assert resumed.status == 0, resumed.err
    assert contents(tmp_path / "run") == contents(finished("comirec_sa"))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_run_killed_again_and_again_at_random_moments_ends_the_same(finished: Runs, tmp_path: Path) -> None:
    for _ in range(8):
        running = Apart(tmp_path, *TRAIN, "--resume")
        time.sleep(random.uniform(0, 0.6))
        running.kill()
        assert running.end().status in (0, -signal.SIGKILL)
    assert Apart(tmp_path, *TRAIN, "--resume").end().status == 0
    assert contents(tmp_path / "run") == contents(finished("comirec_sa"))


def test_ctrl_c_is_one_line_and_the_run_goes_on_later(finished: Runs, tmp_path: Path) -> None:
    interrupt = HEARING + KILL.replace("SIGKILL", "SIGINT") + MOMENTS["after the third checkpoint"]
    said = Apart(tmp_path, *TRAIN, code=interrupt).end()
    assert said.status == 130
    assert "interrupted" in said.error
    assert "--resume" in said.error
    assert Apart(tmp_path, *TRAIN, "--resume").end().status == 0
    assert contents(tmp_path / "run") == contents(finished("comirec_sa"))


FULL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))
"""


@pytest.mark.parametrize("too_large", ["config.yaml", "state.pt", "per_user.npz"])
def test_a_full_disk_is_one_line_and_the_run_goes_on_later(finished: Runs, tmp_path: Path, too_large: str) -> None:
    sizes = {path.name: path.stat().st_size for path in finished("comirec_sa").iterdir()}
    room = sizes["config.yaml"] + 1000 if too_large == "state.pt" else sizes[too_large] - 100
    said = Apart(tmp_path, *TRAIN, code=FULL.format(room)).end()
    assert said.status == 2
    assert f"run.partial/{too_large}: File too large" in said.error
    assert not list(tmp_path.rglob("*.tmp"))
    again = Apart(tmp_path, *TRAIN, "--resume").end()
    assert again.status == 0, again.err
    assert contents(tmp_path / "run") == contents(finished("comirec_sa"))


def test_a_table_that_cannot_be_written_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        said = subprocess.run(
            [sys.executable, "-m", "experiments", "study", "--help"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert said.returncode == 2
    assert said.stderr.startswith("error: ")
    assert said.stderr.count("\n") == 1


@pytest.mark.parametrize("content", [b"", b"cut", bytes(5000)])
def test_a_corrupt_checkpoint_is_named_and_nothing_is_touched(command: Command, tmp_path: Path, content: bytes) -> None:
    die = KILL + MOMENTS["after the third checkpoint"]
    assert Apart(tmp_path, *TRAIN, code=die).end().status < 0
    state = tmp_path / "run.partial/state.pt"
    whole = state.read_bytes()
    state.write_bytes(content)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    train = [*TRAIN[:-1], f"--out={tmp_path / 'run'}"]
    said = command(*train, "--resume")
    assert "state.pt: the checkpoint cannot be read" in said.error
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    state.write_bytes(whole)
    assert command(*train, "--resume").status == 0


def test_a_finished_run_is_never_overwritten(command: Command, copied: Runs) -> None:
    run = copied("ease")
    before = contents(run)
    train = ["train", "--method=ease", *SMALL, "--out", run]
    assert "exists already and is not overwritten" in command(*train).error
    assert "model.l2 500.0, now 7.0" in command(*train, "--model.l2=7", "--resume").error
    assert contents(run) == before


def test_a_run_from_before_a_setting_existed_counts_as_one_at_its_default(command: Command, copied: Runs) -> None:
    run = copied("comirec_sa")
    config = run / "config.yaml"
    older = [line for line in config.read_text().splitlines() if "power:" not in line and "n_interests:" not in line]
    config.write_text("\n".join(older) + "\n")
    train = ["train", "--method=comirec_sa", *SMALL, *BRIEF, "--out", run, "--resume"]
    assert command(*train).status == 0
    said = command(*train, "--scoring.power=2", "--model.n_interests=2")
    assert "scoring.power 1.0, now 2.0, model.n_interests 4, now 2" in said.error


def test_resuming_a_finished_run_prints_its_table_and_does_nothing(command: Command, copied: Runs) -> None:
    run = copied("comirec_sa")
    times = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    again = command("train", "--method=comirec_sa", *SMALL, *BRIEF, "--out", run, "--resume", "--format=json")
    assert again.status == 0
    shown = {row["metric"]: row["test"] for row in json.loads(again.out)["rows"]}
    test = json.loads((run / "results.json").read_text())["test"]
    assert shown == {metric: test[metric] for metric in COLUMNS}
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == times


def test_an_unfinished_run_of_other_settings_is_not_gone_on_with(command: Command, tmp_path: Path) -> None:
    assert Apart(tmp_path, *TRAIN, code=KILL + MOMENTS["at the start"]).end().status < 0
    train = [*TRAIN[:-1], f"--out={tmp_path / 'run'}"]
    said = command(*train, "--seed=1", "--model.n_interests=2", "--resume")
    assert "run.partial was run with other settings (seed 0, now 1, model.n_interests 4, now 2)" in said.error
    assert (tmp_path / "run.partial/config.yaml").exists()


@pytest.mark.parametrize("occupant", ["a file", "a folder"])
def test_whatever_lies_at_the_runs_place_stays_there(command: Command, tmp_path: Path, occupant: str) -> None:
    out = tmp_path / "run"
    out.write_text("years of work") if occupant == "a file" else out.mkdir()
    for flags in ([], ["--resume"]):
        assert "is not overwritten" in command("train", "--method=ease", *SMALL, "--out", out, *flags).error
    assert out.read_text() == "years of work" if occupant == "a file" else not any(out.iterdir())


def test_a_place_where_nothing_can_be_written_is_named(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in command("train", "--method=ease", *SMALL, "--out", tmp_path / "file/run").error


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(command: Command, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    said = command("train", "--method=ease", *SMALL, "--out", tmp_path / "locked/run")
    assert "Permission denied" in said.error


REFUSED = {
    "--training.monitor=recal@20": "unknown metric 'recal': did you mean 'recall'",
    "--training.monitor=recall": "lacks a cutoff",
    "--training.monitor=recall@20:nvel": "unknown subset 'nvel': did you mean 'novel'",
    "--training.monitor=gini@20": "cannot steer training",
    "--model.n_interests=0": "model.n_interests must be a finite number of at least 1, got 0",
    "--model.hidden_width=-1": "model.hidden_width must be a finite number of at least 0",
    "--training.min_history=100000": "min_history",
}


@pytest.mark.parametrize("flag", REFUSED)
def test_what_cannot_be_run_is_said_before_training_and_leaves_nothing(
    command: Command, tmp_path: Path, flag: str
) -> None:
    train = [*TRAIN[:-1], f"--out={tmp_path / 'run'}", "--training.max_steps=100000"]
    assert REFUSED[flag] in command(*train, flag).error
    assert not any(tmp_path.iterdir())


def test_a_monitor_may_be_a_metric_that_is_not_reported(command: Command, tmp_path: Path) -> None:
    run = tmp_path / "run"
    flags = ["--evaluation.metrics=[ndcg]", "--evaluation.cutoffs=[10]", "--training.monitor=recall@7:novel"]
    assert command(*TRAIN[:-1], *flags, "--out", run).status == 0
    assert {name.partition("@")[0] for name in json.loads((run / "results.json").read_text())["test"]} == {"ndcg"}
    assert "validation/recall@7:novel" in json.loads((run / "metrics.jsonl").read_text().splitlines()[0])


def test_two_processes_never_work_on_one_run(tmp_path: Path) -> None:
    slow = "import time, experiments.runs as r\nwork = r._work\nr._work = lambda *a: (time.sleep(3), work(*a))[1]"
    first = Apart(tmp_path, *TRAIN, code=slow)
    while not (tmp_path / "run.partial/config.yaml").exists():
        time.sleep(0.05)
    (tmp_path / "second").mkdir()
    second = Apart(tmp_path / "second", *TRAIN[:-1], "--out=../run", "--resume")
    assert "another process is at work in ../run.partial" in second.end().error
    assert first.end().status == 0


def test_divergence_names_the_step_and_the_term_and_keeps_the_run(command: Command, tmp_path: Path) -> None:
    said = command(*TRAIN[:-1], "--out", tmp_path / "run", "--training.learning_rate=1e30", "--scoring.similarity=dot")
    assert said.status == 1
    assert "diverged at step" in said.error
    assert (tmp_path / "run.partial/config.yaml").exists()


def test_model_files_may_be_read_by_whoever_may_read_the_run(finished: Runs) -> None:
    modes = {path.stat().st_mode & 0o777 for path in finished("comirec_sa").rglob("*") if path.is_file()}
    assert len(modes) == 1


def test_the_second_command_line_is_the_first(tmp_path: Path) -> None:
    script = shutil.which("adaptive-mi", path=str(Path(sys.executable).parent))
    assert script is not None
    for arguments in (["--help"], ["data", "list"], ["trian"]):
        said = [
            subprocess.run([*start, *arguments], capture_output=True, text=True, cwd=tmp_path, env={**os.environ})
            for start in ([script], [sys.executable, "-P", "-m", "experiments"])
        ]
        assert said[0].stdout == said[1].stdout
        assert (said[0].stderr, said[0].returncode) == (said[1].stderr, said[1].returncode)
