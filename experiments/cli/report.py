"""`adaptive-mi report DIR`: run directories -> Markdown, LaTeX and CSV tables and plots, from files alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from baselines.errors import BadInput
from experiments.cli.output import add_format, say, show
from experiments.cli.parser import Parser


def run(arguments: Sequence[str]) -> int:
    """Run the verb."""
    parser = Parser(prog="adaptive-mi report", description="Make the report of the finished runs below a folder.")
    parser.add_argument("folder", type=str, help="a study's folder, or any folder of comparable runs")
    parser.add_argument("--out", type=str | None, default=None, help="the report's folder (default: FOLDER/report)")
    parser.add_argument("--keep", type=str | None, default=None, help="copy the runs, compact, into this folder")
    parser.add_argument(
        "--document", type=str | None, default=None,
        help="FOLDER holds kept studies: report each of them and write all main tables and plots into this file",
    )  # fmt: skip
    parser.add_argument("--readme", type=str | None, default=None, help="with --document: fill this file's blocks, too")
    add_format(parser)
    namespace = parser.parse_args(arguments)
    if namespace.readme and not namespace.document:
        raise BadInput("--readme goes with --document.")
    if namespace.keep or namespace.document:
        if namespace.out:
            raise BadInput("--out is the place of one report: leave it out beside --keep and --document.")
        return _publish(namespace)
    from experiments.reporting.report import write_report

    report = write_report(Path(namespace.folder), Path(namespace.out) if namespace.out else None)
    show(report.main_table(), namespace.format)
    say(f"\nReport: {report.path}")
    return 0


def _publish(namespace: Any) -> int:
    """Keep compact copies of runs, or write the documents that are made from such copies."""
    from experiments.reporting.publish import keep, publish

    if namespace.keep:
        n_runs = keep(Path(namespace.folder), Path(namespace.keep))
        say(f"{n_runs} runs kept in {namespace.keep}")
    if namespace.document:
        readme = Path(namespace.readme) if namespace.readme else None
        for report in publish(Path(namespace.folder), Path(namespace.document), readme):
            say(f"Report: {report}")
        say(f"Written: {namespace.document}{f', {readme}' if readme else ''}")
    return 0
