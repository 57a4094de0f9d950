"""A table of results: one source for Markdown, LaTeX, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from baselines.errors import unknown_name

Format = Literal["md", "latex", "csv", "json"]
Emphasis = Literal["", "best", "second"]
Style = Callable[[str, str, "Cell"], str]
"""(number, spread or "", cell) -> the cell's text; each format has its own."""


@dataclass(frozen=True)
class Cell:
    """A number with what a reader needs beside it.

    Attributes:
        value: the number; None where there is none.
        spread: standard deviation over seeds, shown after ±; None for none.
        emphasis: "best" is bold; "second" is underlined (LaTeX) or italic (Markdown, which has no underline).
        mark: signs of significance, some of ↑ ↓ †.
    """

    value: float | None
    spread: float | None = None
    emphasis: Emphasis = ""
    mark: str = ""


@dataclass(frozen=True)
class Table:
    """Named columns and rows of str, int, float, bool, Cell or None.

    Attributes:
        columns: the header.
        rows: each as long as `columns`.
        title: what the table shows; "" for none.
        digits: decimals of a column's floats by column name; the others get as many as their size asks for.
        grouped: whether the first column names groups of rows, set off by a rule in LaTeX and named once.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    title: str = ""
    digits: Mapping[str, int] = field(default_factory=dict)
    grouped: bool = False

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"every row must have {len(self.columns)} entries, got {len(row)}: {list(row)}")

    def render(self, format: Format | str = "md") -> str:
        """Return the table as text, ending in a newline.

        "md" is aligned so that it also reads well on a terminal; "latex" needs the package booktabs; "csv" and
        "json" keep every digit and give spreads and marks columns of their own.

        Raises:
            BadInput: a format other than md, latex, csv, json.

        >>> print(Table(["arm", "recall@20"], [["ease", Cell(0.25, emphasis="best")]]).render("md"), end="")
        | arm  |  recall@20 |
        | :--- | ---------: |
        | ease | **0.2500** |
        """
        renderers: dict[str, Callable[[Table], str]] = {"md": _md, "latex": _latex, "csv": _csv, "json": _json}
        if format not in renderers:
            raise unknown_name("format", format, renderers)
        return renderers[format](self)

    def _text(self, column: str, value: object, missing: str, style: Style) -> str:
        if isinstance(value, Cell):
            if value.value is None or math.isnan(value.value):
                return missing
            digits = self.digits.get(column, _places(value.value))
            spread = "" if value.spread is None else f"{value.spread:.{digits}f}"
            return style(self._text(column, value.value, missing, style), spread, value)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return missing
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, float):
            return decimals(value, self.digits.get(column))
        return str(value)

    def _numeric(self) -> list[bool]:
        """Whether each column holds numbers alone, and at least one."""
        columns = [[row[c] for row in self.rows if row[c] is not None] for c in range(len(self.columns))]
        return [bool(entries) and all(_is_number(entry) for entry in entries) for entries in columns]

    def _shown_rows(self) -> list[tuple[bool, Sequence[object]]]:
        """Each row with whether it opens a group; a group's name is dropped from its later rows."""
        if not self.grouped:
            return [(False, row) for row in self.rows]
        opens = [r == 0 or row[0] != self.rows[r - 1][0] for r, row in enumerate(self.rows)]
        return [(first, row if first else ("", *row[1:])) for first, row in zip(opens, self.rows, strict=True)]

    def _flat(self) -> tuple[list[str], list[list[object]]]:
        """Columns and rows with spreads, emphases and marks in columns of their own, where any row has one."""
        parts: list[tuple[str, list[object]]] = []
        for c, name in enumerate(self.columns):
            entries = [row[c] for row in self.rows]
            parts.append((name, [entry.value if isinstance(entry, Cell) else entry for entry in entries]))
            cells = [entry if isinstance(entry, Cell) else Cell(None) for entry in entries]
            if any(cell.spread is not None for cell in cells):
                parts.append((f"{name} sd", [cell.spread for cell in cells]))
            if any(cell.mark for cell in cells):
                parts.append((f"{name} mark", [cell.mark for cell in cells]))
        clean = [[None if isinstance(v, float) and not math.isfinite(v) else v for v in values] for _, values in parts]
        return [name for name, _ in parts], [list(row) for row in zip(*clean, strict=True)]


