"""The doctor finds what is missing, names a remedy, and always ends."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from experiments import doctor as room
from experiments.doctor import Check, Diagnosis, doctor


def by_name(diagnosis: Diagnosis) -> dict[str, Check]:
    return {check.name: check for check in diagnosis.checks}


def test_a_machine_that_runs_these_tests_is_healthy(tmp_path: Path) -> None:
    diagnosis = doctor(tmp_path)
    assert diagnosis.healthy, diagnosis.table().render("md")
    assert {"python", "torch", "numba", "device", "numba kernels", "disk", "datasets", "tracking"} <= set(
        by_name(diagnosis)
    )


def test_what_is_not_well_has_a_remedy(tmp_path: Path) -> None:
    assert all(check.remedy for check in doctor(tmp_path / "nowhere").checks if check.status != "ok")


def test_datasets_are_found_by_their_registered_name(tmp_path: Path) -> None:
    (tmp_path / "ml-1m").mkdir()
    (tmp_path / "holiday-pictures").mkdir()
    found = by_name(doctor(tmp_path))["datasets"].found
    assert "ml-1m" in found
    assert "holiday" not in found


def test_a_missing_and_an_outdated_dependency_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["numpy>=9999", "no-such-package>=1", "pytest>=1", "ruff>=9999; extra == 'dev'"]
    monkeypatch.setattr(metadata, "requires", lambda _: wanted)
    status = {check.name: check.status for check in room._dependencies()}
    assert status == {"numpy": "fail", "no-such-package": "fail", "pytest": "ok"}


def test_a_check_that_raises_is_a_failed_check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken() -> None:
        raise OSError("libgomp.so.1:\ncannot open shared object file")

    monkeypatch.setattr(room, "_torch", broken)
    diagnosis = doctor(tmp_path)
    assert not diagnosis.healthy
    assert by_name(diagnosis)["device"].found == "OSError: libgomp.so.1: cannot open shared object file"


def test_the_tracking_mode_is_the_one_that_a_run_would_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    assert next(room._tracking()).found.startswith("offline")
    monkeypatch.setenv("WANDB_API_KEY", "a-made-up-key")
    (check,) = room._tracking()
    assert check.found.startswith("online")
    assert "made-up" not in check.found
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert next(room._tracking()).found.startswith("disabled")


def test_importing_the_doctor_imports_nothing_heavy() -> None:
    code = "import sys, experiments.doctor; print({'torch', 'numba', 'wandb', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
