"""How a raw log is to be read: every knob of the readers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Format = Literal["auto", "parquet", "csv", "recbole", "movielens", "amazon", "comirec"]


@dataclass(frozen=True, kw_only=True)
class ReaderConfig:
    """How a raw log is to be read; the defaults recognise every supported format by its name and first lines."""

    format: Format = "auto"
    """parquet: the canonical folder; csv: any separated text; recbole: `.inter`; movielens: `::` files and ml-100k's
    `u.data`; amazon: reviews as JSON lines; comirec: `user,item,position`. `auto` looks at the file."""

    user_column: str | None = None
    """Name of the column of users (csv, recbole, amazon); None tries user_id, userId, visitorid, session_id, ..."""

    item_column: str | None = None
    """Name of the column of items; None tries item_id, itemId, movieId, product_id, asin, ..."""

    time_column: str | None = None
    """Name of the column of times; None tries timestamp, time, datetime, date, ..."""

    position_column: str | None = None
    """Name of a column of integers that orders a user's behaviours (ties of time, or all where there is no time);
    None tries position."""

    rating_column: str | None = None
    """Name of the column of ratings, read only where `min_rating` is set; None tries rating, overall, stars, score."""

    names: tuple[str, ...] | None = None
    """Names of all columns of a csv file that has no header line."""

    separator: str | None = None
    """The one character between the fields of a csv file (`tab` = a tabulator); None takes the most frequent of comma,
    tabulator, semicolon and bar in the first line."""

    encoding: str = "utf-8"
    """Encoding of a csv file."""

    id_type: Literal["auto", "integer", "token"] = "auto"
    """integer: ids are whole numbers >= 0. token: ids are strings. `auto`: integer where at least half of a column's
    rows are whole numbers (the others are then errors, not ids), else token; decimal numbers are always errors."""

    time_unit: Literal["auto", "s", "ms"] = "auto"
    """Unit of numeric times since 1970-01-01 UTC; `auto` = milliseconds where every time exceeds 1e11 (in seconds:
    the year 5138), else seconds. ISO 8601 dates are recognised as such, and are UTC where they name no zone."""

    order_only: bool = False
    """Accept a csv file with neither a time nor a position: its rows are in order of time."""

    min_rating: float | None = None
    """Keep only behaviours rated at least this; None = all. The others are counted as `rows_below_min_rating`."""
