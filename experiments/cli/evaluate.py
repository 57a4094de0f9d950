"""`adaptive-mi evaluate RUN`: evaluate a finished run again, from its model and its data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from experiments.cli.arguments import build, load_run
from experiments.cli.output import add_format, show
from experiments.cli.parser import Parser
from experiments.evaluation.config import EvaluationConfig


def run(arguments: Sequence[str]) -> int:
    """Run the verb."""
    parser = Parser(
        prog="adaptive-mi evaluate",
        usage="adaptive-mi evaluate RUN [--data NAME|PATH] [any setting below]",
        description="Evaluate a finished run again; nothing is written. What is not said is as it was in the run.",
    )
    parser.add_argument("run", type=str, help="a run directory")
    parser.add_argument("--data", type=str | None, default=None, help="where the run's data lie, if they have moved")
    parser.add_class_arguments(EvaluationConfig, "evaluation", instantiate=False)
    parser.hide_groups()
    add_format(parser)
    folder = Path(parser.parse_args(arguments).run)
    if (folder / "config.yaml").is_file():
        its_own = asdict(load_run(folder / "config.yaml").evaluation)
        parser.set_defaults({f"evaluation.{key}": value for key, value in its_own.items()})
    namespace = parser.parse_args(arguments)
    config = build(EvaluationConfig, namespace.as_dict()["evaluation"])
    from experiments.cli.finished import open_run
    from experiments.evaluation.evaluator import evaluate
    from experiments.reporting.run_table import run_table
    from experiments.runs import evaluation_results

    finished = open_run(folder, namespace.data)
    context, dataset = finished.bench.context, finished.bench.dataset
    validation, test = (evaluate(finished.method, part, context, config) for part in (dataset.validation, dataset.test))
    results = {**finished.record.results, **evaluation_results(validation, test)}
    show(replace(run_table(results), title=f"{folder}, evaluated again"), namespace.format)
    return 0
