"""The metrics of each test user on disk: as a run writes them, and compact, as they are committed.

U users, C metrics, M distinct rows.

A run's own file holds `user_id` [U] and `metric/NAME` [U] float32. The compact one holds the same bits in less room:
ids lie once above all runs of a dataset, and users with the same value of every metric share a row.

    metrics [C] names    values [C, M] float32    row [U] of each user, in order of id    users: digest of the ids
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.errors import BadInput
from experiments.files import replacing

FILE = "per_user.npz"
USERS = "test_users.npz"
"""In a kept dataset's folder, two above a run's: the ids that the compact files leave out, ascending."""


@dataclass(frozen=True)
class PerUser:
    """The per-user metrics of a run, read when they are asked for.

    Attributes:
        folder: the run directory.
    """

    folder: Path

    @cached_property
    def users(self) -> NDArray[np.str_]:
        """Ids of the test users, [U] str."""
        digest = self._array("users")
        if digest is None:
            users = self._array("user_id")
            if users is None:
                raise BadInput(f"{self.folder / FILE} has no array 'user_id': expected the test users' ids")
            return users.astype(str)
        path = self.folder.parent.parent / USERS
        users = _ids(path, path.stat().st_mtime_ns) if path.exists() else None
        if users is None or _digest(users) != str(digest):
            raise BadInput(
                f"{path} does not hold the users that {self.folder} was tested on: keep that run again with "
                "'adaptive-mi report RUNS --keep'"
            )
        return users

    def metric(self, name: str) -> NDArray[np.float64] | None:
        """One metric of each of `users` [U] float64, NaN where undefined; None for a metric that has no such value."""
        names = self._array("metrics")
        if names is None:
            values = self._array(f"metric/{name}")
        elif name in names:
            table, row = self._array("values"), self._array("row")
            assert table is not None
            assert row is not None
            values = table[names.tolist().index(name)][row]
        else:
            values = None
        if values is not None and len(values) != len(self.users):
            raise BadInput(
                f"{self.folder / FILE}: metric/{name} has {len(values)} entries for {len(self.users)} users; "
                "delete the run and run it again"
            )
        return None if values is None else values.astype(np.float64)

    def _array(self, key: str) -> NDArray[Any] | None:
        return _read(self.folder / FILE, key)


def write_compact(source: PerUser, metrics: Sequence[str], target: Path) -> None:
    """Write the metrics of `source` that have a value per user into the run directory `target`, and the ids above it.

    Ids of other users there are replaced; runs that were tested on them are refused from then on, not misread.
    """
    order = np.argsort(source.users, kind="stable")
    users = source.users[order]
    found = {name: values[order] for name in metrics if (values := source.metric(name)) is not None}
    columns = np.array(list(found.values()), np.float32).reshape(len(found), len(users))  # [C, U]
    bits, row = np.unique(columns.T.view(np.int32), axis=0, return_inverse=True)  # as integers, NaN equals NaN
    values = np.ascontiguousarray(bits.T).view(np.float32)  # [C, M]
    path = target.parent.parent / USERS
    known = _read(path, "user_id") if path.exists() else None
    if known is None or not np.array_equal(known, users):
        _write(path, user_id=users)
    codes = row.ravel().astype(np.min_scalar_type(max(len(bits) - 1, 0)))
    _write(target / FILE, metrics=np.array(list(found), str), values=values, row=codes, users=np.array(_digest(users)))


def _write(path: Path, **arrays: NDArray[Any]) -> None:
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def _read(path: Path, key: str) -> NDArray[Any] | None:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found: NDArray[Any] | None = arrays.get(key)
            return found
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BadInput(f"cannot read {path} ({error}): delete the run and run it again") from error


@lru_cache(maxsize=8)
def _ids(path: Path, _: int) -> NDArray[np.str_] | None:
    """Read the ids once for all runs of a dataset, as long as the file does not change."""
    return _read(path, "user_id")


def _digest(users: NDArray[np.str_]) -> str:
    return hashlib.blake2b("\n".join(users.tolist()).encode(), digest_size=8).hexdigest()
