"""One metric against another, a point an arm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from experiments.reporting.canvas import Plot, figure, save
from experiments.reporting.columns import better
from experiments.reporting.labels import Label, beside_points
from experiments.reporting.series import colors_of, series_of
from experiments.reporting.summary import Summary


def trade_off(summary: Summary, dataset: str, pairs: Sequence[tuple[str, str]], folder: Path) -> Iterator[Plot]:
    """Draw each pair (vertical, horizontal) of metrics, side by side; arms along a scale are joined and numbered."""
    arms = summary.datasets[dataset]
    pairs = [pair for pair in pairs if sum(None not in map(arm.mean, pair) for arm in arms) > 1]
    if not pairs:
        return
    colors = colors_of(summary, dataset)
    made, panels = figure(5.2 * len(pairs), 4.0, len(pairs))
    curves = [one for one in series_of(summary, dataset) if len(one.arms) > 1 and one.scaled]
    inside = {arm.arm: f"{x:g}" for one in curves for arm, x in zip(one.arms, one.x, strict=True)}
    names = dict.fromkeys(inside, "") | {one.arms[-1].arm: one.label for one in curves}
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
        made.canvas.draw()
        beside_points(axes, labels)
    caption = " and ".join(f"{vertical} against {horizontal}" for vertical, horizontal in pairs) + f" on {dataset}"
    if all(better(metric) > 0 for pair in pairs for metric in pair):
        caption += "; up and to the right is better"
    if curves:
        caption += f"; the figure in a point is its {' or '.join(dict.fromkeys(one.axis for one in curves))}"
    yield save(made, folder, f"trade-off-{dataset}", caption + ".", dataset)
