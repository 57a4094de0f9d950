"""`adaptive-mi evaluate RUN`: evaluate a finished run again, from its model and its data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from experiments.cli.arguments import Parser, build
from experiments.cli.output import add_format, show
from experiments.evaluation.config import EvaluationConfig


def run(arguments: Sequence[str]) -> int:
    """Run the verb."""
    parser = Parser(prog="adaptive-mi evaluate", description="Evaluate a finished run again; nothing is written.")
    parser.add_argument("run", type=str, help="a run directory")
    parser.add_argument("--data", type=str | None, default=None, help="where the run's data lie, if they have moved")
    parser.add_class_arguments(EvaluationConfig, "evaluation", instantiate=False)
    add_format(parser)
    namespace = parser.parse_args(arguments)
    from experiments.cli.finished import open_run
    from experiments.evaluation.evaluator import evaluate
    from experiments.reporting.run_table import run_table
    from experiments.runs import evaluation_results

    finished = open_run(Path(namespace.run), namespace.data)
    asked = build(EvaluationConfig, namespace.as_dict()["evaluation"])
    config = finished.config.evaluation if asked == EvaluationConfig() else asked
    context, dataset = finished.bench.context, finished.bench.dataset
    validation, test = (evaluate(finished.method, part, context, config) for part in (dataset.validation, dataset.test))
    results = {**finished.record.results, **evaluation_results(validation, test)}
    show(replace(run_table(results), title=f"{namespace.run}, evaluated again"), namespace.format)
    return 0
