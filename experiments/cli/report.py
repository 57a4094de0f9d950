"""`adaptive-mi report DIR`: run directories -> Markdown, LaTeX and CSV tables and plots, from files alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from experiments.cli.output import add_format, say, show
from experiments.cli.parser import Parser


def run(arguments: Sequence[str]) -> int:
    """Run the verb."""
    parser = Parser(prog="adaptive-mi report", description="Make the report of the finished runs below a folder.")
    parser.add_argument("folder", type=str, help="a study's folder, or any folder of comparable runs")
    parser.add_argument("--out", type=str | None, default=None, help="the report's folder (default: FOLDER/report)")
    add_format(parser)
    namespace = parser.parse_args(arguments)
    from experiments.reporting.report import write_report

    report = write_report(Path(namespace.folder), Path(namespace.out) if namespace.out else None)
    show(report.main_table(), namespace.format)
    say(f"\nReport: {report.path}")
    return 0
