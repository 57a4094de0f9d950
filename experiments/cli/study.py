"""`adaptive-mi study NAME`: run a question's arms x seeds on one dataset, then report."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from baselines.errors import BadInput
from experiments.cli.arguments import expand_short_flags
from experiments.cli.output import add_format, say, show
from experiments.studies.definition import STUDIES, find_study


class _Parser(argparse.ArgumentParser):
    """The standard parser, since jsonargparse has no way to leave unknown flags to somebody else."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}.")


def run(arguments: Sequence[str]) -> int:
    """Run the verb."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0 if arguments else 2
    study = find_study(arguments[0])
    parser = _Parser(
        prog=f"adaptive-mi study {study.name}",
        usage="%(prog)s [--data NAME|PATH] [--seeds N] [--out FOLDER] [--resume] [--config YAML] [settings]",
        description=study.question,
        epilog="Any setting of a run may follow (`adaptive-mi train --help` tells them); it is given to every arm that "
        "knows it.",
        allow_abbrev=False,
    )
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds for each arm with randomness (default: 1)")
    parser.add_argument("--out", default="runs", help="folder of all studies, this one in OUT/NAME (default: runs)")
    parser.add_argument("--resume", action="store_true", help="keep finished runs, go on with an unfinished one")
    add_format(parser)
    namespace, settings = parser.parse_known_args(list(arguments[1:]))
    from experiments.reporting.report import write_report
    from experiments.studies.runner import parse_overrides, plan, run_study

    folder = Path(namespace.out) / study.name
    cells = plan(study, namespace.seeds, parse_overrides(expand_short_flags(settings)))
    command = shlex.join(["adaptive-mi", "study", *arguments])
    dataset = run_study(study, cells, folder, command=command, resume=namespace.resume)
    report = write_report(folder)
    show(report.main_table(dataset), namespace.format)
    say(f"\nReport: {report.path}")
    return 0


def _usage() -> str:
    width = max(map(len, STUDIES))
    lines = [f"  {name:<{width}}  {find_study(name).question}" for name in STUDIES]
    return "\n".join(["usage: adaptive-mi study NAME [options]", "", *lines, "", "NAME --help tells the options."])
