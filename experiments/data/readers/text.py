"""Opening raw files, plain or gzipped, and finding the line that is to blame. R rows."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from baselines.errors import BadInput

GZIP_MAGIC = b"\x1f\x8b"


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn every failure to read `path` into one BadInput that names it."""
    import pyarrow as pa

    try:
        yield
    except BadInput:
        raise
    except FileNotFoundError as error:
        raise BadInput(f"no such file: {path}") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{path} is a truncated or corrupt gzip file ({error}): fetch it again") from error
    except UnicodeError as error:
        raise BadInput(f"{path} is not {getattr(error, 'encoding', 'UTF-8')} text ({error}): set `encoding`") from error
    except LookupError as error:
        raise BadInput(f"cannot decode {path}: {error}") from error
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise BadInput(f"cannot read {path}: truncated, corrupt or not of the expected format ({reason})") from error


def is_gzip(path: Path) -> bool:
    """Whether the file's content is gzipped.

    Raises:
        BadInput: named `.gz` but not gzipped.
    """
    with open(path, "rb") as file:
        start = file.read(2)
    if path.suffix == ".gz" and start != GZIP_MAGIC:
        raise BadInput(f"{path} is named .gz but is not a gzip file: fetch it again, or rename it")
    return start == GZIP_MAGIC


def open_bytes(path: Path) -> IO[bytes]:
    """Open for reading, decompressed."""
    return gzip.open(path, "rb") if is_gzip(path) else open(path, "rb")  # type: ignore[return-value]


def open_text(path: Path, encoding: str = "utf-8") -> IO[str]:
    """Open for reading, decompressed and decoded; a byte-order mark is dropped."""
    codec = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    return io.TextIOWrapper(open_bytes(path), codec, newline=None)


def arrow_stream(path: Path) -> Any:
    """Open for pyarrow, decompressed in its own threads of control."""
    import pyarrow as pa

    return pa.input_stream(str(path), compression="gzip" if is_gzip(path) else None)


def first_bytes(path: Path, size: int = 1 << 16) -> bytes:
    """Return the first `size` decompressed bytes.

    Raises:
        BadInput: an empty file.
    """
    with reading(path), open_bytes(path) as file:
        head = file.read(size)
    if not head.removeprefix(b"\xef\xbb\xbf").strip():
        raise BadInput(f"{path} is empty: expected at least one behaviour")
    return head


def sibling(path: Path, *names: str) -> Path | None:
    """Return the first of `names` (or of `names` + .gz) that lies beside `path`, or None."""
    found = (path.parent / (name + suffix) for name in names for suffix in ("", ".gz"))
    return next((candidate for candidate in found if candidate.is_file() and candidate != path), None)


def base_name(path: Path) -> str:
    """Return the file's name without .gz."""
    return path.name.removesuffix(".gz")


def records(path: Path, separator: str, quote: str | None) -> Iterator[tuple[int, list[str]]]:
    """Yield every non-empty record with the number of the line on which it begins: slow, for error messages only."""
    csv.field_size_limit(1 << 30)
    with open_text(path, "latin-1") as file:
        reader = (
            csv.reader(file, delimiter=separator, quoting=csv.QUOTE_NONE)
            if quote is None
            else csv.reader(file, delimiter=separator, quotechar=quote)
        )
        begin = 1
        for record in reader:
            if record:
                yield begin, record
            begin = reader.line_num + 1
