"""Is this machine ready? One row per thing that a run needs, with a remedy where it is missing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from baselines.errors import BadInput
from experiments.reporting.table import Table

PACKAGE = "adaptive-mi"
LOW_DISK_GB = 5.0
"""Below this the doctor warns: the largest datasets with their runs need a few gigabytes."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: the thing.
        status: "fail" stops a run; "warn" takes something away from it.
        found: what is there.
        remedy: what to do about it; "" where nothing is to be done.
    """

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """All checks, in order."""

    checks: tuple[Check, ...]

    @property
    def healthy(self) -> bool:
        """Whether no check failed; warnings do not count."""
        return all(check.status != "fail" for check in self.checks)

    def table(self) -> Table:
        """Return a row per check."""
        rows = [[check.name, check.status, check.found, check.remedy] for check in self.checks]
        return Table(["check", "status", "found", "remedy"], rows)


def doctor(data_root: Path | None = None) -> Diagnosis:
    """Look at Python, the dependencies, torch, numba, the disk, the data and Weights & Biases.

    A check that raises becomes a failed check with the error's text: the doctor always ends.

    Args:
        data_root: the folder of the datasets; None = $ADAPTIVE_MI_DATA, or the cache folder. Nothing is created.
    """
    checks: list[Check] = [_python(), *_guarded("dependencies", _dependencies)]
    checks += _guarded("device", _torch, "install torch again")
    checks += _guarded("numba kernels", _numba, "install numba and llvmlite again: the compiled kernels need them")
    checks += _guarded("numba cache", _numba_cache)
    checks += _guarded("disk", _disk)
    checks += _guarded("data root", lambda: _data(data_root), "the synthetic data need no folder")
    checks += _guarded("tracking", _tracking)
    return Diagnosis(tuple(checks))


def _guarded(name: str, check: Callable[[], Iterator[Check]], remedy: str = "") -> list[Check]:
    try:
        return list(check())
    except Exception as error:  # a broken installation raises anything: OSError, ImportError, its own
        kind = "" if isinstance(error, BadInput) else f"{type(error).__name__}: "
        return [Check(name, "fail", " ".join(f"{kind}{error}".split()), remedy)]


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    old = sys.version_info < (3, 11)
    return Check("python", "fail" if old else "ok", version, "use Python 3.11 or later" if old else "")


def _dependencies() -> Iterator[Check]:
    """Compare what is installed with the ranges that the package's own metadata asks for."""
    from packaging.requirements import Requirement

    for requirement in map(Requirement, metadata.requires(PACKAGE) or ()):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        wanted = f"{requirement.name}{requirement.specifier}"
        try:
            installed = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            yield Check(requirement.name, "fail", "not installed", f"install '{wanted}'")
            continue
        fits = requirement.specifier.contains(installed, prereleases=True)
        yield Check(requirement.name, "ok" if fits else "fail", installed, "" if fits else f"install '{wanted}'")


def _torch() -> Iterator[Check]:
    import torch

    threads = f"{torch.get_num_threads()} threads on {os.cpu_count()} cores"
    if torch.cuda.is_available():
        yield Check("device", "ok", f"cuda ({torch.cuda.get_device_name()}), {threads}")
    else:
        yield Check("device", "ok", f"cpu, {threads}")


def _numba() -> Iterator[Check]:
    from time import perf_counter

    import numpy as np
    from numba import njit

    started = perf_counter()
    total = njit(lambda values: values.sum())(np.arange(4))
    seconds = perf_counter() - started
    if total == 6:
        yield Check("numba kernels", "ok", f"compiled a kernel in {seconds:.1f} s")
    else:
        yield Check("numba kernels", "fail", f"a kernel returned {total} for 0 + 1 + 2 + 3", "install numba again")


def _numba_cache() -> Iterator[Check]:
    own = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(own) if own else Path(__file__).parent
    writable = os.access(_nearest(folder), os.W_OK)
    remedy = "" if writable else "set NUMBA_CACHE_DIR to a folder that can be written, or every start compiles again"
    yield Check("numba cache", "ok" if writable else "warn", str(folder), remedy)


def _disk() -> Iterator[Check]:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    remedy = "" if free >= LOW_DISK_GB else "free some space, or write the runs elsewhere with --out"
    yield Check("disk", "warn" if remedy else "ok", f"{free:.1f} GB free here", remedy)


def _data(data_root: Path | None) -> Iterator[Check]:
    from experiments.data.registry import DATASETS, search_path

    roots = search_path(data_root)
    names = [name for name in DATASETS if any((root / name).exists() for root in roots)]
    where = " and ".join(map(str, roots))
    yield Check("datasets", "ok", f"{', '.join(names) or 'none yet, but the synthetic data'} (in {where})")
    cache = roots[-1]  # the last root is where downloads go
    writable = os.access(_nearest(cache), os.W_OK)
    remedy = "" if writable else "make it writable, or downloads fail; datasets by path still work"
    yield Check("download cache", "ok" if writable else "warn", str(cache), remedy)


def _tracking() -> Iterator[Check]:
    from experiments.tracking import key_is_configured

    mode = os.environ.get("WANDB_MODE")
    if mode:
        yield Check("tracking", "ok", f"{mode}, as $WANDB_MODE says")
    elif key_is_configured():
        yield Check("tracking", "ok", "online: a key is configured")
    else:
        yield Check("tracking", "ok", "offline: no key is configured", "`wandb login` to mirror runs online")


def _nearest(folder: Path) -> Path:
    """Return the folder itself, or the nearest parent that exists."""
    folder = folder.absolute()
    return folder if folder.exists() else _nearest(folder.parent)
