"""What tests share: the command line in this process, finished runs, and a small world with fitted methods."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command_line import BRIEF, SMALL, Command, Runs, Said
from small_world import FEW_SAMPLES, configure, context, dataset, fitted, one_thread  # noqa: F401  they are fixtures
from untrained import untrained  # noqa: F401  a fixture

TOGETHER = {"laws": "methods", "adaptive": "methods", "cli": "cli"}
"""Folders whose files one process runs, so that what they share, kernels, fitted methods, runs, is made once."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file, or of such folders, in one process (`--dist loadgroup`)."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(TOGETHER.get(item.path.parent.name, item.path.stem)))


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """`command("data", "list")` runs `adaptive-mi data list`."""

    def call(*arguments: object) -> Said:
        from experiments.__main__ import main

        capsys.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as end:  # --help, --print_config
            status = int(end.code or 0)
        return Said(status, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """`finished("ease")` is the directory of a run of that method, not to be written to."""
    folder = tmp_path_factory.mktemp("finished")

    def run_of(method: str) -> Path:
        from experiments.__main__ import main
        from experiments.registry import find_method

        brief = BRIEF if find_method(method).kind == "extractor" else []
        if method.startswith("diffusion_"):
            brief = [*brief, *(f"--model.{knob}={value}" for knob, value in FEW_SAMPLES.items())]
        out = folder / method
        if not out.exists():
            assert main(["train", f"--method={method}", *SMALL, *brief, f"--out={out}"]) == 0
        return out

    return run_of


@pytest.fixture
def copied(finished: Runs, tmp_path: Path) -> Runs:
    """`copied("ease")` is a copy of that run, to be spoilt."""

    def copy_of(method: str) -> Path:
        return Path(shutil.copytree(finished(method), tmp_path / method))

    return copy_of
