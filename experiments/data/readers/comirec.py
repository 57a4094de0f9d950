"""ComiRec's text files: `user,item,position` per line, without a header; `item,category` beside them.

Cen et al., "Controllable Multi-Interest Framework for Recommendation", KDD 2020; as written by the authors'
preprocessing (`NAME_train.txt`, `NAME_valid.txt`, `NAME_test.txt`, `NAME_item_cate.txt`). The three parts hold
different users, so together they are the log.
"""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

from experiments.data.readers.catalogue import Catalogue, CatalogueBuilder, ItemFacts
from experiments.data.readers.config import ReaderConfig
from experiments.data.readers.delimited import Delimited
from experiments.data.readers.rows import Rows
from experiments.data.readers.text import base_name, sibling

PARTS = ("_train", "_valid", "_test")


def read_comirec(path: Path, options: ReaderConfig) -> Rows:
    """Read one file; given the training part, read the parts beside it too."""
    import pyarrow as pa

    del options
    stem = base_name(path).removesuffix(".txt")
    paths = [path]
    if stem.endswith("_train"):
        stem = stem.removesuffix("_train")
        beside = (sibling(path, f"{stem}{part}.txt") for part in PARTS[1:])
        paths += [part for part in beside if part is not None]
    tables = [Delimited(path=p, separator=",", n_fields=3, expected="user,item,position") for p in paths]
    read = [table.columns(range(3)) for table in tables]
    ends = list(accumulate(len(columns[0]) for columns in read))

    def place(row: int) -> str:
        part = next(p for p, end in enumerate(ends) if row < end)
        return tables[part].place(row - (ends[part - 1] if part else 0))

    user, item, position = (
        pa.chunked_array([chunk for columns in read for chunk in columns[f].chunks], pa.string()) for f in range(3)
    )
    categories = sibling(path, f"{stem}_item_cate.txt")
    catalogue = None if categories is None else _catalogue(categories)
    return Rows(path, user, item, None, position, None, place, catalogue)


def _catalogue(path: Path) -> Catalogue:
    """Read `item,category`."""
    table = Delimited(path=path, separator=",", n_fields=2, expected="item,category")
    items, categories = (column.to_pylist() for column in table.columns(range(2)))
    builder = CatalogueBuilder()
    for item, category in zip(items, categories, strict=True):
        builder.add(item.strip(), ItemFacts(categories=(category.strip(),)))
    return builder.build()
