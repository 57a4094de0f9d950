"""Columns as they stand in a file -> ids, times and positions; the first value that will not do is named by its place.

R rows, M distinct values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.errors import BadInput
from experiments.data.log import EncodedIds

Place = Callable[[int], str]
"""Says where row r came from: "ratings.csv, line 17"."""

INTEGER = r"^-?(0|[1-9][0-9]{0,18})$"
"""Decimal as written by a program: text -> integer -> text is the identity, so 007 is a token, not 7."""

LARGEST = str(2**63 - 1)
DECIMAL = r"^-?[0-9]+\.[0-9]*$"
ISO_8601 = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
ZONE = r"[T ][0-9:.]+(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
MILLISECONDS_FROM = 1e11
LONGEST_ID = 255


def identifiers(column: Any, what: str, id_type: str, place: Place) -> EncodedIds:
    """Encode a column [R] of ids (pyarrow; strings or numbers) by the rule of `ReaderConfig.id_type`.

    Blanks around an id mean nothing and are dropped. Tokens have 1..255 characters, none of them NUL.

    Raises:
        BadInput: an empty, negative, decimal, overlong or (among integers) non-integer id, with its place.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    encoded = column.dictionary_encode().unify_dictionaries()
    text = encoded.type.value_type
    values = encoded.chunk(0).dictionary if encoded.num_chunks else pa.array([], text)  # [M]: all work is done on these
    code = pc.fill_null(pa.chunked_array([c.indices for c in encoded.chunks], pa.int32()), -1).to_numpy()  # [R]
    if (code < 0).any():
        raise BadInput(f"{place(int(np.argmax(code < 0)))}: the {what} id is empty")
    if pa.types.is_floating(text):
        whole = pc.and_(pc.equal(pc.round(values), values), pc.less(pc.abs(values), 2.0**53))
        _demand(whole, code, values, place, f"the {what} id must be a whole number")
        values = values.cast(pa.int64())
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        values = values.cast(pa.string())  # integers of any width, and text of any kind
    values = pc.utf8_trim_whitespace(values)
    length = pc.utf8_length(values)
    _demand(pc.greater(length, 0), code, values, place, f"the {what} id is empty")
    integer = _integer(values)
    if id_type == "auto":
        share = pc.fill_null(integer, False).to_numpy(zero_copy_only=False)[code].mean() if len(code) else 1.0
        decimal = pc.match_substring_regex(values, DECIMAL)
        mend = "say --data.reader.id_type token if it is a name and not a number"
        _demand(pc.invert(decimal), code, values, place, f"the {what} id must be a whole number: {mend}")
        id_type = "integer" if share >= 0.5 else "token"
    else:
        mend = "this column was declared --data.reader.id_type integer"
    if id_type == "token":
        short = pc.less_equal(length, LONGEST_ID)
        _demand(short, code, values, place, f"the {what} id exceeds {LONGEST_ID} characters")
        _demand(pc.invert(pc.match_substring(values, "\0")), code, values, place, f"the {what} id has a NUL character")
        ids: NDArray[np.generic] = np.array(values.to_pylist(), np.str_)
    else:
        _demand(integer, code, values, place, f"the {what} id must be a whole number: {mend}")
        _demand(pc.invert(pc.match_substring(values, "-")), code, values, place, f"the {what} id must not be negative")
        ids = values.cast(pa.int64()).to_numpy()
    distinct, renumbered = np.unique(ids, return_inverse=True)  # blanks may have told equal ids apart
    return EncodedIds(distinct, renumbered.astype(np.int64)[code])


