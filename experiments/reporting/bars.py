"""A metric by a setting without a scale: bars in groups, a panel a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from experiments.reporting.canvas import Plot, figure, save
from experiments.reporting.series import GREY, Series, series_of
from experiments.reporting.summary import Summary

_GROUP = 0.8
"""The part of a group's room that its bars fill."""


def bars(summary: Summary, metric: str, folder: Path) -> Iterator[Plot]:
    """Draw a metric of the curves whose places are words: a group of bars for each word, a bar for each curve."""
    found = {
        dataset: [one for one in series_of(summary, dataset) if not one.scaled and one.arms[0].mean(metric) is not None]
        for dataset in summary.datasets
    }
    found = {dataset: series for dataset, series in found.items() if series}
    if not found:
        return
    words = list(dict.fromkeys(str(x) for series in found.values() for one in series for x in one.x))
    labels = list(dict.fromkeys(one.label for series in found.values() for one in series))
    made, panels = figure(1.2 + 2.6 * len(found), 0.9 + 0.24 * len(words) * len(labels), len(found), sharey=True)
    handles: dict[str, object] = {}
    for axes, (dataset, series) in zip(panels, found.items(), strict=True):
        for one in series:
            handles[one.label] = _bars(axes, one, metric, words, labels)
        axes.set_title(dataset, fontsize=10)
        axes.set_xlabel(metric)
        axes.margins(x=0.25)
        axes.grid(axis="y", visible=False)
        axes.locator_params(axis="x", nbins=4)
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(range(len(words)), words)
    panels[0].invert_yaxis()
    if len(labels) > 1:
        shown = [handles[label] for label in labels]
        made.legend(shown, labels, loc="outside upper left", ncols=len(labels), frameon=False)
    caption = f"{metric} by {summary.study.x}: error bars are one standard deviation over seeds."
    yield save(made, folder, f"{metric}-by-{summary.study.x}", caption, None)


def _bars(axes: Any, one: Series, metric: str, words: Sequence[str], labels: Sequence[str]) -> object:
    """Draw one curve's bars into one panel; returns what stands for them in the legend."""
    height = _GROUP / len(labels)
    shift = (labels.index(one.label) + 0.5) * height - _GROUP / 2
    drawn = [(str(x), arm) for x, arm in zip(one.x, one.arms, strict=True) if arm.mean(metric) is not None]
    places = [words.index(x) + shift for x, _ in drawn]
    means = [arm.mean(metric) or 0.0 for _, arm in drawn]
    spreads = [arm.spread(metric) or 0.0 for _, arm in drawn]
    made: object = axes.barh(places, means, 0.92 * height, color=one.color)
    axes.errorbar(means, places, xerr=spreads, fmt="none", ecolor="#222222", elinewidth=0.9, capsize=2)
    text = {"textcoords": "offset points", "va": "center", "fontsize": 7, "color": GREY}
    for place, mean, spread in zip(places, means, spreads, strict=True):
        axes.annotate(f"{mean:.3f}", (mean + spread, place), (4, 0), **text)
    return made
