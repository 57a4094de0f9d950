"""What a study is: a question and its arms."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from baselines.errors import unknown_name

STUDIES = {
    "compare": "experiments.studies.compare",
    "k_sensitivity": "experiments.studies.k_sensitivity",
    "regularization": "experiments.studies.regularization",
    "aggregation": "experiments.studies.aggregation",
    "similarity": "experiments.studies.similarity",
    "fixed_vs_adaptive_k": "experiments.studies.fixed_vs_adaptive_k",
    "routing": "experiments.studies.routing",
    "planted_spread": "experiments.studies.planted_spread",
    "diffusion_long_tail": "experiments.studies.diffusion_long_tail",
}
"""name -> module with a `STUDY`; a new study is its file and one line here."""


COLUMNS = (
    "recall@20", "recall@50", "ndcg@20", "hit_rate@20", "recall@50:novel", "recall@50:tail80", "coverage@50", "live_k",
)  # fmt: skip
"""The metrics of a main table, where a study does not choose others."""


@dataclass(frozen=True, kw_only=True)
class StudyDefinition:
    """A question put to data.

    Attributes:
        name: as on the command line.
        question: what is asked, in a sentence.
        arms: name -> nested settings of its runs; `method` is required, everything else has its default.
        baseline: the arm that the others are tested against.
        columns: the metrics of the main table.
        x: what the curves vary, in words; the horizontal axis of their plots. None = there are no curves.
        curves: name -> its arms, each with its place on the axis: a number, or a word where `x` has no scale. An arm
            may lie on several curves; one on none is a reference, drawn as a level.
        x_of: curve -> what it varies, where that is not `x`; an axis of its own.
        plots: what is drawn, as (vertical, horizontal): a metric against what curves vary or against another
            metric. Empty = accuracy and tail accuracy against `x`, accuracy against coverage and against tail accuracy.
        floor: arms with less than this share of the best on the vertical metric are left out where metrics are drawn
            against each other, so that the others can be told apart; the caption names them.
        rivals: arms of which the report says in words who is above and who below: of all arms, or of those on its
            curves where it lies on one. Empty = the baseline alone.
        judged_by: the metrics of these words.
        frontier: name -> arms that differ in how many vectors a user has. The report says how much higher those of the
            first name lie than each of the others at equally many vectors, on the metrics of `judged_by`.
        choices: name -> arms of which one would be taken for a log, such as one K. The report says which of them
            validation chooses, and how far from it on test the arms of `own` are; of the first name also how far every
            arm is on every log from what is chosen there.
        own: arms that are held against what is chosen. Empty = the baseline alone.
        common: settings of all arms, as far as an arm's method knows them.
    """

    name: str
    question: str
    arms: Mapping[str, Mapping[str, Any]]
    baseline: str
    columns: tuple[str, ...] = COLUMNS
    x: str | None = None
    curves: Mapping[str, Mapping[str, float | str]] = field(default_factory=dict)
    x_of: Mapping[str, str] = field(default_factory=dict)
    plots: tuple[tuple[str, str], ...] = ()
    floor: float = 0.0
    rivals: tuple[str, ...] = ()
    judged_by: tuple[str, ...] = ("recall@20", "recall@50")
    frontier: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    own: tuple[str, ...] = ()
    common: Mapping[str, Any] = field(default_factory=dict)


def find_study(name: str) -> StudyDefinition:
    """Return the study of that name.

    Raises:
        BadInput: there is none; names the nearest.
    """
    if name not in STUDIES:
        raise unknown_name("study", name, STUDIES)
    study: StudyDefinition = importlib.import_module(STUDIES[name]).STUDY
    return study