def seconds(column: Any, unit: str, place: Place) -> NDArray[np.int64]:
    """Return times [R] (numbers, ISO 8601 text or pyarrow timestamps) as Unix seconds, rounded down.

    Raises:
        BadInput: an empty, unreadable, NaN or infinite time, with its place.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    column = _present(column, "time", place)
    if pa.types.is_string(column.type) and len(column) and pc.match_substring_regex(column[0], ISO_8601).as_py():
        kind = pa.timestamp("us", "UTC" if pc.match_substring_regex(column[0], ZONE).as_py() else None)
        column = _cast(column, kind, place, "the time must be an ISO 8601 date like that of the first row")
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s"))
    if pa.types.is_timestamp(column.type):
        per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[column.type.unit]
        ticks: NDArray[np.int64] = column.cast(pa.int64()).to_numpy()
        return ticks // per_second
    times = _numbers(column, "time", place)
    milliseconds = unit == "ms" or (unit == "auto" and len(times) > 0 and times.min() > MILLISECONDS_FROM)
    return _floor(times, 1000 if milliseconds else 1)


def positions(column: Any, place: Place) -> NDArray[np.int64]:
    """Return a column [R] of integers that orders a user's behaviours."""
    column = _present(column, "position", place)
    values = _numbers(column, "position", place)
    whole = _floor(values, 1)
    if (whole != values).any():
        row = int(np.argmax(whole != values))
        raise BadInput(f"{place(row)}: the position must be a whole number, found {values[row]}")
    return whole


def ratings(column: Any, place: Place) -> NDArray[np.float64]:
    """Return a column [R] of ratings."""
    return _numbers(_present(column, "rating", place), "rating", place).astype(np.float64)


def _integer(text: Any) -> Any:
    """Say of each text whether it is an integer that int64 can hold."""
    import pyarrow.compute as pc

    fits = pc.or_(pc.less(pc.utf8_length(text), len(LARGEST)), pc.less_equal(text, LARGEST))
    return pc.and_(pc.match_substring_regex(text, INTEGER), fits)


def _present(column: Any, what: str, place: Place) -> Any:
    """Return the column as one array without blanks around its values; an empty value is an error."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    missing = pc.is_null(column)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = pc.utf8_trim_whitespace(column.cast(pa.string()))
        missing = pc.or_(missing, pc.equal(pc.fill_null(column, ""), ""))
    if pc.any(missing).as_py():
        raise BadInput(f"{place(pc.index(missing, True).as_py())}: the {what} is empty")
    return column


def _numbers(column: Any, what: str, place: Place) -> NDArray[np.int64] | NDArray[np.float64]:
    """Return numbers or their text [R] as int64 where all are whole, else as finite float64 within +-2^53."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(column.type) and pc.all(_integer(column)).as_py():
        column = column.cast(pa.int64())
    if not pa.types.is_integer(column.type):
        column = _cast(column, pa.float64(), place, f"the {what} must be a number")
    values: NDArray[np.int64] | NDArray[np.float64] = column.to_numpy()
    if values.dtype.kind == "f":
        bad = ~(np.abs(values) < 2.0**53)  # NaN is not less
        if bad.any():
            row = int(np.argmax(bad))
            raise BadInput(f"{place(row)}: the {what} must be a finite number within +-2^53, found {values[row]}")
        return values
    return values.astype(np.int64, copy=False)


def _floor(values: NDArray[np.int64] | NDArray[np.float64], divisor: int) -> NDArray[np.int64]:
    """Divide and round down, [R] int64; exact for integers."""
    return np.floor_divide(values, divisor).astype(np.int64)


def _cast(column: Any, kind: Any, place: Place, expectation: str) -> Any:
    """Cast, or name the first row that cannot be, found by bisection with the very same cast."""
    import pyarrow as pa

    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        low, high = 0, len(column)  # rows before `low` can be cast; not all before `high` can
        while high - low > 1:
            middle = (low + high) // 2
            try:
                column.slice(low, middle - low).cast(kind)
                low = middle
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                high = middle
        raise BadInput(f"{place(low)}: {expectation}, found {shown(column[low].as_py())}") from error


def _demand(holds: Any, code: NDArray[np.int32], values: Any, place: Place, expectation: str) -> None:
    """Raise for the first row whose distinct value [M] does not hold."""
    failing = ~holds.to_numpy(zero_copy_only=False).astype(bool)
    if failing.any():
        row = int(np.argmax(failing[code]))
        raise BadInput(f"{place(row)}: {expectation}, found {shown(values[int(code[row])].as_py())}")


def shown(value: object) -> str:
    """Return a value for an error message: quoted, and cut where it is long."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
