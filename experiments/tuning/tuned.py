"""Tuned settings: one YAML file for each method and dataset, which `--config` reloads. No torch here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from baselines.errors import BadInput
from experiments.cli.arguments import make_run, read_settings
from experiments.files import write_text
from experiments.settings import nest
from experiments.tuning.space import space_of

PACKAGED = Path(__file__).resolve().parent.parent / "tuned"
"""Where the settings that come with the package lie: `PACKAGED`/<dataset>/<method>.yaml."""


def tuned_path(folder: Path, dataset: str, method: str) -> Path:
    """Return where the tuned settings of `method` on `dataset` lie."""
    return folder / dataset / f"{method}.yaml"


def write_tuned(path: Path, method: str, flat: Mapping[str, Any], header: Iterable[str]) -> None:
    """Write settings, given by dotted key, below a comment; atomically."""
    comment = "".join(f"# {line}\n" for line in header)
    write_text(path, comment + yaml.safe_dump({"method": method, **nest(flat)}, sort_keys=False, allow_unicode=True))


def has_choices(method: str) -> bool:
    """Whether there is anything to tune."""
    return bool(space_of(method, n_items=0))


def untuned(folder: Path, dataset: str, methods: Iterable[str]) -> list[str]:
    """Return the methods that have something to choose and no tuned settings on a dataset."""
    return [name for name in methods if has_choices(name) and not tuned_path(folder, dataset, name).exists()]


def not_tuned(folder: Path, dataset: str, missing: Sequence[str]) -> str:
    """Say which methods have no tuned settings on a dataset, and the command that makes them."""
    where = "" if folder == PACKAGED else f" --tuned-dir {folder}"
    return (
        f"not tuned on {dataset} yet: {', '.join(missing)}; "
        f"'adaptive-mi tune {missing[0]} --data {dataset} --trials 12{where}' does it, and so on for each."
    )


def tuned_elsewhere(folder: Path, dataset: str, fingerprint: str, methods: Iterable[str]) -> list[str]:
    """Return the methods whose settings were tuned on other data of that name."""
    paths = {name: tuned_path(folder, dataset, name) for name in methods if has_choices(name)}
    return [name for name, path in paths.items() if f", data {fingerprint}\n" not in path.read_text(encoding="utf-8")]


def read_tuned(folder: Path, dataset: str, method: str) -> dict[str, Any]:
    """Return the tuned settings of a method, nested; of one with nothing to choose, none but its name.

    Raises:
        BadInput: there are none, or the file is none of this method's.
    """
    if not has_choices(method):
        return {"method": method}
    path = tuned_path(folder, dataset, method)
    settings = read_settings(path)
    if settings.get("method") != method:
        raise BadInput(f"{path} must hold settings of {method}, found method: {settings.get('method')}.")
    try:
        make_run(settings)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    return settings
