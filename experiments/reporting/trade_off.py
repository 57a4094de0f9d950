"""One metric against another, a point an arm; where a study names panels, a picture each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any

from experiments.reporting.canvas import Plot, figure, save
from experiments.reporting.columns import better
from experiments.reporting.labels import Label, beside_points
from experiments.reporting.repeats import Repeats
from experiments.reporting.series import GREY, PALETTE, Series, colors_of, series_of
from experiments.reporting.summary import Summary

_PALE = "#D9D9D9"


@dataclass(frozen=True)
class _Panel:
    """What one picture shows.

    Attributes:
        title: what is in it; "" where the study has no panels.
        curves: its curves, of drawn arms alone.
        arms: those on its curves and those by themselves, in the study's order.
        others: arms that are pale dots.
        colors: of `arms`, by name.
    """

    title: str
    curves: Sequence[Series]
    arms: Sequence[Repeats]
    others: Sequence[Repeats]
    colors: Mapping[str, str]


def trade_off(summary: Summary, dataset: str, pairs: Sequence[tuple[str, str]], folder: Path) -> Iterator[Plot]:
    """Draw each pair (vertical, horizontal) of metrics, side by side; arms along a scale are joined and numbered."""
    arms, left_out = _high_enough(summary, dataset, [vertical for vertical, _ in pairs])
    pairs = [pair for pair in pairs if sum(None not in map(arm.mean, pair) for arm in arms) > 1]
    if not pairs:
        return
    about = " and ".join(f"{vertical} against {horizontal}" for vertical, horizontal in pairs) + f" on {dataset}"
    for panel in _panels(summary, dataset, arms):
        made, all_axes = figure(5.2 * len(pairs), 4.0, len(pairs))
        written = [_draw(axes, panel, *pair) for axes, pair in zip(all_axes, pairs, strict=True)]
        all_axes[0].set_title(f"{panel.title}, {dataset}" if panel.title else dataset, fontsize=10)
        for axes, labels in zip(all_axes, written, strict=True):  # when all axes are as they will be
            beside_points(axes, labels)
        caption = f"{panel.title}: {about}" if panel.title else about
        if all(better(metric) > 0 for pair in pairs for metric in pair):
            caption += "; up and to the right is better"
        if panel.curves:
            caption += f"; the figure in a point is its {' or '.join(dict.fromkeys(one.axis for one in panel.curves))}"
        if panel.others:
            caption += "; pale: the study's other arms"
        if left_out:
            caption += f"; below {summary.study.floor:g} of the best, and not drawn: {', '.join(left_out)}"
        name = f"trade-off-{dataset}" + (f"-{panel.title}" if panel.title else "")
        yield save(made, folder, name, caption + ".", dataset)


def _panels(summary: Summary, dataset: str, arms: Sequence[Repeats]) -> Iterator[_Panel]:
    """Part what is drawn into the study's panels; those of which one curve or arm alone has been run are left out."""
    drawn = {arm.arm for arm in arms}
    kept = [one.only(drawn) for one in series_of(summary, dataset) if len(one.arms) > 1 and one.scaled]
    curves = {one.label: one for one in kept if one.arms}
    if not summary.study.panels:
        yield _Panel("", list(curves.values()), arms, (), colors_of(summary, dataset))
        return
    usual = dict.fromkeys(drawn, GREY) if summary.study.curves else colors_of(summary, dataset)
    for title, names in summary.study.panels.items():
        hues = dict(zip((name for name in names if name in summary.study.curves), cycle(PALETTE)))
        of_panel = [replace(curves[name], color=hue) for name, hue in hues.items() if name in curves]
        alone = {name: usual[name] for name in names if name in drawn}
        colors = alone | {arm.arm: one.color for one in reversed(of_panel) for arm in one.arms}
        inside = [arm for arm in arms if arm.arm in colors]
        if len(of_panel) + len(alone) > 1:
            yield _Panel(title, of_panel, inside, [arm for arm in arms if arm.arm not in colors], colors)


def _draw(axes: Any, panel: _Panel, vertical: str, horizontal: str) -> list[Label]:
    """Draw a panel's points and curves; return the texts that belong beside them."""
    places = ((arm, x) for one in reversed(panel.curves) for arm, x in zip(one.arms, one.x, strict=True))
    inside = {arm.arm: f"{x:g}" for arm, x in places}
    names = dict.fromkeys(inside, "")
    for one in panel.curves:
        names[one.arms[-1].arm] = one.label
    labels: list[Label] = []
    for arm in panel.arms:
        x, y = arm.mean(horizontal), arm.mean(vertical)
        if x is None or y is None:
            continue
        across, up, color = arm.spread(horizontal) or 0.0, arm.spread(vertical) or 0.0, panel.colors[arm.arm]
        size, text = 11 if arm.arm in inside else 7, inside.get(arm.arm, "")
        axes.errorbar(x, y, up, across, color=color, marker="o", markersize=size, elinewidth=0.9)
        style = {"ha": "center", "va": "center_baseline", "color": "white", "fontsize": 7 if len(text) < 3 else 5.5}
        axes.annotate(text, (x, y), **style)
        labels.append(Label(names.get(arm.arm, arm.arm), x, y, across, up, color))
    for one in panel.curves:
        path = [place for arm in one.arms if None not in (place := (arm.mean(horizontal), arm.mean(vertical)))]
        if path:
            axes.plot(*zip(*path, strict=True), color=one.color, linewidth=1, alpha=0.5)
    axes.margins(0.12)
    axes.autoscale_view()
    limits = axes.axis()
    pale = [place for arm in panel.others if None not in (place := (arm.mean(horizontal), arm.mean(vertical)))]
    if pale:
        axes.plot(*zip(*pale, strict=True), color=_PALE, marker="o", markersize=4, linestyle="none", zorder=1)
        axes.axis(limits)
    axes.locator_params(axis="x", nbins=6)
    axes.set(xlabel=horizontal, ylabel=vertical)
    return labels


def _high_enough(summary: Summary, dataset: str, metrics: Sequence[str]) -> tuple[list[Repeats], list[str]]:
    """Part arms into those that reach the study's floor on all these metrics, and the names of the others."""
    arms, floor = summary.datasets[dataset], summary.study.floor
    low: set[str] = set()
    for metric in metrics if floor else ():
        values = {arm.arm: value for arm in arms if (value := arm.mean(metric)) is not None}
        low |= {name for name, value in values.items() if value < floor * max(values.values())}
    return [arm for arm in arms if arm.arm not in low], [arm.arm for arm in arms if arm.arm in low]
