"""The rooms, the arrows between them, and the house style, read from the source itself."""

from __future__ import annotations

import ast
import itertools
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = {"baselines": set(), "adaptive_mi": {"baselines"}, "diffusion_mi": {"baselines"}}
"""Which rooms each room below `experiments` may import, beside itself."""

OURS = {*ROOMS, "experiments", "tests"}
FILES = [path for room in (*ROOMS, "experiments") for path in sorted((ROOT / room).rglob("*.py"))]
BELOW = [path for path in FILES if path.relative_to(ROOT).parts[0] in ROOMS]
CONFIGS = [path for path in FILES if "Config:" in path.read_text(encoding="utf-8")]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def each(files: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", files, ids=map(name_of, files))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[str]:
    """Yield every module imported anywhere in a file, inside functions too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} imports relatively"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("importlib.import_module", "__import__"):
            yield from (arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str))


def packages(path: Path) -> set[str]:
    return {module.partition(".")[0] for module in imports(path)}


def test_there_is_something_to_look_at() -> None:
    assert {"baselines/interests.py", "experiments/registry.py"} <= set(map(name_of, FILES))
    assert {"numpy", "torch", "baselines"} <= packages(ROOT / "baselines" / "recommender.py")


@each(BELOW)
def test_arrows_point_down(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    assert packages(path) & OURS <= ROOMS[room] | {room}


@each(BELOW)
def test_no_method_reports_parses_arguments_or_reads_tables(path: Path) -> None:
    assert not packages(path) & {"wandb", "argparse", "jsonargparse", "pyarrow", "yaml", "matplotlib", "pooch"}


@each(BELOW)
def test_no_method_opens_a_file(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            last = called.rpartition(".")[2]
            opens = called in ("open", "io.open", "torch.load", "torch.save", "np.load", "np.save", "np.loadtxt")
            assert not opens, f"{name_of(path)}:{node.lineno} calls {called}"
            assert last not in ("read_text", "read_bytes", "write_text", "write_bytes"), f"line {node.lineno}"


@each([*BELOW, *(ROOT / "experiments" / "training").glob("*.py"), *(ROOT / "experiments" / "data").rglob("*.py")])
def test_methods_training_and_data_do_not_mark_their_own_exam(path: Path) -> None:
    assert not any(module.startswith("experiments.evaluation") for module in imports(path))


def test_hdbscan_is_called_in_one_file_and_diffusers_in_one_package() -> None:
    assert len([path for path in FILES if "hdbscan" in packages(path)]) <= 1
    assert {path.relative_to(ROOT).parts[0] for path in FILES if "diffusers" in packages(path)} <= {"diffusion_mi"}


def test_no_file_is_called_utils() -> None:
    assert not [name_of(path) for path in FILES if path.stem in ("utils", "util", "helpers", "common", "misc")]


@each(FILES)
def test_a_file_is_one_screen_of_ideas(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


@each(FILES)
def test_every_module_class_and_function_for_others_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(tree(path)), "the module has no docstring"
    for node in tree(path).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} has no docstring"


@each(CONFIGS)
def test_every_knob_is_explained_where_it_is_set(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if not (isinstance(node, ast.ClassDef) and node.name.endswith("Config")):
            continue
        decorators = " ".join(map(ast.unparse, node.decorator_list))
        assert "frozen=True" in decorators, f"{node.name} is not a frozen dataclass"
        assert "kw_only=True" in decorators, f"{node.name} has positional knobs"
        for field, after in itertools.pairwise([*node.body, None]):
            if not isinstance(field, ast.AnnAssign) or ast.unparse(field.annotation).endswith("Config"):
                continue  # a group of knobs is explained by its own class
            says = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            assert says, f"{node.name}.{ast.unparse(field.target)} has no docstring under it"


@each(BELOW)
def test_nothing_is_seeded_globally_below_the_entry_of_a_run(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    for call in ("torch.manual_seed", "np.random.seed", "random.seed("):
        assert call not in source


HEAVY = ("torch", "pyarrow", "matplotlib", "wandb", "sklearn", "numba", "scipy", "hdbscan", "diffusers", "optuna")
HELP = {"--help": ["--help"], "train --help": ["train", "--help"], "study --help": ["study", "--help"]}


def run_help(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    code = f"""
import atexit, sys
atexit.register(lambda: print("loaded", *sorted(set({HEAVY!r}) & set(sys.modules))))
from experiments.__main__ import main
main({arguments!r})
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)


@pytest.mark.parametrize("arguments", HELP.values(), ids=HELP)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    done = run_help(arguments)
    assert "usage" in done.stdout, done.stderr
    loaded = done.stdout.strip().splitlines()[-1].split()[1:]
    assert not set(loaded) & {"torch", "pyarrow", "matplotlib", "wandb", "sklearn", "numba", "hdbscan", "diffusers"}
    if arguments == ["--help"]:
        assert not loaded