def decimals(value: float, digits: int | None = None) -> str:
    """Write a float with `digits` decimals; by default four below 10, fewer above, and an exponent below 0.0001.

    >>> [decimals(x) for x in (0.123456, 12.3456, 1234.56, 0.00001, 0.0)]
    ['0.1235', '12.35', '1234.6', '1.0e-05', '0.0000']
    """
    if digits is None and 0 < abs(value) < 1e-4:
        return f"{value:.1e}"
    text = f"{value:.{_places(value) if digits is None else digits}f}"
    return text.removeprefix("-") if not text.strip("-0.") else text  # no "-0.0000"


def _places(value: float) -> int:
    return 4 if abs(value) < 10 else 2 if abs(value) < 1000 else 1


def _is_number(entry: object) -> bool:
    return isinstance(entry, (Cell, int, float)) and not isinstance(entry, bool)


def _md(table: Table) -> str:
    def style(number: str, spread: str, cell: Cell) -> str:
        wrap = {"": "", "best": "**", "second": "_"}[cell.emphasis]
        return f"{wrap}{number}{wrap}" + (f" ±{spread}" if spread else "") + cell.mark

    def text(column: str, entry: object) -> str:
        return table._text(column, entry, "–", style).replace("|", "\\|").replace("\n", " ")

    body = [[text(c, v) for c, v in zip(table.columns, row, strict=True)] for _, row in table._shown_rows()]
    header = [name.replace("|", "\\|") for name in table.columns]
    widths = [max([4, *map(len, column)]) for column in zip(header, *body, strict=True)]
    right = table._numeric()
    rule = ["-" * (w - 1) + ":" if r else ":" + "-" * (w - 1) for w, r in zip(widths, right, strict=True)]

    def line(entries: Sequence[str]) -> str:
        padded = [e.rjust(w) if r else e.ljust(w) for e, w, r in zip(entries, widths, right, strict=True)]
        return "| " + " | ".join(padded) + " |\n"

    title = f"**{table.title}**\n\n" if table.title else ""
    return title + line(header) + line(rule) + "".join(map(line, body))


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "±": r"$\pm$", "×": r"$\times$", "≥": r"$\geq$",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "≤": r"$\leq$", "†": r"$\dagger$", "Δ": r"$\Delta$", "<": r"$<$",
    ">": r"$>$", "→": r"$\to$",
}  # fmt: skip


def latex_escape(text: str) -> str:
    r"""Escape what LaTeX would read as a command.

    >>> print(latex_escape("tail80_recall % of A&B"))
    tail80\_recall \% of A\&B
    """
    return "".join(_LATEX.get(character, character) for character in text)


def _latex(table: Table) -> str:
    marks = {"↑": r"\uparrow", "↓": r"\downarrow", "†": r"\dagger"}

    def style(number: str, spread: str, cell: Cell) -> str:
        command = {"": "", "best": r"\textbf", "second": r"\underline"}[cell.emphasis]
        number = f"{command}{{{number}}}" if command else number
        spread = rf"{{\scriptsize$\pm${spread}}}" if spread else ""
        mark = f"$^{{{''.join(marks[sign] for sign in cell.mark)}}}$" if cell.mark else ""
        return number + spread + mark

    def text(column: str, entry: object) -> str:
        if isinstance(entry, str):
            return latex_escape(entry)
        return table._text(column, entry, "--", style)

    lines = [" & ".join(map(latex_escape, table.columns)) + r" \\", r"\midrule"]
    for r, (opens, row) in enumerate(table._shown_rows()):
        if opens and r:
            lines.append(r"\midrule")
        lines.append(" & ".join(text(c, v) for c, v in zip(table.columns, row, strict=True)) + r" \\")
    alignment = "".join("r" if right else "l" for right in table._numeric())
    tabular = [rf"\begin{{tabular}}{{{alignment}}}", r"\toprule", *lines, r"\bottomrule", r"\end{tabular}"]
    if table.title:
        caption = rf"\caption{{{latex_escape(table.title)}}}"
        tabular = [r"\begin{table}[t]", r"\centering", caption, *tabular, r"\end{table}"]
    return "\n".join(tabular) + "\n"


def _csv(table: Table) -> str:
    columns, rows = table._flat()
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)  # floats are written by repr, so that reading them back gives the same bits
    return out.getvalue()


def _json(table: Table) -> str:
    columns, rows = table._flat()
    records = [dict(zip(columns, row, strict=True)) for row in rows]
    return json.dumps({"title": table.title, "rows": records}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
