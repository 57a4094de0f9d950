"""Arms x seeds on one dataset: the only loop over runs. Finished runs are kept, an unfinished one is resumed."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from baselines.errors import BadInput, unknown_name
from experiments.cli.arguments import accepted, make_run, read_yaml
from experiments.config import RunConfig
from experiments.data.loading import load_dataset
from experiments.files import write_json
from experiments.registry import find_method
from experiments.runs import Workbench, execute
from experiments.studies.definition import StudyDefinition


@dataclass(frozen=True)
class Cell:
    """One run of a study, resolved."""

    arm: str
    config: RunConfig
    settings: str


def plan(study: StudyDefinition, seeds: int, overrides: Mapping[str, Any]) -> list[Cell]:
    """Resolve every run: the arm's settings over `overrides` over the study's common ones over the defaults.

    A setting is given to the arms whose method knows it (a training knob means nothing to a heuristic); one that no
    arm knows is an error. Methods without randomness run once.

    Args:
        study: the question.
        seeds: how many seeds, from 0.
        overrides: dotted key -> value, from the command line.

    Raises:
        BadInput: a key that no arm knows.
    """
    known = {arm: accepted(settings) for arm, settings in study.arms.items()}
    wanted = {**_flatten(study.common), **overrides}
    for key in wanted:
        if not any(key in keys for keys in known.values()):
            raise unknown_name("key", key, set().union(*known.values()))
    cells = []
    for seed in range(seeds):
        for arm, settings in study.arms.items():
            stochastic = find_method(settings["method"]).kind == "extractor"
            if seed and not stochastic:
                continue
            shared = {key: value for key, value in wanted.items() if key in known[arm]}
            config, text = make_run(_nest({**shared, **_flatten(settings), "seed": seed}))
            cells.append(Cell(arm, config, text))
    return cells


def run_study(study: StudyDefinition, cells: list[Cell], folder: Path, *, command: str, resume: bool) -> Path:
    """Do every run that is not done yet and return the folder of this dataset's runs.

    Args:
        study: the question.
        cells: its runs; all on one dataset.
        folder: the study's folder; runs go to `folder`/<dataset>/<arm>/<seed>/.
        command: the command line, for the record.
        resume: keep finished runs of the same settings and go on with an unfinished one.

    Raises:
        BadInput: runs are there and `resume` is not asked for, or their settings differ.
    """
    bench = Workbench.of(load_dataset(cells[0].config.data))
    base = folder / bench.dataset.name
    for cell in cells:
        _check_finished(base / cell.arm / str(cell.config.seed), cell, resume)
    write_json(folder / "study.json", _told(study))
    for number, cell in enumerate(cells, start=1):
        out = base / cell.arm / str(cell.config.seed)
        if sys.stderr.isatty():
            print(f"[{number}/{len(cells)}] {cell.arm}, seed {cell.config.seed}", file=sys.stderr)
        if not out.exists():
            execute(
                cell.config, cell.settings, bench, out,
                command=command, study=study.name, arm=cell.arm, resume=resume,
            )  # fmt: skip
    return base


def parse_overrides(arguments: list[str]) -> dict[str, Any]:
    """Read `--key value` and `--key=value` pairs; values are YAML.

    Raises:
        BadInput: something else.
    """
    import yaml

    overrides: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        flag, equals, value = rest.pop(0).partition("=")
        if not flag.startswith("--") or (not equals and not rest):
            raise BadInput(f"expected pairs '--key value' of run settings, got '{flag}'.")
        overrides[flag[2:]] = yaml.safe_load(value if equals else rest.pop(0))
    return overrides


def _told(study: StudyDefinition) -> dict[str, Any]:
    told = asdict(study)
    told.pop("common")
    return json.loads(json.dumps(told))  # type: ignore[no-any-return]


def _check_finished(out: Path, cell: Cell, resume: bool) -> None:
    """Refuse to overwrite, or to mix runs of different settings."""
    if not out.exists():
        return
    if not resume:
        raise BadInput(f"{out} exists already; add --resume to keep finished runs, or choose another --out.")
    if read_yaml(out / "config.yaml") != read_yaml_text(cell.settings):
        raise BadInput(f"{out} was run with other settings; choose another --out, or remove that folder.")


def read_yaml_text(text: str) -> Any:
    """Parse YAML that this program wrote."""
    import yaml

    return yaml.safe_load(text)


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"model": {"k": 4}} -> {"model.k": 4}."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """{"model.k": 4} -> {"model": {"k": 4}}."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *groups, last = key.split(".")
        place = nested
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = value
    return nested
