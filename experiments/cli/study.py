"""`adaptive-mi study NAME`: run a question's arms x seeds on one dataset, then report."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from baselines.errors import BadInput
from experiments.cli.output import add_format, say, show
from experiments.cli.overrides import OpenParser
from experiments.studies.definition import STUDIES, find_study
from experiments.tuning.tuned import PACKAGED, has_choices, not_tuned, read_tuned, tuned_elsewhere, untuned

if TYPE_CHECKING:
    from experiments.studies.definition import StudyDefinition
    from experiments.studies.runner import Cell


def run(arguments: Sequence[str]) -> int:
    """Run the verb."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0 if arguments else 2
    study = find_study(arguments[0])
    parser = OpenParser(
        prog=f"adaptive-mi study {study.name}",
        usage="%(prog)s [--data NAME|PATH] [--seeds N] [--arms A,B] [--tuned] [--out FOLDER] [--resume] "
        "[--config YAML] [settings]",
        description=study.question,
        epilog="Any setting of a run may follow (`adaptive-mi train --help` tells them); it is given to every arm that "
        "knows it.",
        allow_abbrev=False,
    )
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds for each arm with randomness (default: 1)")
    parser.add_argument("--arms", default="", help="run these arms only, A,B,C; the others stay as they are")
    parser.add_argument("--out", default="runs", help="folder of all studies, this one in OUT/NAME (default: runs)")
    parser.add_argument("--resume", action="store_true", help="keep finished runs, go on with an unfinished one")
    parser.add_argument(
        "--tuned", action="store_true",
        help="start every arm from its method's tuned settings, or from those of the one method that the study's arms "
        "share settings of; without --arms, those that have none are left out",
    )  # fmt: skip
    parser.add_argument("--tuned-dir", help="with --tuned: where these lie (default: the package's own folder)")
    add_format(parser)
    namespace, overrides = parser.parse(arguments[1:])
    if namespace.tuned_dir and not namespace.tuned:
        raise BadInput("--tuned-dir goes with --tuned.")
    from experiments.data.loading import load_dataset
    from experiments.reporting.report import write_report
    from experiments.runs import Workbench
    from experiments.studies.runner import plan, run_study

    folder = Path(namespace.out) / study.name
    only = [arm.strip() for arm in namespace.arms.split(",") if arm.strip()]
    cells = plan(study, namespace.seeds, overrides, only=only)
    bench = Workbench.of(load_dataset(cells[0].config.data))
    name = bench.dataset.name
    tuned_dir = Path(namespace.tuned_dir or PACKAGED)
    read = partial(read_tuned, tuned_dir, name)  # only the loaded dataset knows its name
    if namespace.tuned:
        only = _tuned_arms(study, cells, tuned_dir, name, asked_for=bool(only))
        methods = dict.fromkeys(method for arm, method in _methods(study, cells) if arm in only)
        cells = plan(study, namespace.seeds, overrides, read, only)
    else:
        methods = _tuned_references(study, cells, tuned_dir, name)
        if methods:
            cells = plan(study, namespace.seeds, overrides, None, only, lambda of: read(of) if of in methods else {})
    if others := tuned_elsewhere(tuned_dir, name, bench.dataset.fingerprint(), methods):
        say(f"note: tuned on data of another fingerprint: {', '.join(others)}.")
    command = shlex.join(["adaptive-mi", "study", *arguments])
    run_study(study, cells, bench, folder, command=command, resume=namespace.resume)
    report = write_report(folder)
    show(report.main_table(name), namespace.format)
    say(f"\nReport: {report.path}")
    return 0


def _methods(study: StudyDefinition, cells: Sequence[Cell]) -> list[tuple[str, str]]:
    """Return (arm, method) for each method whose settings an arm starts from."""
    arms = dict.fromkeys(cell.arm for cell in cells)
    return [(arm, method) for arm in arms for method in dict.fromkeys(study.starts_from(arm)) if method]


def _tuned_arms(
    study: StudyDefinition, cells: Sequence[Cell], tuned_dir: Path, dataset: str, *, asked_for: bool
) -> list[str]:
    """Return the arms whose methods are tuned; the others are said, or refused where they were asked for by name."""
    methods = _methods(study, cells)
    missing = untuned(tuned_dir, dataset, dict.fromkeys(method for _, method in methods))
    left_out = dict.fromkeys(arm for arm, method in methods if method in missing)
    if missing and (asked_for or not any(has_choices(method) for arm, method in methods if arm not in left_out)):
        raise BadInput(not_tuned(tuned_dir, dataset, missing))
    if missing:
        say(f"note: without {', '.join(left_out)}: {not_tuned(tuned_dir, dataset, missing)}")
    return list(dict.fromkeys(arm for arm, _ in methods if arm not in left_out))


def _tuned_references(study: StudyDefinition, cells: Sequence[Cell], tuned_dir: Path, dataset: str) -> dict[str, None]:
    """Return the methods of references that are tuned; the others, which are run at their defaults, are said."""
    references = dict.fromkeys(cell.config.method for cell in cells if cell.arm in study.references)
    missing = untuned(tuned_dir, dataset, references)
    if missing:
        say(f"note: at default settings: {', '.join(missing)}; {not_tuned(tuned_dir, dataset, missing)}")
    return dict.fromkeys(method for method in references if method not in missing)


def _usage() -> str:
    width = max(map(len, STUDIES))
    lines = [f"  {name:<{width}}  {find_study(name).question}" for name in STUDIES]
    return "\n".join(["usage: adaptive-mi study NAME [options]", "", *lines, "", "NAME --help tells the options."])
