"""The canonical folder, `interactions.parquet` and `items.parquet`: see `experiments.data.canonical`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from baselines.errors import BadInput
from experiments.data.readers.catalogue import Catalogue, CatalogueBuilder, ItemFacts
from experiments.data.readers.config import ReaderConfig
from experiments.data.readers.rows import Rows
from experiments.data.readers.text import reading, sibling

INTERACTIONS = "interactions.parquet"
ITEMS = "items.parquet"


def read_parquet(path: Path, options: ReaderConfig) -> Rows:
    """Read `interactions.parquet`, with the `items.parquet` beside it where there is one."""
    rating = ["rating"] if options.min_rating is not None else []
    columns = _columns(path, required=["user_id", "item_id"], wanted=["timestamp", "position", *rating])
    if "timestamp" not in columns and "position" not in columns:
        raise BadInput(f"{path} has neither timestamp nor position: the order of the behaviours is unknown")
    items = sibling(path, ITEMS)
    return Rows(
        path=path,
        user=columns["user_id"],
        item=columns["item_id"],
        time=columns.get("timestamp"),
        position=columns.get("position"),
        rating=columns.get("rating"),
        place=lambda row: f"{path}, row {row + 1}",
        catalogue=None if items is None else _catalogue(items),
    )


def _columns(path: Path, required: list[str], wanted: list[str]) -> dict[str, Any]:
    """Read columns by name; the `wanted` ones only if they are there."""
    import pyarrow.parquet

    with reading(path), pyarrow.parquet.ParquetFile(path, page_checksum_verification=True) as file:
        names: list[str] = file.schema_arrow.names
        for name in required:
            if name not in names:
                raise BadInput(f"{path} has no column '{name}': found {', '.join(names)}")
        table = file.read(columns=[name for name in (*required, *wanted) if name in names], use_threads=False)
        return {name: table[name] for name in table.column_names}


def _catalogue(path: Path) -> Catalogue:
    """Read titles, categories and brands; null means unknown."""
    columns = _columns(path, required=["item_id"], wanted=["title", "categories", "brand"])
    n_rows = len(columns["item_id"])

    def values(name: str, kind: type) -> Iterable[Any]:
        read = columns[name].to_pylist() if name in columns else [None] * n_rows
        wrong = next((value for value in read if value is not None and not isinstance(value, kind)), None)
        if wrong is not None:
            raise BadInput(f"{path}: {name} must hold {kind.__name__} values, found {wrong!r}")
        return read

    builder = CatalogueBuilder()
    facts = values("title", str), values("categories", list), values("brand", str)
    for item, title, categories, brand in zip(columns["item_id"].to_pylist(), *facts, strict=True):
        builder.add(str(item), ItemFacts(title or "", tuple(str(name) for name in categories or ()), brand or ""))
    return builder.build()
