"""`adaptive-mi evaluate RUN`: evaluate a finished run again, from its model and its data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from baselines.config import RerankingConfig, ServingConfig
from experiments.cli.output import add_format, show
from experiments.cli.parser import Parser
from experiments.cli.run_settings import parse_beside_run
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
    add_format(parser)
    groups = {"serving": ServingConfig, "reranking": RerankingConfig, "evaluation": EvaluationConfig}
    namespace, settings = parse_beside_run(parser, arguments, groups)
    from experiments.cli.finished import open_run
    from experiments.evaluation.evaluator import evaluate
    from experiments.reporting.run_table import run_table
    from experiments.runs import evaluation_results

    folder = Path(namespace.run)
    finished = open_run(folder, namespace.data)
    ranker = finished.ranker(settings["serving"], settings["reranking"])
    context, dataset = finished.bench.context, finished.bench.dataset
    parts = (dataset.validation, dataset.test)
    validation, test = (evaluate(ranker, part, context, settings["evaluation"]) for part in parts)
    results = {**finished.record.results, **evaluation_results(validation, test)}
    show(replace(run_table(results), title=f"{folder}, evaluated again"), namespace.format)
    return 0
