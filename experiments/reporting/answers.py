"""What a study found: tables, who is above and below whom, the pictures, the frontier, what validation chooses."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.reporting import tables
from experiments.reporting.canvas import Plot
from experiments.reporting.choice import against_chosen, behind_chosen
from experiments.reporting.frontier import frontiers
from experiments.reporting.operating_points import operating_points
from experiments.reporting.summary import Summary


def table_with_verdicts(summary: Summary, dataset: str) -> str:
    """Return the main table of one dataset and its verdicts, Markdown without a newline at the end."""
    said = [f"* {verdict}" for verdict in summary.verdicts[dataset]]
    return "\n".join([tables.main(summary.only(dataset)).render("md"), *said]).rstrip()


def pictures(plots: Sequence[Plot], dataset: str | None, prefix: str = "") -> list[str]:
    """Return the plots of a dataset (None = those of all), each with its caption below; files lie below `prefix`."""
    chosen = [plot for plot in plots if plot.dataset == dataset]
    return [f"![{plot.caption}]({prefix}{plot.file})\n\n{plot.caption}" for plot in chosen]


def answers(summary: Summary, plots: Sequence[Plot], *, heading: str, prefix: str = "") -> list[str]:
    """Return paragraphs: what is judged by, over all datasets, and their plots; then every dataset, under a heading.

    Of one dataset there is no heading, and nothing before it.
    """
    parts = [tables.across(summary, metric).render("md").rstrip() for metric in summary.overview]
    parts += pictures(plots, None, prefix)
    behind = behind_chosen(summary)
    parts += [behind.render("md").rstrip()] if behind else []
    for dataset in summary.datasets:
        parts += [f"{heading} {dataset}"] if len(summary.datasets) > 1 else []
        parts += [table_with_verdicts(summary, dataset), *pictures(plots, dataset, prefix)]
        told = (*frontiers(summary, dataset), against_chosen(summary, dataset), operating_points(summary, dataset))
        parts += [table.render("md").rstrip() for table in told if table]
    return parts
