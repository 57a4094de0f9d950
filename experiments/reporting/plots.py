"""The plots of a study: curves, bars, live K by arm, one metric against another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from experiments.reporting.bars import bars
from experiments.reporting.canvas import Plot, figure, save, style
from experiments.reporting.labels import right_of_axes
from experiments.reporting.repeats import Repeats
from experiments.reporting.series import GREY, Series, colors_of, references_of, series_of
from experiments.reporting.summary import Summary
from experiments.reporting.trade_off import trade_off

_DASHES = ("-", (0, (5, 2)), (0, (2, 1.5)), (0, (5, 1.5, 1, 1.5)))
"""Of the first, second ... curve of one colour."""

_LEVEL = (0, (1, 2))
"""Of the references."""


def draw(summary: Summary, folder: Path) -> list[Plot]:
    """Draw every plot that the runs allow into `folder`, as PNG; those of all datasets first, then by dataset."""
    plots: list[Plot] = []
    with style():
        by_dataset: list[Plot] = []
        for dataset, arms in summary.datasets.items():
            series = series_of(summary, dataset)
            for metric, axis in summary.pairs:
                along = [one for one in series if one.axis == axis]
                if along and all(one.scaled for one in along):
                    by_dataset += _curves(summary, dataset, metric, along, folder)
            if any(len(arm.live_k) > 1 for arm in arms):
                by_dataset.append(_live_k(dataset, arms, colors_of(summary, dataset), folder))
            by_dataset += trade_off(summary, dataset, _of_metrics(summary), folder)
        for metric in (metric for metric, against in summary.pairs if against == summary.study.x):
            plots += bars(summary, metric, folder)
    return plots + by_dataset


def _of_metrics(summary: Summary) -> list[tuple[str, str]]:
    """What is drawn of one metric against another."""
    return [pair for pair in summary.pairs if pair[1] not in summary.axes]


def _curves(summary: Summary, dataset: str, metric: str, series: Sequence[Series], folder: Path) -> Iterator[Plot]:
    """Draw a metric against what these curves vary, a line a curve; nothing where no curve has two arms."""
    x = series[0].axis
    series = [one for one in series if any(arm.mean(metric) is not None for arm in one.arms)]
    if not any(len(one.arms) > 1 for one in series):
        return
    made, (axes,) = figure(7.0, 4.2)
    ends: list[tuple[float, str, str]] = []
    for one in series:
        known = [(x, arm) for x, arm in zip(one.x, one.arms, strict=True) if arm.mean(metric) is not None]
        means = [arm.mean(metric) or 0.0 for _, arm in known]
        spreads = [arm.spread(metric) or 0.0 for _, arm in known]
        line = {"color": one.color, "linewidth": 1.6, "linestyle": _DASHES[one.rank % len(_DASHES)]}
        points = {"marker": "o", "markersize": 5, "markerfacecolor": "white" if one.rank else one.color}
        axes.errorbar([x for x, _ in known], means, spreads, **line, **points, capsize=3)
        ends.append((means[-1], one.label, one.color))
    for arm in references_of(summary, dataset):
        value = arm.mean(metric)
        if value is not None:
            axes.axhline(value, color=GREY, linewidth=1.2, linestyle=_LEVEL)
            ends.append((value, arm.arm, GREY))
    ticks = sorted({float(place) for one in series for place in one.x})
    if ticks[0] > 0 and ticks[-1] / ticks[0] >= 8:
        axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(axis="x", visible=False)
    axes.set(xlabel=x, ylabel=metric)
    axes.set_title(f"{metric} against {x} on {dataset}")
    made.draw_without_rendering()
    right_of_axes(axes, *zip(*ends, strict=True))
    caption = f"{metric} against {x} on {dataset}: bars are one standard deviation over seeds; dotted: other arms."
    yield save(made, folder, f"{metric}-by-{x}-{dataset}", caption, dataset)


def _live_k(dataset: str, arms: Sequence[Repeats], colors: Mapping[str, str], folder: Path) -> Plot:
    first = {tuple(arm.live_k.items()): arm.arm for arm in reversed(arms) if arm.live_k}
    having = [arm for arm in arms if arm.arm in first.values()]
    widest = max(max(arm.live_k) for arm in having)
    made, (axes,) = figure(6.4, 0.42 * len(having) + 1.0)
    for row, arm in enumerate(having):
        shares, highest = arm.live_k, max(arm.live_k.values())
        heights = [0.8 * share / highest for share in shares.values()]
        axes.bar(list(shares), heights, bottom=-row, width=0.8, color=colors[arm.arm])
        mean = sum(k * share for k, share in shares.items())
        text = f"mean {mean:.2f}, tallest {100 * highest:.0f} %"
        axes.text(1.02, 0.25 - row, text, transform=axes.get_yaxis_transform(), va="center", fontsize=9, color=GREY)
    axes.set(xlim=(0.4, widest + 0.6), ylim=(0.05 - len(having) + 1 - 0.1, 0.95), xlabel="live interests of a user")
    axes.set_xticks(range(1, widest + 1, 1 + (widest - 1) // 12))
    axes.set_yticks([0.25 - row for row in range(len(having))], [arm.arm for arm in having])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False)
    axes.hlines([-row for row in range(len(having))], 0.4, widest + 0.6, color="#CCCCCC", linewidth=0.6)
    axes.spines["left"].set_visible(False)
    axes.set_title(f"Live interests per test user on {dataset}")
    caption = f"Live interests per test user on {dataset}, all seeds; each row is scaled to its tallest bar."
    if len(having) < sum(bool(arm.live_k) for arm in arms):
        caption += " An arm that looks like one above it is left out."
    return save(made, folder, f"live-k-{dataset}", caption, dataset)
