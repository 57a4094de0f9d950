"""A question put to data: its arms, and what the report makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baselines.errors import BadInput
from experiments.run_file import read_run_json

if TYPE_CHECKING:
    from experiments.reporting.runs import Run


@dataclass(frozen=True, kw_only=True)
class Study:
    """What study.json holds, but for how its runs were made.

    Attributes:
        name: as on the command line.
        question: what is asked, in a sentence.
        arms: name -> nested settings of its runs; `method` is required, everything else has its default. Tables keep
            their order.
        baseline: the arm that the others are tested against, or None.
        columns: the metrics of the main table; empty for the default set.
        x: what the curves vary, in words; the horizontal axis of their plots. None = there are no curves.
        curves: name -> its arms, each with its place on the axis: a number, or a word where `x` has no scale. An arm
            may lie on several curves; one on none is a reference, drawn as a level.
        x_of: curve -> what it varies, where that is not `x`; an axis of its own.
        plots: what is drawn, as (vertical, horizontal): a metric against what curves vary or against another
            metric. Empty = accuracy and tail accuracy against `x`, accuracy against coverage and against tail accuracy.
        panels: name -> curves and arms that are drawn together where metrics are drawn against each other, a picture
            each; what is drawn in others is a pale dot there. Empty = one picture of everything.
        floor: arms with less than this share of the best on the vertical metric are left out where metrics are drawn
            against each other, so that the others can be told apart; the caption names them.
        rivals: arms of which the report says in words who is above and who below: of all arms, or of those on its
            curves and of `own` where it lies on one. Empty = the baseline alone.
        judged_by: the metrics of these words, and of every test. Empty = tests of all columns, and no words.
        frontiers: pairs of what is equal (`live_k`, how many vectors a user has, or a metric, such as accuracy) and
            curves, name -> arms that differ in it. The report says how much higher those of the first name lie than
            each of the others where that is equal, on the metrics of `judged_by`.
        choices: name -> arms of which one would be taken for a log, such as one K. The report says which of them
            validation chooses, and how far from it on test the arms of `own` are; of the first name also how far every
            arm is on every log from what is chosen there.
        own: arms that are held against what is chosen, and choices of which the chosen arm is. Empty = the baseline
            alone.
        points: name -> arms that differ in a knob of serving. The report says which of them validation would serve, and
            what that point is worth on test beside what is chosen of the first choice.
        points_by: the metric of which a point is to have the most.
    """

    name: str
    question: str = ""
    arms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    baseline: str | None = None
    columns: Sequence[str] = ()
    x: str | None = None
    curves: Mapping[str, Mapping[str, float | str]] = field(default_factory=dict)
    x_of: Mapping[str, str] = field(default_factory=dict)
    plots: Sequence[Sequence[str]] = ()
    panels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    floor: float = 0.0
    rivals: Sequence[str] = ()
    judged_by: Sequence[str] = ()
    frontiers: Sequence[tuple[str, Mapping[str, Sequence[str]]]] = ()
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    own: Sequence[str] = ()
    points: Mapping[str, Sequence[str]] = field(default_factory=dict)
    points_by: str | None = None

    @classmethod
    def read(cls, folder: Path, runs: Sequence[Run]) -> Study:
        """Read study.json in `folder`; without one, a study named by the runs or the folder, arms in order of name."""
        path = folder / "study.json"
        if not path.exists():
            return cls(
                name=runs[0].study or folder.resolve().name, arms={arm: {} for arm in sorted({run.arm for run in runs})}
            )
        told = read_run_json(path)
        unknown = sorted(set(told) - set(cls.__dataclass_fields__))
        if unknown or "name" not in told:
            raise BadInput(
                f"{path}: expected the keys {', '.join(cls.__dataclass_fields__)} (name is required), got "
                f"{', '.join(sorted(told))}; write the study again with 'adaptive-mi study'"
            )
        return cls(**{key: value for key, value in told.items() if value is not None})
