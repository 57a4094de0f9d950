"""Text files of a run, plain or packed: gzipped in kept copies, where they take well under half the room."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

from baselines.errors import BadInput
from experiments.files import replacing

SUFFIX = ".gz"
"""What the name of a packed file ends in."""


def packed(path: Path) -> Path:
    """Return where the packed file lies whose plain name is `path`."""
    return path.with_name(path.name + SUFFIX)


def stored(path: Path) -> Path | None:
    """Return `path` if it is there, else its packed file if that is, else None."""
    return next((candidate for candidate in (path, packed(path)) if candidate.exists()), None)


def read_stored(path: Path) -> bytes:
    """Return the content of a plain file, or what is packed in a file whose name says so.

    Raises:
        OSError: it is not there, or is damaged.
    """
    if path.suffix != SUFFIX:
        return path.read_bytes()
    try:
        return gzip.decompress(path.read_bytes())
    except (EOFError, zlib.error) as error:
        raise OSError(f"damaged gzip file: {error}") from error


def write_packed(path: Path, content: bytes) -> None:
    """Write the packed file whose plain name is `path`; the same content makes the same bytes."""
    with replacing(packed(path)) as temporary:
        temporary.write_bytes(gzip.compress(content, mtime=0))


def read_run_json(path: Path) -> dict[str, Any]:
    """Read a JSON object out of a run's folder.

    Raises:
        BadInput: it is not there, or is no JSON object.
    """
    try:
        value = json.loads(read_stored(path))
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read {path} ({error}): delete the run and run it again.") from error
    if not isinstance(value, dict):
        raise BadInput(f"{path} should hold a JSON object, found {type(value).__name__}")
    return value
