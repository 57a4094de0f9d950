"""`adaptive-mi train`: fit one method, evaluate it on validation and test, write a run directory."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.cli.arguments import parse_run
from experiments.cli.output import add_format, show

_OWN = ("out", "resume", "format")


def run(arguments: Sequence[str]) -> int:
    """Run the verb."""
    config, settings, namespace = parse_run("adaptive-mi train", arguments, _add_flags)
    from experiments.data.loading import load_dataset
    from experiments.reporting.run_table import run_table
    from experiments.runs import Workbench, execute

    out = Path(namespace.out)
    results = execute(
        config,
        settings,
        Workbench.of(load_dataset(config.data)),
        out,
        command=shlex.join(["adaptive-mi", "train", *arguments]),
        resume=namespace.resume,
    )
    show(run_table(results), namespace.format)
    return 0


def _add_flags(parser: Any) -> Sequence[str]:
    parser.add_argument("--out", type=str, required=True, help="the run directory to write; it must not exist")
    parser.add_argument("--resume", action="store_true", help="go on with an unfinished run in --out")
    add_format(parser)
    return _OWN
