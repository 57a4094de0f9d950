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


def stored(path: Path) -> Path:
    """Return where the file lies whose plain name is `path`: there, or packed; `path` where it is neither."""
    return packed(path) if packed(path).exists() and not path.exists() else path


def read_stored(path: Path) -> bytes:
    """Return the content of the file whose plain name is `path`, be it plain or packed.

    Raises:
        OSError: it is not there, or is damaged.
    """
    place = stored(path)
    content = place.read_bytes()
    if place == path:
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, zlib.error) as error:
        raise OSError(f"damaged gzip file: {error}") from error


def write_packed(path: Path, content: bytes) -> None:
    """Write the packed file whose plain name is `path`; the same content makes the same bytes."""
    with replacing(packed(path)) as temporary:
        temporary.write_bytes(gzip.compress(content, mtime=0))


def read_run_json(path: Path) -> dict[str, Any]:
    """Read a JSON object, plain or packed, out of a run's folder.

    Raises:
        BadInput: it is not there, or is no JSON object.
    """
    try:
        value = json.loads(read_stored(path))
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read {stored(path)} ({error}): delete the run and run it again.") from error
    if not isinstance(value, dict):
        raise BadInput(f"{stored(path)} should hold a JSON object, found {type(value).__name__}")
    return value
