"""`adaptive-mi train`: fit one method, evaluate it on validation and test, write a run directory."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from baselines.errors import BadInput
from experiments.cli.arguments import parse_run
from experiments.cli.output import add_format, say, show
from experiments.studies.definition import COLUMNS

_OWN = ("out", "resume", "format")


def run(arguments: Sequence[str]) -> int:
    """Run the verb."""
    config, settings, namespace = parse_run("adaptive-mi train", arguments, _add_flags)
    if namespace.out is None:
        raise BadInput("--out must be given: the run directory to write.")
    from experiments.reporting.run_table import run_table
    from experiments.run_folder import finished_results

    out = Path(namespace.out)
    results = finished_results(out, settings, resume=namespace.resume)
    if results is None:
        from experiments.data.loading import load_dataset
        from experiments.runs import Workbench, execute

        command = shlex.join(["adaptive-mi", "train", *arguments])
        results = execute(config, settings, Workbench.of(load_dataset(config.data)), out, command=command)
    table = run_table(results, only=COLUMNS)
    show(table, namespace.format)
    say(f"\nRun: {out} ({len(table.rows)} of {len(results['test'])} metrics; 'adaptive-mi evaluate {out}' shows all)")
    return 0


def _add_flags(parser: Any) -> Sequence[str]:
    parser.add_argument("--out", type=str | None, default=None, help="the run directory to write (required)")
    parser.add_argument("--resume", action="store_true", help="go on with an unfinished run, keep a finished one")
    add_format(parser)
    return _OWN
