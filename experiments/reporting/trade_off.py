"""One metric against another, a point an arm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from experiments.reporting.canvas import Plot, figure, save
from experiments.reporting.columns import better
from experiments.reporting.labels import Label, beside_points
from experiments.reporting.repeats import Repeats
from experiments.reporting.series import colors_of, series_of
from experiments.reporting.summary import Summary


def trade_off(summary: Summary, dataset: str, pairs: Sequence[tuple[str, str]], folder: Path) -> Iterator[Plot]:
    """Draw each pair (vertical, horizontal) of metrics, side by side; arms along a scale are joined and numbered."""
    arms, left_out = _high_enough(summary, dataset, [vertical for vertical, _ in pairs])
    pairs = [pair for pair in pairs if sum(None not in map(arm.mean, pair) for arm in arms) > 1]
    if not pairs:
        return
    colors = colors_of(summary, dataset)
    made, panels = figure(5.2 * len(pairs), 4.0, len(pairs))
    drawn = {arm.arm for arm in arms}
    curves = [one.only(drawn) for one in series_of(summary, dataset) if len(one.arms) > 1 and one.scaled]
    curves = [one for one in curves if one.arms]
    inside = {arm.arm: f"{x:g}" for one in curves for arm, x in zip(one.arms, one.x, strict=True)}
    names = dict.fromkeys(inside, "") | {one.arms[-1].arm: one.label for one in curves}
    written: list[tuple[Any, list[Label]]] = []
    for axes, (vertical, horizontal) in zip(panels, pairs, strict=True):
        labels: list[Label] = []
        for arm in arms:
            x, y = arm.mean(horizontal), arm.mean(vertical)
            if x is None or y is None:
                continue
            across, up, color = arm.spread(horizontal) or 0.0, arm.spread(vertical) or 0.0, colors[arm.arm]
            size, text = 11 if arm.arm in inside else 7, inside.get(arm.arm, "")
            axes.errorbar(x, y, up, across, color=color, marker="o", markersize=size, elinewidth=0.9)
            style = {"ha": "center", "va": "center_baseline", "color": "white", "fontsize": 7 if len(text) < 3 else 5.5}
            axes.annotate(text, (x, y), **style)
            labels.append(Label(names.get(arm.arm, arm.arm), x, y, across, up, color))
        for one in curves:
            path = [(x, y) for arm in one.arms if None not in (x := arm.mean(horizontal), y := arm.mean(vertical))]
            if path:
                axes.plot(*zip(*path, strict=True), color=one.color, linewidth=1, alpha=0.5)
        axes.margins(0.12)
        axes.locator_params(axis="x", nbins=6)
        axes.set(xlabel=horizontal, ylabel=vertical)
        axes.set_title(f"{vertical} against {horizontal} on {dataset}", fontsize=10)
        written.append((axes, labels))
    for axes, labels in written:  # when all axes are as they will be
        beside_points(axes, labels)
    caption = " and ".join(f"{vertical} against {horizontal}" for vertical, horizontal in pairs) + f" on {dataset}"
    if all(better(metric) > 0 for pair in pairs for metric in pair):
        caption += "; up and to the right is better"
    if curves:
        caption += f"; the figure in a point is its {' or '.join(dict.fromkeys(one.axis for one in curves))}"
    if left_out:
        caption += f"; below {summary.study.floor:g} of the best, and not drawn: {', '.join(left_out)}"
    yield save(made, folder, f"trade-off-{dataset}", caption + ".", dataset)


def _high_enough(summary: Summary, dataset: str, metrics: Sequence[str]) -> tuple[list[Repeats], list[str]]:
    """Part arms into those that reach the study's floor on all these metrics, and the names of the others."""
    arms, floor = summary.datasets[dataset], summary.study.floor
    low: set[str] = set()
    for metric in metrics if floor else ():
        values = {arm.arm: value for arm in arms if (value := arm.mean(metric)) is not None}
        low |= {name for name, value in values.items() if value < floor * max(values.values())}
    return [arm for arm in arms if arm.arm not in low], [arm.arm for arm in arms if arm.arm in low]
