"""Where on a curve would one serve? A point that validation chooses, and what it is worth on test.

A curve of a knob of serving shows what can be had for which accuracy, and proves nothing by itself: whoever reads the
best point off the test users has chosen by them. Here validation users choose: of a curve's arms that keep 99 % of the
accuracy of what is chosen of the study's first choice, the one with the most of `points_by`, which is then held against
that choice on test users.
"""

from __future__ import annotations

from experiments.reporting.choice import CHOSEN_BY, DIFFERENCE, chosen, in_percent_of, on_validation, validated
from experiments.reporting.comparison import between
from experiments.reporting.repeats import Repeats
from experiments.reporting.summary import Summary
from experiments.reporting.table import Table

KEPT = 0.99
"""The share of a choice's accuracy on validation users that a point must keep."""


def operating_points(summary: Summary, dataset: str) -> Table | None:
    """Hold the point that validation chooses of each curve against the first choice; None where there is none."""
    by, reference = summary.study.points_by, next(iter(chosen(summary, dataset).values()), None)
    least = None if reference is None else on_validation(reference)
    if by is None or reference is None or least is None:
        return None
    points: list[tuple[str, float, Repeats]] = []
    for curve, names in summary.study.points.items():
        accurate = [
            (value, arm)
            for arm in summary.arms_of(dataset, names)
            if (validated(arm, CHOSEN_BY) or 0) >= KEPT * least and (value := validated(arm, by)) is not None
        ]
        if accurate:
            points.append((curve, *max(accurate, key=lambda of: of[0])))
    rows: list[list[object]] = []
    for metric in summary.judged_upwards:
        others = [(arm, reference) for _, _, arm in points if arm is not reference]
        tests = {one.arm: one for one in between(others, metric)}
        for curve, value, arm in points:
            difference = in_percent_of(reference, arm, metric, tests.get(arm.arm))
            rows.append([metric, curve, arm.arm, value, arm.mean(metric), reference.mean(metric), *difference])
    if not rows:
        return None
    title = (
        f"Where validation would serve on {dataset}: of each curve, among the points with at least {KEPT:.0%} of "
        f"{reference.arm}'s {CHOSEN_BY} there, the one with the highest {by}; and that point against {reference.arm} "
        "on test, in percent, with a 95 % interval over users and seeds, the standard deviation over seeds and "
        "Holm-adjusted p"
    )
    columns = ["metric", "curve", "point", f"{by} on validation", "on test", f"{reference.arm} on test", *DIFFERENCE]
    return Table(columns, rows, title, DIFFERENCE)
