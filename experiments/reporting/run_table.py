"""One run's results as a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from experiments.reporting.table import Table


def run_table(results: Mapping[str, Any], only: Collection[str] = ()) -> Table:
    """Return the metrics of one run: validation, test, and the standard error over test users.

    Args:
        results: what results.json holds.
        only: the metrics shown; empty, or none of them is there = all.
    """
    errors, test = results["test_standard_errors"], results["test"]
    rows = [
        [metric, results["validation"].get(metric), test[metric], errors.get(metric)]
        for metric in [name for name in test if name in only] or test
    ]
    title = f"{results['method']} on {results['dataset']}, seed {results['seed']}"
    return Table(["metric", "validation", "test", "test standard error"], rows, title)
