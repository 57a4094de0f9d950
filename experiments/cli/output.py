"""What the verbs print: tables on standard output, in the format asked for; all else on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from experiments.reporting.table import Table

FORMATS = ("md", "latex", "csv", "json")


def add_format(parser: Any) -> None:
    """Give a parser the flag --format."""
    parser.add_argument("--format", choices=FORMATS, default="md", help="how tables are printed")


def show(table: Table, format: str) -> None:
    """Print one table."""
    print(table.render(format), end="")


def show_all(tables: Sequence[Table], format: str) -> None:
    """Print several tables: one JSON array, or one after the other, CSV with a line `# title` before each."""
    rendered = [table.render(format) for table in tables]
    if format == "json":
        print(json.dumps([json.loads(text) for text in rendered], indent=2, ensure_ascii=False))
    elif format == "csv":
        print("\n".join(f"# {table.title}\n{text}" for table, text in zip(tables, rendered, strict=True)), end="")
    else:
        print("\n".join(rendered), end="")


def say(note: str) -> None:
    """Say something beside the tables, on standard error."""
    print(note, file=sys.stderr)
