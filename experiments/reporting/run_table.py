"""One run's results as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.reporting.table import Table


def run_table(results: Mapping[str, Any]) -> Table:
    """Return every metric of one run: validation, test, and the standard error over test users.

    Args:
        results: what results.json holds.
    """
    errors = results["test_standard_errors"]
    rows = [
        [metric, results["validation"].get(metric), value, errors.get(metric)]
        for metric, value in results["test"].items()
    ]
    title = f"{results['method']} on {results['dataset']}, seed {results['seed']}"
    return Table(["metric", "validation", "test", "test standard error"], rows, title)
