"""`adaptive-mi report DIR`: run directories -> Markdown, LaTeX and CSV tables and plots, from files alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from experiments.cli.arguments import Parser
from experiments.cli.output import add_format, say_report, show


def run(arguments: Sequence[str]) -> int:
    """Run the verb."""
    parser = Parser(prog="adaptive-mi report", description="Make the report of the finished runs below a folder.")
    parser.add_argument("folder", type=str, help="a study's folder, or any folder of comparable runs")
    parser.add_argument("--out", type=str | None, default=None, help="the report's folder (default: FOLDER/report)")
    add_format(parser)
    namespace = parser.parse_args(arguments)
    from experiments.reporting.report import main_table, write_report
    from experiments.reporting.runs import Study, load_runs

    folder = Path(namespace.folder)
    report = write_report(folder, Path(namespace.out) if namespace.out else None)
    runs = load_runs(folder)
    show(main_table(runs, Study.read(folder, runs)), namespace.format)
    say_report(report)
    return 0
