"""Raw file -> validated InteractionLog and item metadata, whatever the format.

| format | recognised by | metadata beside it |
|---|---|---|
| parquet | `interactions.parquet` | `items.parquet` |
| recbole | `*.inter` | `*.item` |
| movielens | `::`, or four numbers with tabulators | `movies.dat`, `u.item` |
| amazon | lines of JSON | `meta_*.json` |
| comirec | three numbers with commas | `*_item_cate.txt` |
| csv | anything else | `items.csv`, `movies.csv` |

Every text file may be gzipped. Adding a format costs one file that returns `Rows`, and one line in `READERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from baselines.errors import unknown_name
from experiments.data.readers.amazon import read_amazon
from experiments.data.readers.comirec import read_comirec
from experiments.data.readers.config import ReaderConfig
from experiments.data.readers.movielens import read_movielens
from experiments.data.readers.named import read_csv, read_recbole
from experiments.data.readers.parquet import read_parquet
from experiments.data.readers.recognise import find_log, recognise
from experiments.data.readers.rows import RawData, Rows
from experiments.data.readers.text import reading

READERS: Mapping[str, Callable[[Path, ReaderConfig], Rows]] = {
    "parquet": read_parquet,
    "csv": read_csv,
    "recbole": read_recbole,
    "movielens": read_movielens,
    "amazon": read_amazon,
    "comirec": read_comirec,
}


def read_log(path: Path, options: ReaderConfig | None = None) -> RawData:
    """Read a file, or the one log in a folder.

    Args:
        path: file or folder.
        options: how to read it; None = recognise everything.

    Repairs, counted in `log.repairs`: those of `InteractionLog.from_arrays` (`unsorted_rows`, `duplicate_rows`),
    `rows_below_min_rating`, `items_without_metadata` (items that occur but that the metadata do not list),
    `duplicate_metadata_rows` (the first is believed). Metadata of items that never occur are left out, uncounted.

    Raises:
        BadInput: whatever is wrong with the file, with the line where there is one.
    """
    options = options or ReaderConfig()
    if options.format not in ("auto", *READERS):
        raise unknown_name("format", options.format, ("auto", *READERS))
    log_file = find_log(Path(path), options)
    form = recognise(log_file, options)
    if form == "amazon" and options.id_type == "auto":
        options = replace(options, id_type="token")  # an ASIN may consist of digits; it is a name all the same
    with reading(log_file):
        return READERS[form](log_file, options).interpreted(options, _name(Path(path)))


def _name(path: Path) -> str:
    """Name a log after its folder, or its file without endings."""
    return path.resolve().name if path.is_dir() else path.name.split(".")[0]
