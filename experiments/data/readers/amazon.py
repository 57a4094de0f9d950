"""Amazon reviews, one JSON object per line: the 2014 and 2018 releases (reviewerID, asin, unixReviewTime, overall) and
2023's (user_id, parent_asin, timestamp in milliseconds, rating).

He and McAuley, WWW 2016; McAuley et al., SIGIR 2015; Ni et al., EMNLP 2019. Metadata of 2014 are lines of Python
literals, of later releases JSON; both are read.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

from baselines.errors import BadInput
from experiments.data.readers.catalogue import Catalogue, CatalogueBuilder, ItemFacts
from experiments.data.readers.columns import shown
from experiments.data.readers.config import ReaderConfig
from experiments.data.readers.named import require_column
from experiments.data.readers.rows import Rows
from experiments.data.readers.text import arrow_stream, base_name, first_bytes, open_text, reading, sibling

BLOCK_BYTES = 1 << 24
"""A review must fit into one block of the parser."""


def read_amazon(path: Path, options: ReaderConfig) -> Rows:
    """Read reviews, with titles, categories and brands from the `meta_*` file beside them where there is one."""
    import pyarrow as pa
    import pyarrow.json

    roles = _roles(path, options)
    kinds = {"user": pa.string(), "item": pa.string(), "time": pa.int64(), "rating": pa.float64()}
    with reading(path), arrow_stream(path) as stream:
        try:
            table = pyarrow.json.read_json(
                stream,
                read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
                parse_options=pyarrow.json.ParseOptions(
                    explicit_schema=pa.schema([(name, kinds[role]) for role, name in roles.items()]),
                    unexpected_field_behavior="ignore",
                ),
            )
        except pa.ArrowException as error:
            raise _explained(path, roles, error) from error
    column = {role: table[name] for role, name in roles.items()}
    meta = _meta_beside(path)
    return Rows(
        path=path,
        user=column["user"],
        item=column["item"],
        time=column["time"],
        position=None,
        rating=column.get("rating"),
        place=lambda row: f"{path}, line {_line_of(path, row)}",
        catalogue=None if meta is None else _catalogue(meta, set(column["item"].unique().to_pylist())),
    )


def _roles(path: Path, options: ReaderConfig) -> dict[str, str]:
    """Return role -> field, from the fields of the first line."""
    first_line = first_bytes(path, BLOCK_BYTES).lstrip().splitlines()[0]
    try:
        names = list(json.loads(first_line))
    except (ValueError, TypeError, RecursionError) as error:
        found_text = shown(first_line.decode("latin-1"))
        raise BadInput(f"{path}, line 1: expected one JSON object, found {found_text}") from error
    fields = {
        "user": require_column("user", names, options.user_column, path),
        "item": require_column("item", names, options.item_column, path),
        "time": require_column("time", names, options.time_column, path),
    }
    if options.min_rating is not None:
        fields["rating"] = require_column("rating", names, options.rating_column, path)
    return {role: names[field] for role, field in fields.items()}


def _line_of(path: Path, row: int) -> int:
    """Return the line of row `row`; blank lines are no rows."""
    with open_text(path, "latin-1") as file:
        return next(islice((number for number, line in enumerate(file, 1) if line.strip()), row, None))


def _explained(path: Path, roles: Mapping[str, str], error: Exception) -> BadInput:
    """Find the line at which the parser gave up."""
    kinds: dict[str, type | tuple[type, ...]] = {"user": str, "item": str, "time": int, "rating": (int, float)}
    with reading(path), open_text(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                review = json.loads(line)
            except (ValueError, RecursionError):
                return BadInput(f"{path}, line {number}: expected one JSON object, found {shown(line.strip())}")
            if not isinstance(review, dict):
                return BadInput(f"{path}, line {number}: expected one JSON object, found {shown(line.strip())}")
            for role, name in roles.items():
                value = review.get(name)
                if value is not None and not isinstance(value, kinds[role]):
                    wanted = "a string" if kinds[role] is str else "a number"
                    return BadInput(f"{path}, line {number}: {name} must be {wanted}, found {shown(value)}")
    return BadInput(f"cannot read {path}: expected one JSON object per line ({' '.join(str(error).split())})")


def _meta_beside(path: Path) -> Path | None:
    """Return `meta_X.json` for `reviews_X_5.json` (2014), `X_5.json` (2018) or `X.jsonl` (2023)."""
    stem, _, ending = base_name(path).removeprefix("reviews_").rpartition(".")
    return sibling(path, f"meta_{stem}.{ending}", f"meta_{stem.removesuffix('_5')}.{ending}")


def _catalogue(path: Path, wanted: set[str | None]) -> Catalogue:
    """Read what the `wanted` items' lines say."""
    builder = CatalogueBuilder()
    with reading(path), open_text(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                product = json.loads(line) if line.startswith('{"') else ast.literal_eval(line.strip())
                item = product.get("parent_asin") or product["asin"]
                if item in wanted:
                    builder.add(item, _facts(product))
            except (ValueError, SyntaxError, TypeError, KeyError, AttributeError, RecursionError, MemoryError) as error:
                place = f"{path}, line {number}"
                raise BadInput(f"{place}: expected one object with an asin, found {shown(line)}") from error
    return builder.build()


def _facts(product: Mapping[str, Any]) -> ItemFacts:
    """Flatten 2014's list of category paths; later releases have one path."""
    categories = product.get("categories") or product.get("category") or []
    categories = categories if isinstance(categories, list) else [categories]
    paths = [names if isinstance(names, list) else [names] for names in categories]
    return ItemFacts(
        title=_text(product.get("title")),
        categories=tuple(dict.fromkeys(_text(name) for name in chain.from_iterable(paths) if name)),
        brand=_text(product.get("brand") or product.get("store")),
    )


def _text(value: object) -> str:
    """Return what UTF-8 can hold: some titles have half of a surrogate pair, which becomes a question mark."""
    return str(value or "").strip().encode("utf-8", "replace").decode()
