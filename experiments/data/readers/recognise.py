"""Which file of a folder is the log, and in which format it is written."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path
from typing import cast

from baselines.errors import BadInput
from experiments.data.readers.config import Format, ReaderConfig
from experiments.data.readers.parquet import INTERACTIONS
from experiments.data.readers.text import base_name, first_bytes

LOG_FILES: dict[str, tuple[str, ...]] = {  # what a folder's log is called, by format; the first that is there wins
    "parquet": (INTERACTIONS,),
    "recbole": ("*.inter",),
    "movielens": ("ratings*.dat", "u.data"),
    "comirec": ("*_train.txt",),
    "amazon": ("*.json", "*.jsonl"),
    "csv": ("ratings.csv", "interactions.csv", "events.csv", "*.csv", "*.tsv", "*.txt"),
}
NO_LOG = ("meta_*", "items.*", "movies.*", "*_item_cate.txt", "readme*", "license*")


def find_log(path: Path, options: ReaderConfig) -> Path:
    """Return `path`, or the one log file in the folder `path`.

    Raises:
        BadInput: no such path, no log in the folder, or several.
    """
    if not path.exists():
        raise BadInput(f"no such file or folder: {path}")
    if not path.is_dir():
        return path
    files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    formats = LOG_FILES if options.format == "auto" else {options.format: LOG_FILES[options.format]}
    for patterns in formats.values():
        for pattern in patterns:
            found = [file for file in files if _matches(file, pattern)]
            if len(found) > 1:
                names = ", ".join(file.name for file in found)
                raise BadInput(f"{path} holds several logs ({names}): give the path of one of them")
            if found:
                return found[0]
    kind = "" if options.format == "auto" else f" of format {options.format}"
    names = ", ".join(file.name for file in files[:10]) or "nothing"
    raise BadInput(f"{path} holds no log{kind} that can be recognised: found {names}; give the path of the file")


def recognise(path: Path, options: ReaderConfig) -> Format:
    """Return the format of a file, by its name and its first lines."""
    if options.format != "auto":
        return options.format
    head = first_bytes(path)
    name = base_name(path)
    if head.startswith(b"PAR1") or name.endswith(".parquet"):
        return "parquet"
    if b"\0" in head:
        raise BadInput(f"{path} is neither Parquet nor text: its first bytes are {head[:8]!r}")
    if options.names is not None:
        return "csv"
    first_line = re.split(rb"[\r\n]", head.removeprefix(b"\xef\xbb\xbf").lstrip(), maxsplit=1)[0]
    for form, looks_right in (
        ("recbole", name.endswith(".inter")),
        ("amazon", first_line.startswith(b"{")),
        ("movielens", b"::" in first_line or re.fullmatch(rb"\d+\t\d+\t\d+\t\d+", first_line) is not None),
        ("comirec", re.fullmatch(rb"\d+,\d+,\d+", first_line) is not None),
    ):
        if looks_right:
            return cast(Format, form)
    return "csv"


def _matches(file: Path, pattern: str) -> bool:
    name = base_name(file).lower()
    return fnmatch.fnmatch(name, pattern) and not any(fnmatch.fnmatch(name, other) for other in NO_LOG)
