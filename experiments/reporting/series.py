"""The curves of a study, as far as they have been run, and the colours of its arms."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from experiments.reporting.repeats import Repeats
from experiments.reporting.summary import Summary

PALETTE = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5C00", "#5E3C99", "#8C1C13", "#2F6B5E",
)  # fmt: skip
"""Okabe and Ito's colours, told apart by colour-blind readers; yellow, too pale on white, is replaced."""

GREY = "#666666"


@dataclass(frozen=True)
class Series:
    """Arms along one setting.

    Attributes:
        label: the curve's name.
        color: of the method, where the study's curves are of several; else of the curve.
        rank: how many curves of this colour come before it.
        axis: what it varies, in words.
        arms: in order of the setting where it is a number, else in the study's.
        x: the setting of each arm.
    """

    label: str
    color: str
    rank: int
    axis: str
    arms: Sequence[Repeats]
    x: Sequence[float | str]

    def only(self, names: Collection[str]) -> Series:
        """Return the curve of those of its arms that are named."""
        kept = [(arm, x) for arm, x in zip(self.arms, self.x, strict=True) if arm.arm in names]
        return replace(self, arms=[arm for arm, _ in kept], x=[x for _, x in kept])

    @property
    def scaled(self) -> bool:
        """Whether the setting is a number."""
        return not any(isinstance(x, str) for x in self.x)


def series_of(summary: Summary, dataset: str) -> list[Series]:
    """Return the curves of a dataset, those without a run left out."""
    arms = {repeats.arm: repeats for repeats in summary.datasets[dataset]}
    methods = {name: _method(summary, curve) for name, curve in summary.study.curves.items()}
    hues = methods if len(set(methods.values())) > 1 else {name: name for name in methods}
    order = list(dict.fromkeys(hues.values()))
    found: list[Series] = []
    for name, curve in summary.study.curves.items():
        places = [(x, arms[arm]) for arm, x in curve.items() if arm in arms]
        if not any(isinstance(x, str) for x, _ in places):
            places.sort(key=lambda place: float(place[0]))
        color = PALETTE[order.index(hues[name]) % len(PALETTE)]
        rank = sum(one.color == color for one in found)
        if places:
            axis = summary.study.x_of.get(name, summary.study.x or "")
            found.append(Series(name, color, rank, axis, [arm for _, arm in places], [x for x, _ in places]))
    return found


def references_of(summary: Summary, dataset: str) -> list[Repeats]:
    """Return the arms that lie on no curve."""
    return [arm for arm in summary.datasets[dataset] if not summary.curves_of(arm.arm)]


def colors_of(summary: Summary, dataset: str) -> dict[str, str]:
    """Return a colour for each arm: its curve's; without curves its method's; grey for arms without interests."""
    series = series_of(summary, dataset)
    if series:
        return {arm.arm: GREY for arm in references_of(summary, dataset)} | {
            arm.arm: one.color for one in reversed(series) for arm in one.arms
        }
    arms = summary.datasets[dataset]
    methods = list(dict.fromkeys(arm.method for arm in arms if arm.live_k))
    palette: Mapping[str, str] = {method: PALETTE[i % len(PALETTE)] for i, method in enumerate(methods)}
    return {arm.arm: palette.get(arm.method, GREY) for arm in arms}


def _method(summary: Summary, curve: Mapping[str, float | str]) -> str:
    return str(summary.study.arms.get(next(iter(curve), ""), {}).get("method", ""))
