"""What run.json tells of a run: from what, by what and at what cost."""

from __future__ import annotations

import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from experiments.data.dataset import Dataset

_DEPENDENCIES = ("torch", "numpy", "scipy", "scikit-learn", "numba", "hdbscan", "diffusers", "safetensors", "pyarrow")


def describe_code() -> dict[str, Any]:
    """Return the versions of the package and of what it stands on."""
    return {"code_version": code_version(), "dependencies": {name: version(name) for name in _DEPENDENCIES}}


def describe_data(dataset: Dataset) -> dict[str, Any]:
    """Return name, fingerprint and sizes of the data."""
    return {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint(),
        "users": dataset.log.n_users,
        "items": dataset.n_items,
        "interactions": len(dataset.log),
        "counts": dict(dataset.counts),
    }


@cache
def code_version() -> str:
    """Return the package's version, and the commit where the code is a checkout ("+" = with changes)."""
    try:
        number = version("adaptive-mi")
    except PackageNotFoundError:
        number = "unknown"
    asked = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        commit = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return number
    return f"{number} ({commit})"
