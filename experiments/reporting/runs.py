"""Finished run directories, read back and checked to be comparable.

U users.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.errors import BadInput
from experiments.reporting.per_user import PerUser
from experiments.run_file import packed, read_run_json
from experiments.run_folder import PARTIAL, RECORD, REFUSED, RESULTS


@dataclass(frozen=True)
class Run:
    """One arm on one dataset with one seed. The per-user arrays are read from disk when they are asked for.

    Attributes:
        folder: the run directory.
        results: results.json as it stands.
        record: run.json as it stands: command, data, wall seconds, memory, parameters.
    """

    folder: Path
    results: Mapping[str, Any]
    record: Mapping[str, Any]

    @property
    def study(self) -> str | None:
        """The study's name; None for a run of its own."""
        name: str | None = self.results["study"]
        return name

    @property
    def dataset(self) -> str:
        """The dataset's name."""
        return str(self.results["dataset"])

    @property
    def arm(self) -> str:
        """The arm's name within its study."""
        return str(self.results["arm"])

    @property
    def method(self) -> str:
        """The method's registered name."""
        return str(self.results["method"])

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return int(self.results["seed"])

    @property
    def test(self) -> Mapping[str, float | None]:
        """Means over test users, by metric."""
        means: Mapping[str, float | None] = self.results["test"]
        return means

    @property
    def model(self) -> Mapping[str, Any]:
        """The method's configuration."""
        return self.results.get("model") or {}

    @property
    def interests(self) -> Mapping[str, Any] | None:
        """Interest diagnostics, or None for a method without interests."""
        return self.results.get("interests")

    @cached_property
    def live_k(self) -> Mapping[int, int]:
        """Number of users by number of live interests, ascending; empty for a method without interests."""
        histogram = (self.interests or {}).get("live_k_histogram") or {}
        return {k: n for k, n in sorted((int(k), int(n)) for k, n in histogram.items()) if n}

    @cached_property
    def mean_live_k(self) -> float | None:
        """Mean number of live interests of a user, or None for a method without interests."""
        n_users = sum(self.live_k.values())
        return sum(k * n for k, n in self.live_k.items()) / n_users if n_users else None

    @cached_property
    def _per_user(self) -> PerUser:
        return PerUser(self.folder)

    @property
    def users(self) -> NDArray[np.str_]:
        """Ids of the test users, [U] str."""
        return self._per_user.users

    def per_user(self, metric: str) -> NDArray[np.float64] | None:
        """One metric of each test user [U] float64, NaN where undefined; None for a metric of the whole corpus."""
        return self._per_user.metric(metric)


def load_runs(folder: Path) -> list[Run]:
    """Load every finished run below `folder` (or `folder` itself), in order of dataset, arm and seed.

    Folders that end in ".partial" are left out; `unfinished` counts them.

    Raises:
        BadInput: no folder, no finished run, a file that cannot be read (named), the same arm and seed twice, or runs
            on a dataset of one name that differ in data or protocol.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder} is not a folder: expected a run directory or a folder of run directories")
    found = {path.parent for name in (RESULTS, packed(Path(RESULTS)).name) for path in folder.rglob(name)}
    places = [place for place in found if not _is_partial(place, folder)]
    if not places:
        waiting = unfinished(folder)
        hint = f"; {waiting} unfinished, continue them with --resume" if waiting else ""
        raise BadInput(f"no finished run below {folder}: expected at least one {RESULTS}{hint}")
    runs = sorted((_load(place) for place in places), key=lambda run: (run.dataset, run.arm, run.seed))
    check_comparable(runs)
    return runs


def unfinished(folder: Path) -> int:
    """Count the run directories below `folder` that were begun and not finished."""
    return sum(path.is_dir() for path in folder.rglob(f"*{PARTIAL}"))


def refusals(folder: Path) -> dict[str, str]:
    """Why arms below `folder` have no run although they were tried: 'arm on dataset' -> the method's own words."""
    paths = sorted(folder.rglob(REFUSED))
    return {f"{path.parent.name} on {path.parent.parent.name}": str(read_run_json(path)["reason"]) for path in paths}


def check_comparable(runs: Iterable[Run]) -> None:
    """Refuse runs that do not belong in one table.

    Raises:
        BadInput: two runs of one arm, dataset and seed, or two runs on a dataset of one name that differ in the
            data's fingerprint, the protocol or the candidate set; the message names both and the difference.
    """
    seen: dict[tuple[str, str, int], Run] = {}
    first: dict[str, Run] = {}
    for run in runs:
        twin = seen.setdefault((run.dataset, run.arm, run.seed), run)
        if twin is not run:
            raise BadInput(
                f"arm '{run.arm}' on '{run.dataset}' with seed {run.seed} is there twice: {twin.folder} and "
                f"{run.folder}; report one study at a time"
            )
        reference = first.setdefault(run.dataset, run)
        ours, theirs = _terms(run), _terms(reference)
        for term in sorted(ours.keys() | theirs.keys()):
            if ours.get(term) != theirs.get(term):
                raise BadInput(
                    f"runs on '{run.dataset}' differ in {term}: {theirs.get(term)} in {reference.folder} but "
                    f"{ours.get(term)} in {run.folder}; they do not belong in one table: report them apart"
                )


def _terms(run: Run) -> dict[str, Any]:
    """What must be equal for two runs on a dataset to share a table."""
    terms = {"candidate_set": run.results.get("candidate_set")}
    terms["fingerprint"] = run.record["data"].get("fingerprint")
    protocol = run.results.get("protocol") or {}
    return terms | {f"protocol.{key}": value for key, value in protocol.items()}


def _is_partial(path: Path, root: Path) -> bool:
    return any(part.endswith(PARTIAL) for part in path.relative_to(root).parts)


def _load(folder: Path) -> Run:
    results, record = read_run_json(folder / RESULTS), read_run_json(folder / RECORD)
    missing = [key for key in ("study", "dataset", "arm", "method", "seed", "test") if key not in results]
    if missing:
        raise BadInput(f"{folder / RESULTS} lacks {', '.join(missing)}: delete the run and run it again")
    if not isinstance(record.get("data"), Mapping):
        raise BadInput(f"{folder / RECORD} lacks 'data': delete the run and run it again")
    return Run(folder, results, record)
