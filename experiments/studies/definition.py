"""What a study is: a question and its arms."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from baselines.errors import unknown_name
from experiments.reporting.study import Study

STUDIES = {
    "compare": "experiments.studies.compare",
    "k_sensitivity": "experiments.studies.k_sensitivity",
    "regularization": "experiments.studies.regularization",
    "aggregation": "experiments.studies.aggregation",
    "similarity": "experiments.studies.similarity",
    "fixed_vs_adaptive_k": "experiments.studies.fixed_vs_adaptive_k",
    "clusters_and_tail": "experiments.studies.clusters_and_tail",
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
class StudyDefinition(Study):
    """A study as it is written here: what the report needs to know, and the settings that runs share.

    Attributes:
        common: settings of all arms but the references, as far as an arm's method knows them.
        references: arms that stand for their method at its best: with its tuned settings wherever there are some, and
            without the common ones.
        like: arm -> the method whose settings it shares, but for the model's and what its own method presupposes: with
            `--tuned`, those that were found for that method, else its defaults. What is left of a difference to that
            method is the model.
        alike: the method whose settings all arms but the references share in that way, their models being what the
            study says and nothing that was found for them; `common` is above these.
    """

    columns: Sequence[str] = COLUMNS
    judged_by: Sequence[str] = ("recall@20", "recall@50")
    common: Mapping[str, Any] = field(default_factory=dict)
    references: Sequence[str] = ()
    like: Mapping[str, str] = field(default_factory=dict)
    alike: str | None = None

    def starts_from(self, arm: str) -> tuple[str, str | None]:
        """Return the method whose settings, found for it or default, an arm starts from, and that of its model's."""
        own = str(self.arms[arm]["method"])
        if arm in self.like:
            return self.like[arm], own
        return (own, own) if self.alike is None or arm in self.references else (self.alike, None)

    @property
    def told(self) -> dict[str, Any]:
        """What study.json holds: all that the report needs to know."""
        return {name: value for name, value in asdict(self).items() if name in Study.__dataclass_fields__}


def find_study(name: str) -> StudyDefinition:
    """Return the study of that name.

    Raises:
        BadInput: there is none; names the nearest.
    """
    if name not in STUDIES:
        raise unknown_name("study", name, STUDIES)
    study: StudyDefinition = importlib.import_module(STUDIES[name]).STUDY
    return study
