"""What the verbs print: tables on standard output, in the format asked for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from experiments.reporting.table import Table

FORMATS = ("md", "latex", "csv", "json")


def add_format(parser: Any) -> None:
    """Give a parser the flag --format."""
    parser.add_argument("--format", choices=FORMATS, default="md", help="how tables are printed")


def show(table: Table, format: str) -> None:
    """Print one table."""
    print(table.render(format))


def say_report(report: Path) -> None:
    """Say where the report lies, on standard error: standard output holds nothing but the table."""
    print(f"\nReport: {report}", file=sys.stderr)
