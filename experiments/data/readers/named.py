"""CSV and TSV with named columns, and RecBole's atomic files, which are TSV with typed names.

RecBole: https://recbole.io/docs/user_guide/data/atomic_files.html (`.inter`, `.item`; `name:type` headers, types token,
token_seq, float, float_seq; values of a sequence are separated by blanks).

F fields.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from baselines.errors import BadInput
from experiments.data.readers.catalogue import Catalogue, CatalogueBuilder, ItemFacts
from experiments.data.readers.config import ReaderConfig
from experiments.data.readers.delimited import Delimited
from experiments.data.readers.rows import Rows
from experiments.data.readers.text import base_name, first_bytes, reading, sibling

SYNONYMS = {  # compared without case and punctuation; the first that is there wins
    "user": ("userid", "user", "uid", "visitorid", "reviewerid", "customerid", "memberid", "sessionid"),
    "item": (
        *("itemid", "item", "iid", "productid", "movieid", "parentasin", "asin", "articleid", "trackid", "songid"),
        *("artistid", "bookid", "isbn", "businessid", "venueid", "locationid"),
    ),
    "time": ("timestamp", "time", "unixreviewtime", "datetime", "date", "ts", "eventtime", "createdat"),
    "position": ("position",),
    "rating": ("rating", "overall", "stars", "score"),
}
TITLES = ("title", "movietitle", "itemtitle", "productname", "itemname", "name")
CATEGORIES = ("categories", "genres", "class", "category", "genre", "categoryid")
BRANDS = ("brand", "store", "manufacturer")


def read_csv(path: Path, options: ReaderConfig) -> Rows:
    """Read a separated file with a header line, or headerless with `names`.

    Titles and categories (separated by `|`) are taken from an `items` or `movies` file of the same kind beside it.
    """
    separator = _separator(path, options)
    names, header_lines = (list(options.names), 0) if options.names else _header(path, separator, options.encoding)
    beside = [f"{stem}.{ending}" for stem in ("items", "movies") for ending in ("csv", "tsv")]
    listed = sibling(path, *beside)
    catalogue = None
    if listed is not None:
        catalogue = _catalogue(listed, _separator(listed, ReaderConfig()), "|", options.encoding)
    table = Delimited(
        path=path,
        separator=separator,
        n_fields=len(names),
        header_lines=header_lines,
        quote=_quote(separator),
        encoding=options.encoding,
        expected=f"{len(names)} fields ({', '.join(names)})",
    )
    return _rows(table, names, options, catalogue)


def read_recbole(path: Path, options: ReaderConfig) -> Rows:
    """Read an `.inter` file, with the `.item` file beside it where there is one."""
    names, header_lines = _header(path, "\t", "utf-8")
    listed = sibling(path, base_name(path).removesuffix(".inter") + ".item")
    catalogue = None if listed is None else _catalogue(listed, "\t", " ", "utf-8")
    table = Delimited(
        path=path,
        separator="\t",
        n_fields=len(names),
        header_lines=header_lines,
        expected=f"{len(names)} fields separated by tabulators ({', '.join(names)})",
    )
    return _rows(table, [name.split(":")[0] for name in names], options, catalogue)


def find_column(role: str, names: Sequence[str], chosen: str | None, path: Path) -> int | None:
    """Return the index of the column that plays `role`, or None.

    Raises:
        BadInput: `chosen` is not among `names`.
    """
    if chosen is not None:
        if chosen not in names:
            near = difflib.get_close_matches(chosen, names, n=1, cutoff=0.3)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise BadInput(f"{path} has no column '{chosen}': found {', '.join(names)}{hint}")
        return names.index(chosen)
    return _first(SYNONYMS[role], names)


def require_column(role: str, names: Sequence[str], chosen: str | None, path: Path) -> int:
    """Return the index of the column that plays `role`.

    Raises:
        BadInput: there is none; names the columns found and the nearest.
    """
    found = find_column(role, names, chosen, path)
    if found is None:
        near = difflib.get_close_matches(role, names, n=1, cutoff=0.3)
        hint = f" (nearest: '{near[0]}')" if near else ""
        shown = ", ".join(names[:10]) + (f" and {len(names) - 10:,} more" if len(names) > 10 else "")
        raise BadInput(
            f"{path} has no {role} column: found {shown}{hint}; "
            f"say which it is with --data.reader.{role}_column, or name the columns with --data.reader.names if the "
            "file has no header"
        )
    return found


def _rows(table: Delimited, names: Sequence[str], options: ReaderConfig, catalogue: Catalogue | None) -> Rows:
    """Read the columns that play a role."""
    user = require_column("user", names, options.user_column, table.path)
    item = require_column("item", names, options.item_column, table.path)
    time = find_column("time", names, options.time_column, table.path)
    position = find_column("position", names, options.position_column, table.path)
    rating = None
    if options.min_rating is not None:
        rating = require_column("rating", names, options.rating_column, table.path)
    if time is None and position is None and not options.order_only:
        raise BadInput(
            f"{table.path} has neither a time nor a position column: found {', '.join(names)}; say which it is with "
            "--data.reader.time_column, or set --data.reader.order_only true if the rows are in order of time"
        )
    roles = [f for f in (user, item, time, position, rating) if f is not None]
    read: dict[int, Any] = dict(zip(roles, table.columns(roles), strict=True))
    return Rows(
        path=table.path,
        user=read[user],
        item=read[item],
        time=None if time is None else read[time],
        position=None if position is None else read[position],
        rating=None if rating is None else read[rating],
        place=table.place,
        catalogue=catalogue,
    )


def _catalogue(path: Path, separator: str, list_separator: str, encoding: str) -> Catalogue:
    """Read titles, categories and brands from a table of items."""
    names, header_lines = _header(path, separator, encoding)
    plain = [name.split(":")[0] for name in names]
    columns = [require_column("item", plain, None, path)]
    columns += [-1 if found is None else found for found in (_first(k, plain) for k in (TITLES, CATEGORIES, BRANDS))]
    table = Delimited(
        path=path,
        separator=separator,
        n_fields=len(names),
        header_lines=header_lines,
        quote=_quote(separator),
        encoding=encoding,
        expected=f"{len(names)} fields ({', '.join(names)})",
    )
    read = table.columns([f for f in columns if f >= 0])
    listed = iter(column.to_pylist() for column in read)
    ids, titles, categories, brands = (next(listed) if f >= 0 else [""] * len(read[0]) for f in columns)
    builder = CatalogueBuilder()
    for item, title, categories_text, brand in zip(ids, titles, categories, brands, strict=True):
        parts = (part.strip() for part in categories_text.split(list_separator))
        builder.add(item.strip(), ItemFacts(title.strip(), tuple(part for part in parts if part), brand.strip()))
    return builder.build()


def _header(path: Path, separator: str, encoding: str) -> tuple[list[str], int]:
    """Return the names in the first line that is not blank, and that line's number."""
    with reading(path):
        head = first_bytes(path).decode(encoding, errors="replace").removeprefix("\ufeff")
    lines = re.split(r"\r\n|\r|\n", head)
    number = next((number for number, line in enumerate(lines, 1) if line), 0)
    if number == 0:
        raise BadInput(f"{path} holds nothing but blank lines: expected a header line")
    if "\ufffd" in lines[number - 1]:
        raise BadInput(f"{path}, line {number}: not {encoding} text: set `encoding` (latin-1, ...)")
    return [name.strip() for name in next(csv.reader([lines[number - 1]], delimiter=separator))], number


def _separator(path: Path, options: ReaderConfig) -> str:
    """Return the field separator: as configured, or the most frequent candidate of the first line."""
    if options.separator is None:
        first_line = first_bytes(path).lstrip().splitlines()[0].decode("latin-1")
        return max(",\t;|", key=first_line.count)
    separator = {"tab": "\t", "\\t": "\t"}.get(options.separator, options.separator)
    if len(separator.encode()) != 1 or separator in '"\r\n':
        raise BadInput(f"`separator` must be one ASCII character or `tab`, found {separator!r}")
    return separator


def _quote(separator: str) -> str | None:
    """Tab- and bar-separated text knows no quotes: there a quotation mark is part of a title."""
    return '"' if separator in ",;" else None


def _first(known: Sequence[str], names: Sequence[str]) -> int | None:
    """Return the index of the first of `known` among `names`, compared without case and punctuation."""
    plain = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in names]
    return next((plain.index(name) for name in known if name in plain), None)
