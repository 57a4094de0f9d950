"""`adaptive-mi tune METHOD`: search a method's settings on the validation users of one dataset."""

from __future__ import annotations

import shlex
import sys
from argparse import RawDescriptionHelpFormatter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from baselines.errors import BadInput, Refused
from experiments.cli.arguments import accepted, make_run
from experiments.cli.output import add_format, say, show
from experiments.cli.overrides import OpenParser
from experiments.registry import METHODS, find_method
from experiments.settings import flatten, nest
from experiments.training.config import HORIZON
from experiments.tuning.space import space_of
from experiments.tuning.tuned import PACKAGED, tuned_path, write_tuned

if TYPE_CHECKING:
    from experiments.tuning.summary import Summary


def run(arguments: Sequence[str]) -> int:
    """Run the verb."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0 if arguments else 2
    method = arguments[0]
    find_method(method)
    namespace, overrides = _parser(method).parse(arguments[1:])
    known = accepted({"method": method})
    given = {key: value for settings in overrides for key, value in flatten(settings, known).items()}
    if "training.max_steps" in known:
        given = {"training.max_steps": HORIZON} | given
    if given.pop("method", method) != method:
        raise BadInput(f"the method to tune is {method}, as said first; leave 'method' out of the settings.")
    config, _ = make_run(nest({"method": method, **given}))
    tuned = Path(namespace.tuned_dir) if namespace.tuned_dir else _packaged()
    from experiments.data.loading import load_dataset
    from experiments.run_record import code_version
    from experiments.tuning.search import Search

    dataset = load_dataset(config.data)
    result = tuned_path(tuned, dataset.name, method)
    about = [
        f"made by: {shlex.join(['adaptive-mi', 'tune', *arguments])}",
        f"{datetime.now(UTC):%Y-%m-%d}, code {code_version()}, data {dataset.fingerprint()}",
    ]

    def tell(summary: Summary) -> None:
        lines = summary.lines()
        if sys.stderr.isatty():
            say("; ".join(lines))
        if summary.best is not None:
            write_tuned(result, method, summary.best.settings, [*lines, *about])

    search = Search(method, given, dataset)
    try:
        summary = search.run(namespace.trials, Path(namespace.out) / "tune" / dataset.name / method, tell)
    except Refused as refusal:  # there is nothing to choose where it cannot be fitted, and studies leave it out
        write_tuned(result, method, {}, [f"{method} declines {dataset.name}: {refusal}", *about])
        say(f"note: {method} declines {dataset.name}: {refusal}\n\nTuned settings: {result}, the defaults")
        return 0
    show(summary.table(), namespace.format)
    say(f"\nTuned settings: {result}")
    return 0


def _parser(method: str) -> OpenParser:
    space = [f"  {dimension.name}: {dimension}" for dimension in space_of(method, n_items=0)]
    parser = OpenParser(
        prog=f"adaptive-mi tune {method}",
        usage="%(prog)s [--data NAME|PATH] [--trials N] [--out FOLDER] [--tuned-dir FOLDER] [--config YAML] [settings]",
        description=f"Search the settings of {method} on validation users alone; the first trial is the default "
        f"configuration. A trial trains for {HORIZON} steps unless told otherwise.\n"
        "Killed, the same command goes on where it was.",
        epilog="\n".join(
            [
                "Any setting of a run may follow (`adaptive-mi train --help` tells them); it holds in every trial, and",
                "what it decides is not searched. Searched (full softmax on small catalogues only):",
                *(space or ["  nothing: one trial measures it"]),
            ]
        ),
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--trials", type=int, default=12, help="trials in all, earlier ones included (default: 12)")
    parser.add_argument("--out", default="runs", help="trials are kept in OUT/tune/DATASET/METHOD (default: runs)")
    parser.add_argument("--tuned-dir", help="FOLDER/DATASET/METHOD.yaml is written (default: the package's own)")
    add_format(parser)
    return parser


def _packaged() -> Path:
    """Return the package's folder of tuned settings.

    Raises:
        BadInput: the package is installed, not a checkout: nothing should be written there.
    """
    if not (PACKAGED.parent.parent / "pyproject.toml").exists():
        raise BadInput("--tuned-dir must be given: this installation is no checkout to write tuned settings into.")
    return PACKAGED


def _usage() -> str:
    lines = [
        "usage: adaptive-mi tune METHOD [options]",
        "",
        "Search a method's settings on validation users alone, by the same budget for every method.",
        "",
        f"METHOD is one of: {', '.join(METHODS)}",
        "METHOD --help tells the options, and what is searched.",
    ]
    return "\n".join(lines)
