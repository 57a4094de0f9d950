"""The list of metrics: name -> function. A new metric is one function in its file and one line here.

U users, N items, n places, Q cutoffs, S subsets.

A metric is called FAMILY@n or FAMILY@n:SUBSET, as in `recall@20`, `recall@20:novel`, `aplt@20:tail80`; a
diagnostic of the interests has its bare name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from baselines.errors import BadInput, unknown_name
from baselines.sequences import Sequences
from experiments.evaluation import categories, diversity, popularity
from experiments.evaluation.accuracy import ACCURACY
from experiments.evaluation.alpha_ndcg import alpha_ndcg
from experiments.evaluation.context import EvaluationContext, Rows, Segments
from experiments.evaluation.diagnostics import DIAGNOSTICS, NOTES
from experiments.evaluation.ranks import TargetRanks
from experiments.evaluation.recovery import RECOVERY

ALL, NOVEL = "", "novel"
"""Subsets of the targets besides those by popularity."""


@dataclass(frozen=True)
class Served:
    """What was recommended to whom: all that a metric on lists may look at.

    Attributes:
        lists: [U, n_max] int32, the first places in order, 0 = nothing recommended.
        histories: the users' full histories.
        targets: their targets.
        context: training data and catalogue.
        segments: the catalogue by popularity.
        cutoffs: [Q] int64 ascending, the last is n_max.
        alpha: of alpha-nDCG.
    """

    lists: NDArray[np.int32]
    histories: Sequences
    targets: TargetRanks
    context: EvaluationContext
    segments: Segments
    cutoffs: NDArray[np.int64]
    alpha: float

    @cached_property
    def exposures(self) -> NDArray[np.int64]:
        """In how many lists each item stands, [Q, N + 1]."""
        return popularity.exposures(self.lists, self.context.n_items, self.cutoffs)

    @property
    def in_tail(self) -> NDArray[np.bool_]:
        """The long-tail items, [N + 1] bool."""
        return self.segments.members[self.segments.tail]

    @property
    def categories(self) -> Rows:
        """The categories of each item; asked for only where there are some."""
        assert self.context.categories is not None
        return self.context.categories


@dataclass(frozen=True)
class ListMetric:
    """A metric on lists.

    Attributes:
        function: its documented function.
        compute: from what was served to [Q, U], or [Q] for a metric of all lists together.
        of_tail: whether it depends on where the tail begins, which then stands in its name.
        of_categories: whether it needs item categories; without any the metric is absent.
    """

    function: Callable[..., NDArray[np.float64]]
    compute: Callable[[Served], NDArray[np.float64]]
    of_tail: bool = False
    of_categories: bool = False


PER_LIST: Mapping[str, ListMetric] = {
    "arp": ListMetric(popularity.arp, lambda s: popularity.arp(s.lists, s.context.popularity, s.cutoffs)),
    "aplt": ListMetric(popularity.aplt, lambda s: popularity.aplt(s.lists, s.in_tail, s.cutoffs), of_tail=True),
    "aclt": ListMetric(popularity.aclt, lambda s: popularity.aclt(s.lists, s.in_tail, s.cutoffs), of_tail=True),
    "novelty": ListMetric(
        popularity.novelty, lambda s: popularity.novelty(s.lists, s.context.self_information, s.cutoffs)
    ),
    "ild": ListMetric(diversity.ild, lambda s: diversity.ild(s.lists, s.context.item_users, s.cutoffs)),
    "div": ListMetric(diversity.div, lambda s: diversity.div(s.lists, s.categories, s.cutoffs), of_categories=True),
    "alpha_ndcg": ListMetric(
        alpha_ndcg,
        lambda s: alpha_ndcg(s.lists, s.targets, s.categories, s.alpha, s.cutoffs),
        of_categories=True,
    ),
    "interest_coverage": ListMetric(
        categories.interest_coverage,
        lambda s: categories.interest_coverage(s.lists, s.histories, s.categories, s.cutoffs),
        of_categories=True,
    ),
    "held_out_coverage": ListMetric(
        categories.held_out_coverage,
        lambda s: categories.held_out_coverage(
            s.lists, Sequences(s.targets.items, s.targets.offsets, s.targets.n_items), s.categories, s.cutoffs
        ),
        of_categories=True,
    ),
    "exposure_deviation": ListMetric(
        categories.exposure_deviation,
        lambda s: categories.exposure_deviation(s.lists, s.histories, s.categories, s.cutoffs),
        of_categories=True,
    ),
}
"""Metrics with a value for each user, [Q, U]."""

OF_ALL_LISTS: Mapping[str, ListMetric] = {
    "coverage": ListMetric(
        popularity.coverage, lambda s: popularity.coverage(s.exposures, np.arange(s.context.n_items + 1) > 0)
    ),
    "tail_coverage": ListMetric(
        popularity.tail_coverage, lambda s: popularity.tail_coverage(s.exposures, s.in_tail), of_tail=True
    ),
    "gini": ListMetric(popularity.gini, lambda s: popularity.gini(s.exposures)),
}
"""Metrics of the lists of all users together, [Q]."""

_LISTS = {**PER_LIST, **OF_ALL_LISTS}
_FUNCTIONS: Mapping[str, Callable[..., object]] = {
    **ACCURACY,
    **{family: metric.function for family, metric in _LISTS.items()},
    **DIAGNOSTICS,
    **RECOVERY,
}


def check_family(family: str) -> None:
    """Refuse an unknown family of metrics.

    Raises:
        BadInput: naming the nearest known one.
    """
    known = (*_FUNCTIONS, *NOTES)
    if family not in known:
        raise unknown_name("metric", family, known)


def full_name(family: str, n: int, subset: str = ALL) -> str:
    """Return the name of a metric.

    >>> full_name("recall", 20, "novel"), full_name("gini", 50)
    ('recall@20:novel', 'gini@50')
    """
    return f"{family}@{n}:{subset}" if subset else f"{family}@{n}"


def list_name(family: str, n: int, segments: Segments) -> str:
    """Return the name of a metric on lists, with its tail where it has one."""
    return full_name(family, n, segments.tail if _LISTS[family].of_tail else ALL)


def parse_name(name: str) -> tuple[str, int, str]:
    """Take the name of a metric with a cutoff apart: family, n, subset.

    Raises:
        BadInput: an unknown family, or no cutoff.

    >>> parse_name("recall@20:novel")
    ('recall', 20, 'novel')
    """
    family, _, rest = name.partition("@")
    check_family(family)
    n, _, subset = rest.partition(":")
    if not n.isdecimal() or int(n) < 1:
        raise BadInput(f"metric '{name}' lacks a cutoff: expected FAMILY@n, such as {family}@20")
    return family, int(n), subset


def definition(family: str) -> str:
    """Return a family's definition in one line, which is the first of its function's docstring."""
    check_family(family)
    return NOTES[family] if family in NOTES else (_FUNCTIONS[family].__doc__ or "").partition("\n")[0]


def subset_definition(subset: str) -> str:
    """Return in one line what a subset of targets (or items) is.

    >>> subset_definition("mid30")
    'the next 30 % of the catalogue after the head, by training behaviours'
    """
    if subset == NOVEL:
        return "targets that are not in the user's history"
    for kind, text in (
        ("head", "the {} % of the catalogue with the most training behaviours"),
        ("mid", "the next {} % of the catalogue after the head, by training behaviours"),
        ("tail", "the {} % of the catalogue with the fewest training behaviours"),
    ):
        if subset.startswith(kind):
            return text.format(subset.removeprefix(kind))
    raise unknown_name("subset", subset, (NOVEL, "head", "mid", "tail"))
