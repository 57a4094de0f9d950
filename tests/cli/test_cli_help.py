"""Help is quick, and explains every knob."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from dataclasses import fields
from typing import Any

import pytest
from command_line import Command

from baselines.config import LossConfig, ScoringConfig
from experiments.__main__ import VERBS
from experiments.config import DataConfig
from experiments.data.protocol import ProtocolConfig
from experiments.data.readers.config import ReaderConfig
from experiments.data.synthetic.config import SyntheticConfig
from experiments.evaluation.config import EvaluationConfig
from experiments.knobs import knobs
from experiments.registry import METHODS
from experiments.tracking import TrackingConfig
from experiments.training.config import TrainingConfig

HEAVY = (
    "torch",
    "numpy",
    "pyarrow",
    "scipy",
    "sklearn",
    "numba",
    "matplotlib",
    "wandb",
    "hdbscan",
    "diffusers",
    "optuna",
    "tqdm",
)
HELPED = [
    ["--help"],
    *([verb, "--help"] for verb in VERBS),
    ["data", "list", "--help"],
    ["data", "stats", "--help"],
    ["data", "prepare", "--help"],
    ["study", "k_sensitivity", "--help"],
    ["bench", "training", "--help"],
    *(["train", "--method", method, "--help"] for method in ("comirec_sa", "item_knn")),
]


def one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("arguments", HELPED, ids=" ".join)
def test_help_is_printed_and_ends_well(command: Command, arguments: list[str]) -> None:
    said = command(*arguments)
    assert said.status == 0
    assert said.out.startswith("usage: adaptive-mi")
    assert said.err == ""


def test_help_imports_nothing_heavy() -> None:
    code = f"""
import contextlib, io, sys
from experiments.__main__ import main
for arguments in {HELPED!r}:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main(arguments)
    assert not set({HEAVY!r}) & set(sys.modules), (arguments, set({HEAVY!r}) & set(sys.modules))
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_argument_tells_the_verbs_and_fails(command: Command) -> None:
    said = command()
    assert said.status == 2
    assert all(verb in said.out for verb in VERBS)


def test_every_knob_is_explained_in_the_words_of_its_field(command: Command) -> None:
    groups: dict[str, Any] = {
        "data": DataConfig, "data.reader": ReaderConfig, "data.synthetic": SyntheticConfig,
        "data.protocol": ProtocolConfig, "scoring": ScoringConfig, "loss": LossConfig, "training": TrainingConfig,
        "evaluation": EvaluationConfig, "tracking": TrackingConfig,
    }  # fmt: skip
    shown = one_line(command("train", "--help").out).replace("- ", "-")
    for name, group in groups.items():
        source = inspect.getsource(group)
        for field in (f.name for f in fields(group) if f"{name}.{f.name}" not in groups):
            found = re.search(rf'    {field}: [^\n]*\n    """(.*?)"""', source, re.DOTALL)
            assert found, f"{name}.{field} is not explained"
            assert f"--{name}.{field} " in shown
            assert one_line(found[1])[:60].replace("- ", "-") in shown


@pytest.mark.parametrize("method", METHODS)
def test_a_methods_own_knobs_are_those_of_its_constructor(command: Command, method: str) -> None:
    constructor = METHODS[method].load().__init__
    given = ("self", "args", "kwargs", "width", "max_history", *METHODS[method].given)
    real = {name: p.default for name, p in inspect.signature(constructor).parameters.items() if name not in given}
    stub = knobs(METHODS[method])
    read = {} if stub is None else {name: p.default for name, p in inspect.signature(stub).parameters.items()}
    assert read == real
    shown = one_line(command("train", "--method", method, "--help").out)
    for name in real:
        _, _, after = shown.partition(f"--model.{name} ")
        assert re.match(r"\S+ (\[?\w)", after), f"{name} of {method} is not explained"
