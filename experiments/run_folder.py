"""The run directory: it appears under its name only when it is whole; until then it is `NAME.partial`."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from baselines.errors import BadInput
from experiments.files import write_text
from experiments.run_file import read_run_json, read_stored, stored

CONFIG, RESULTS, RECORD = "config.yaml", "results.json", "run.json"
CHECKPOINT, METRICS, MODEL = "state.pt", "metrics.jsonl", "model"

PARTIAL = ".partial"
"""Ending of a run directory that is being worked on."""

REFUSED = "refused.json"
"""In an arm's folder: why its method declined the dataset."""


def finished_results(out: Path, settings: str, *, resume: bool) -> dict[str, Any] | None:
    """Return the results of the finished run in `out`, None where there is none yet.

    Raises:
        BadInput: something is there and `resume` is not asked for, or it is not a run of these settings; or an
            unfinished run is there under the same conditions.
    """
    partial = partial_of(out)
    if (partial / CONFIG).exists() and not out.exists():
        if not resume:
            raise BadInput(f"an unfinished run lies in {partial}; add --resume to go on with it, or remove it.")
        check_settings(partial, settings)
    if not out.exists():
        return None
    finished = stored(out / RESULTS).is_file()
    if not resume or not finished:
        hint = "add --resume to keep it, " if finished else ""
        raise BadInput(f"{out} exists already and is not overwritten; {hint}choose another --out, or remove it.")
    check_settings(out, settings)
    return read_run_json(out / RESULTS)


@contextmanager
def claimed(out: Path, settings: str) -> Iterator[Path]:
    """Yield `out`.partial, ours alone while the block runs; it takes the name `out` when the block ends well.

    What the block has written stays where it fails, for --resume; unless the input was bad and nothing was learnt yet.

    Args:
        out: the run directory, for which `finished_results` found nothing.
        settings: the YAML that becomes config.yaml.

    Raises:
        BadInput: another process is at work there.
    """
    partial = partial_of(out)
    partial.mkdir(parents=True, exist_ok=True)
    with locked(partial):
        for stale in partial.rglob(".*.tmp"):  # of a process that was killed while it wrote
            stale.unlink()
        shutil.rmtree(partial / "wandb", ignore_errors=True)
        write_text(partial / CONFIG, settings)
        try:
            yield partial
        except BadInput:
            if not (partial / CHECKPOINT).exists():
                shutil.rmtree(partial)
            raise
        (partial / CHECKPOINT).unlink(missing_ok=True)
        partial.rename(out)


def linked(source: Path, folder: Path, names: Iterable[str]) -> None:
    """Give `folder` the named files and folders of `source` that are there, without a second copy where links can be.

    Files of a run are replaced and never changed, so that a link is as good as a copy.
    """

    def link(one: str, other: str) -> None:
        try:
            os.link(one, other)
        except OSError:  # another disk, or one that knows no links
            shutil.copy2(one, other)

    for name in names:
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).unlink(missing_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, folder / name, copy_function=link)
        elif (source / name).exists():
            link(str(source / name), str(folder / name))


def settings_digest(folder: Path) -> str:
    """Return 16 hexadecimal digits that change with any byte of config.yaml."""
    return hashlib.blake2b((folder / CONFIG).read_bytes(), digest_size=8).hexdigest()


def partial_of(out: Path) -> Path:
    """Return the name of a run directory that is not whole yet."""
    return out.with_name(out.name + PARTIAL)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out; the system forgets the lock with the process, however it ends."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadInput(f"another process is at work in {folder}; wait for it, or choose another --out.") from error
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP):  # some network file systems know no locks
                raise
        yield
    finally:
        os.close(handle)


def check_settings(folder: Path, settings: str) -> None:
    """Refuse to mix runs of different settings, and say which differ.

    A run that was made before a setting existed did what that setting's default does, and counts as having it.
    """
    try:
        written = yaml.safe_load(read_stored(folder / CONFIG))
        theirs = _leaves(written)
    except (OSError, ValueError, yaml.YAMLError, AttributeError) as error:
        raise BadInput(f"{folder / CONFIG} cannot be read; remove {folder}, or choose another --out.") from error
    ours = _leaves(yaml.safe_load(settings))
    if ours.keys() - theirs.keys():
        theirs = _leaves(_completed(written))
    if ours != theirs:
        changed = [key for key in {**theirs, **ours} if ours.get(key) != theirs.get(key)]
        told = ", ".join(f"{key} {_shown(theirs, key)}, now {_shown(ours, key)}" for key in changed[:3])
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise BadInput(f"{folder} was run with other settings ({told}{more}); choose another --out, or remove it.")


def _completed(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add what `settings` lack, at its default; left as they are where they hold what is no setting any more."""
    from experiments.cli.arguments import make_run  # here, not above: of no use where nothing is lacking

    try:
        completed: Mapping[str, Any] = yaml.safe_load(make_run(settings)[1])
    except (BadInput, KeyError):
        return settings
    return completed


def _leaves(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"model": {"k": 4}} -> {"model.k": 4}."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        nested = isinstance(value, Mapping) and value
        flat |= _leaves(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return flat


def _shown(settings: Mapping[str, Any], key: str) -> str:
    return str(settings[key]) if key in settings else "absent"
