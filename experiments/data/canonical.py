"""Writing the canonical folder, which every later command reads in a fraction of a second.

`interactions.parquet` (zstd, sorted by user and position)

| column | type | meaning |
|---|---|---|
| user_id | int64, or string where the source's ids are strings | original id |
| item_id | int64, or string where the source's ids are strings | original id |
| timestamp | int64 | Unix seconds, UTC; the column is absent where only the order is known |
| position | int32 | index within the user, in order of time |

`items.parquet` (one row per item that occurs)

| column | type | meaning |
|---|---|---|
| item_id | as above | original id |
| raw_id | string | the same as text |
| title | string | null where unknown |
| categories | list of string | general to specific where the source gives a path; empty where unknown |
| brand | string | null where unknown |

Law: reading what was written gives a log with the same fingerprint, and the same metadata.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np

from baselines.errors import BadInput
from experiments.data.log import position_within
from experiments.data.readers.parquet import INTERACTIONS, ITEMS
from experiments.data.readers.rows import RawData


def write_canonical(raw: RawData, folder: Path) -> None:
    """Write `folder` whole or not at all.

    Raises:
        BadInput: the folder exists, or cannot be written (no space, no permission).
    """
    if folder.exists():
        raise BadInput(f"{folder} exists already and nothing is overwritten: remove it, or give another folder")
    unfinished: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        _write(raw, unfinished)
        unfinished.chmod(0o755)  # mkdtemp makes it private
        unfinished.rename(folder)
    except OSError as error:
        raise BadInput(f"cannot write {folder}: {error}") from error
    finally:
        if unfinished is not None:
            shutil.rmtree(unfinished, ignore_errors=True)  # gone already where the renaming succeeded


def _write(raw: RawData, folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    log, metadata = raw.log, raw.metadata
    columns = {
        "user_id": pa.array(log.user_ids[log.user]),
        "item_id": pa.array(log.item_ids[log.item]),
        "timestamp": pa.array(log.timestamp),
        "position": pa.array(position_within(log.user).astype(np.int32)),
    }
    if not log.has_time:
        del columns["timestamp"]
    item_ids = log.item_ids[1:]
    items = {
        "item_id": pa.array(item_ids),
        "raw_id": pa.array(item_ids.astype(np.str_)),
        "title": pa.array([title or None for title in metadata.titles[1:]], pa.string()),
        "categories": pa.array([list(names) for names in metadata.categories[1:]], pa.list_(pa.string())),
        "brand": pa.array([brand or None for brand in metadata.brands[1:]], pa.string()),
    }
    for name, table in ((INTERACTIONS, columns), (ITEMS, items)):
        pyarrow.parquet.write_table(pa.table(table), folder / name, compression="zstd", write_page_checksum=True)
