"""What the reports know of a metric by its name alone: which way is better, and the default columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from baselines.errors import unknown_name

LIVE_K = "live K"
"""The column of the mean number of live interests, and so of a user's vectors and of a request's nearest-neighbour
queries: a diagnostic, read from the interests and better neither way."""

LIVE_K_OF_USERS = "live_k"
"""The name that it has in studies, and as a metric by user in runs."""

DEFAULT = (
    "recall@20", "recall@50", "ndcg@20", "recall@20:novel", "recall@50:tail80", "coverage@50", LIVE_K,
)  # fmt: skip
"""Accuracy, long tail and coverage in one view; of these, the ones that the runs hold."""

OF_SOME = (
    LIVE_K, "mean_pairwise_cosine", "effective_rank", "dominant_share", "planted_k", "k_error", "assignment_ari",
)  # fmt: skip
"""Columns that a study may wish for though none of its runs may hold them: of interests, of planted ones."""

_HIGHER = (
    "recall", "precision", "hit_rate", "ndcg", "ndcg_hits", "mrr", "map", "coverage", "tail_coverage", "aplt", "aclt",
    "novelty", "ild", "div", "alpha_ndcg", "interest_coverage", "held_out_coverage",
    "assignment_ari",
)  # fmt: skip
_LOWER = ("gini", "arp", "exposure_deviation")


def better(metric: str) -> int:
    """Return 1 where a higher value is better, -1 where a lower one is, 0 where neither is (nothing is emphasised).

    >>> [better(name) for name in ("recall@20:novel", "gini@50", "live K")]
    [1, -1, 0]
    """
    family = metric.split("@")[0].split(":")[0]
    return 1 if family in _HIGHER else -1 if family in _LOWER else 0


def percent_above(value: float | None, reference: float | None) -> float | None:
    """Return by how many percent `value` is above `reference`; None where one is missing, or there is no ratio.

    >>> percent_above(0.2, 0.16)
    25.0
    """
    return None if value is None or not reference else 100 * (value / reference - 1)


def in_percent(reference: float | None, *parts: float | None) -> list[float | None]:
    """Return each part as a percentage of `reference`; None where either is missing, or there is no ratio.

    >>> in_percent(0.2, 0.05, None)
    [25.0, None]
    """
    return [None if part is None or not reference else 100 * part / reference for part in parts]


def shown_as(metric: str) -> str:
    """Return the name under which a study's metric stands in tables and plots."""
    return LIVE_K if metric == LIVE_K_OF_USERS else metric


def stored_as(metric: str) -> str:
    """Return the name under which a shown metric has its values per user."""
    return LIVE_K_OF_USERS if metric == LIVE_K else metric


def choose(wanted: Sequence[str], known: Collection[str]) -> list[str]:
    """Return the metrics of the main table.

    Args:
        wanted: the study's columns; empty for the default ones that are known.
        known: every metric that some run holds, and LIVE_K where some method has interests.

    Raises:
        BadInput: a wanted metric that no run holds, other than those that depend on method and data.
    """
    if not wanted:
        return [metric for metric in DEFAULT if metric in known] or sorted(known)
    names = [shown_as(metric) for metric in wanted]
    for metric in names:
        if metric not in known and metric not in OF_SOME:
            raise unknown_name("metric", metric, known)
    return [metric for metric in names if metric in known]


def definitions_of(metric: str) -> tuple[str, ...]:
    """Return the keys under which a run's definitions explain a metric: family and subset.

    >>> definitions_of("recall@20:novel")
    ('recall@20:novel', 'recall@n', 'recall', ':novel')
    """
    family, _, rest = metric.partition("@")
    return metric, f"{family}@n", family, f":{rest.partition(':')[2]}"
