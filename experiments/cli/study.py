"""`adaptive-mi study NAME`: run a question's arms x seeds on one dataset, then report."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from baselines.errors import BadInput
from experiments.cli.arguments import expand_short_flags
from experiments.cli.output import add_format, say_report, show
from experiments.studies.definition import STUDIES


class _Parser(argparse.ArgumentParser):
    """The standard parser, since jsonargparse has no way to leave unknown flags to somebody else."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}.")


def run(arguments: Sequence[str]) -> int:
    """Run the verb."""
    parser = _Parser(
        prog="adaptive-mi study",
        description="Run a study. Any setting of a run may follow (--data, --training.max_steps, ...; adaptive-mi train "
        "--help tells them) and is given to every arm that knows it.",
        allow_abbrev=False,
    )
    parser.add_argument("name", type=str, help=f"one of: {', '.join(STUDIES)}")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds for each arm with randomness")
    parser.add_argument("--out", type=str, default="runs", help="folder of all studies; this one goes to OUT/NAME")
    parser.add_argument("--resume", action="store_true", help="keep finished runs, go on with an unfinished one")
    add_format(parser)
    namespace, settings = parser.parse_known_args(list(arguments))
    from experiments.reporting.report import main_table, write_report
    from experiments.reporting.runs import Study, load_runs
    from experiments.studies.definition import find_study
    from experiments.studies.runner import parse_overrides, plan, run_study

    study = find_study(namespace.name)
    folder = Path(namespace.out) / study.name
    cells = plan(study, namespace.seeds, parse_overrides(expand_short_flags(settings)))
    command = shlex.join(["adaptive-mi", "study", *arguments])
    base = run_study(study, cells, folder, command=command, resume=namespace.resume)
    report = write_report(folder)
    runs = load_runs(base)
    show(main_table(runs, Study.read(folder, runs)), namespace.format)
    say_report(report)
    return 0
