"""Arms that differ in one setting, such as K, and so make a curve."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.reporting.repeats import Repeats, leaves
from experiments.reporting.summary import Summary


@dataclass(frozen=True)
class Series:
    """Arms that differ in the setting on the horizontal axis alone.

    Attributes:
        label: the method, with what sets it apart from another series of the same method.
        arms: in order of the setting.
        x: the setting of each arm.
    """

    label: str
    arms: Sequence[Repeats]
    x: Sequence[float]


def series_of(summary: Summary, dataset: str) -> tuple[list[Series], list[Repeats]]:
    """Return the series of a dataset, and the arms without the study's setting `x`: the references."""
    families: dict[tuple[str, str], list[tuple[float, Repeats]]] = {}
    references = []
    for arm in summary.datasets[dataset]:
        settings = dict(leaves(arm.model)) | dict(leaves(summary.study.arms.get(arm.arm, {})))
        x = None
        for name in [name for name in settings if name.split(".")[-1] == summary.study.x]:
            x = settings.pop(name)
        if isinstance(x, (int, float)):
            rest = json.dumps({key: settings[key] for key in sorted(settings)}, default=str)
            families.setdefault((arm.method, rest), []).append((float(x), arm))
        else:
            references.append(arm)
    methods = [method for method, _ in families]
    series = []
    for (method, _), members in families.items():
        members.sort(key=lambda member: (member[0], member[1].arm))
        label = method if methods.count(method) == 1 else f"{method} ({members[0][1].arm} …)"
        series.append(Series(label, [arm for _, arm in members], [x for x, _ in members]))
    return series, references
