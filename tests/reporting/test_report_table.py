"""Laws of tables: every format says the same, and nothing in a cell breaks the format."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.errors import BadInput
from experiments.reporting.table import Cell, Table, decimals, latex_escape

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=8)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
TABLES = st.lists(st.tuples(NAMES, NUMBERS, st.integers()), min_size=1, max_size=5)


@given(TABLES)
@settings(max_examples=50)
def test_csv_round_trips_every_value_to_the_last_bit(rows: list[tuple[str, float, int]]) -> None:
    text = Table(["name", "value", "count"], rows).render("csv")
    _, *back = csv.reader(io.StringIO(text, newline=""))
    assert [(name, float(value), int(count)) for name, value, count in back] == rows


@given(TABLES)
@settings(max_examples=50)
def test_json_holds_what_csv_holds(rows: list[tuple[str, float, int]]) -> None:
    records = json.loads(Table(["name", "value", "count"], rows, "title").render("json"))["rows"]
    assert [tuple(record.values()) for record in records] == rows


@given(TABLES)
@settings(max_examples=50)
def test_markdown_has_as_many_columns_in_every_line_whatever_the_cells_hold(rows: list[tuple[str, float, int]]) -> None:
    lines = Table(["na|me", "value", "count"], rows).render("md").splitlines()
    assert len(lines) == len(rows) + 2
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {4}
    assert len({len(line) for line in lines}) == 1


@given(TABLES)
@settings(max_examples=50)
def test_latex_is_balanced_and_escapes_its_special_characters(rows: list[tuple[str, float, int]]) -> None:
    text = Table(["na_me %", "va&lue", "c#{"], rows, "100 % of a_b").render("latex")
    bare = re.sub(r"\\[\\&%$#_{}]", "", text)  # without escaped characters
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert "%" not in bare
    assert "#" not in bare
    assert "~" not in bare
    assert "_" not in bare
    assert bare.count("&") == 2 * (len(rows) + 1)
    assert text.count(r"\begin{") == text.count(r"\end{")
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule"))


def test_latex_escapes_a_backslash_once() -> None:
    assert latex_escape("a\\_") == r"a\textbackslash{}\_"


def test_best_second_spread_and_mark_show_in_each_format() -> None:
    cells = [Cell(0.25, 0.011, "best", "↑†"), Cell(0.2, None, "second"), Cell(None)]
    table = Table(["arm", "recall"], [[name, cell] for name, cell in zip("abc", cells, strict=True)])
    markdown, latex = table.render("md"), table.render("latex")
    assert "**0.2500** ±0.0110↑†" in markdown
    assert "_0.2000_" in markdown
    assert "–" in markdown
    assert r"\textbf{0.2500}{\scriptsize$\pm$0.0110}$^{\uparrow\dagger}$" in latex
    assert r"\underline{0.2000}" in latex
    assert table.render("csv") == "arm,recall,recall sd,recall mark\na,0.25,0.011,↑†\nb,0.2,,\nc,,,\n"


def test_missing_numbers_are_dashes_in_text_and_empty_in_data() -> None:
    table = Table(["a", "b", "c"], [[None, float("nan"), Cell(float("nan"))]])
    assert table.render("md").count("–") == 3
    assert table.render("csv") == "a,b,c\n,,\n"
    assert json.loads(table.render("json"))["rows"] == [{"a": None, "b": None, "c": None}]


def test_a_group_is_named_once_in_text_and_in_every_row_of_data() -> None:
    table = Table(["data", "arm"], [["x", "p"], ["x", "q"], ["y", "p"]], grouped=True)
    assert table.render("md").count("x") == 1
    assert table.render("latex").count(r"\midrule") == 2
    assert table.render("csv") == "data,arm\nx,p\nx,q\ny,p\n"


def test_digits_may_be_chosen_by_column() -> None:
    assert "| 2.92 |" in Table(["live K"], [[2.9167]], digits={"live K": 2}).render("md").replace("   ", " ")


def test_zero_has_no_sign() -> None:
    assert decimals(-0.0) == decimals(-0.001, 2).replace("0.00", "0.0000") == "0.0000"


def test_an_unknown_format_names_the_nearest() -> None:
    with pytest.raises(BadInput, match="did you mean 'latex'"):
        Table(["a"], [[1]]).render("latexx")


def test_a_row_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="2 entries"):
        Table(["a", "b"], [[1]])
