"""Separated text -> columns, by pyarrow's parser; shared by every text format. R rows, F fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from baselines.errors import BadInput
from experiments.data.readers.columns import shown
from experiments.data.readers.text import arrow_stream, reading, records

BLOCK_BYTES = 1 << 22
"""A record must fit into one block of the parser."""


@dataclass(frozen=True, kw_only=True)
class Delimited:
    """A file of separated fields.

    Attributes:
        path: the file.
        separator: one character.
        n_fields: F.
        header_lines: lines (blank ones included) up to and with the header; 0 where there is none.
        quote: the character around fields that hold separators or newlines; None = no such thing.
        encoding: of the file.
        expected: how a row looks, for error messages.
    """

    path: Path
    separator: str
    n_fields: int
    header_lines: int = 0
    quote: str | None = None
    encoding: str = "utf-8"
    expected: str

    def columns(self, fields: Sequence[int]) -> list[Any]:
        """Return the columns at `fields` as pyarrow chunked arrays [R] of text.

        Raises:
            BadInput: a row with too few or too many fields, or one that cannot be decoded, with its line.
        """
        import pyarrow as pa
        import pyarrow.csv

        names = [str(f) for f in range(self.n_fields)]
        wanted = [names[f] for f in dict.fromkeys(fields)]
        with reading(self.path), arrow_stream(self.path) as stream:
            try:
                table = pyarrow.csv.read_csv(
                    stream,
                    read_options=pyarrow.csv.ReadOptions(
                        use_threads=False,  # hardly slower, and half the memory
                        block_size=BLOCK_BYTES,
                        column_names=names,
                        skip_rows=self.header_lines,
                        encoding=self.encoding,
                    ),
                    parse_options=pyarrow.csv.ParseOptions(
                        delimiter=self.separator,
                        quote_char=self.quote or False,
                        newlines_in_values=self.quote is not None,
                    ),
                    convert_options=pyarrow.csv.ConvertOptions(
                        include_columns=wanted,
                        column_types={name: pa.string() for name in wanted},
                        strings_can_be_null=False,
                    ),
                )
            except (pa.ArrowInvalid, UnicodeDecodeError) as error:
                raise self._explained(error) from error
        return [table[names[f]] for f in fields]

    def place(self, row: int) -> str:
        """Say where row `row` stands, by reading the file again up to it."""
        return f"{self.path}, line {self._line_of(row)}"

    def _line_of(self, row: int) -> int:
        data = (line for line, _ in records(self.path, self.separator, self.quote) if line > self.header_lines)
        return next(islice(data, row, None))

    def _explained(self, error: Exception) -> BadInput:
        """Say in our words why the parser gave up, by looking for the first row that is to blame."""
        if "Empty CSV" in str(error):
            return BadInput(f"{self.path} holds no rows: expected at least one behaviour")
        for line, record in records(self.path, self.separator, self.quote):
            if line <= self.header_lines:
                continue
            row = self.separator.join(record)
            try:
                row.encode("latin-1").decode(self.encoding)  # records are decoded as latin-1, which loses nothing
            except UnicodeDecodeError:
                return BadInput(f"{self.path}, line {line}: not {self.encoding} text: set `encoding` (latin-1, ...)")
            if len(record) != self.n_fields:
                return BadInput(f"{self.path}, line {line}: expected {self.expected}, found {shown(row)}")
        return BadInput(f"cannot read {self.path}: expected {self.expected} ({' '.join(str(error).split())})")
