"""The plots of a study: a metric against K, live K by arm, accuracy against coverage and against tail accuracy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.reporting.columns import better
from experiments.reporting.labels import Label, beside_points, right_of_axes
from experiments.reporting.repeats import Repeats
from experiments.reporting.series import series_of
from experiments.reporting.summary import Summary

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5C00", "#5E3C99")
"""Okabe and Ito's colours, told apart by colour-blind readers; yellow, too pale on white, is replaced."""

GREY = "#666666"

_STYLE: dict[Any, Any] = {
    "figure.dpi": 150,
    "savefig.dpi": 150,
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
}


@dataclass(frozen=True)
class Plot:
    """A picture in the report's folder.

    Attributes:
        file: its name there.
        caption: what it shows.
    """

    file: str
    caption: str


def draw(summary: Summary, folder: Path) -> list[Plot]:
    """Draw every plot that the runs allow into `folder`, as PNG."""
    plots: list[Plot] = []
    accuracy = next((name for name in summary.metrics if better(name) > 0), None)
    tail = next((name for name in summary.metrics if re.match(r"(recall|ndcg|hit_rate).*:tail", name)), None)
    coverage = next((name for name in summary.metrics if name.startswith("coverage@")), None)
    with _style():
        for dataset, arms in summary.datasets.items():
            colors = _colors(summary, dataset)
            for metric in filter(None, (accuracy, tail)):
                plots += _against_x(summary, dataset, metric, colors, folder)
            if any(arm.live_k for arm in arms):
                plots.append(_live_k(dataset, arms, colors, folder))
            rivals = [name for name in (coverage, tail) if name not in (None, accuracy)]
            if accuracy and rivals and len(arms) > 1:
                plots.append(_trade_off(summary, dataset, accuracy, rivals, colors, folder))
    return plots


def _against_x(summary: Summary, dataset: str, metric: str, colors: Mapping[str, str], folder: Path) -> Iterator[Plot]:
    series, references = series_of(summary, dataset)
    series = [one for one in series if all(arm.mean(metric) is not None for arm in one.arms)]
    if not any(len(one.arms) > 1 for one in series):
        return
    figure, axes = _figure(6.4, 3.9)
    ends: list[tuple[float, str, str]] = []
    for one in series:
        color = colors[one.arms[0].arm]
        means = [arm.mean(metric) or 0.0 for arm in one.arms]
        spreads = [arm.spread(metric) or 0.0 for arm in one.arms]
        axes.errorbar(one.x, means, spreads, color=color, marker="o", markersize=5, linewidth=1.8, capsize=3)
        ends.append((means[-1], one.label, color))
    for arm in references:
        value = arm.mean(metric)
        if value is not None:
            axes.axhline(value, color=colors[arm.arm], linewidth=1, linestyle=(0, (4, 3)))
            ends.append((value, arm.arm, colors[arm.arm]))
    ticks = sorted({x for one in series for x in one.x})
    if ticks[0] > 0 and ticks[-1] / ticks[0] >= 8:
        axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(axis="x", visible=False)
    axes.set(xlabel=_words(summary.study.x or ""), ylabel=metric)
    axes.set_title(f"{metric} against {_words(summary.study.x or '')} on {dataset}")
    figure.canvas.draw()
    right_of_axes(axes, *zip(*ends, strict=True))
    caption = f"{metric} on {dataset}: bars are one standard deviation over seeds; dashed: arms without that setting."
    yield _save(figure, folder, f"{metric}-by-{summary.study.x}-{dataset}", caption)


def _live_k(dataset: str, arms: Sequence[Repeats], colors: Mapping[str, str], folder: Path) -> Plot:
    having = [arm for arm in arms if arm.live_k]
    widest = max(max(arm.live_k) for arm in having)
    figure, axes = _figure(6.4, 0.42 * len(having) + 1.0)
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
    return _save(figure, folder, f"live-k-{dataset}", caption)


def _trade_off(
    summary: Summary,
    dataset: str,
    accuracy: str,
    rivals: Sequence[str],
    colors: Mapping[str, str],
    folder: Path,
) -> Plot:
    figure, grid = _figure(5.2 * len(rivals), 4.0, 1, len(rivals))
    series, _ = series_of(summary, dataset)
    curves = [one for one in series if len(one.arms) > 1]
    inside = {arm.arm: f"{x:g}" for one in curves for arm, x in zip(one.arms, one.x, strict=True)}
    names = {arm.arm: "" for one in curves for arm in one.arms} | {one.arms[-1].arm: one.label for one in curves}
    for axes, rival in zip(grid.flat, rivals, strict=True):
        labels: list[Label] = []
        for arm in summary.datasets[dataset]:
            x, y = arm.mean(rival), arm.mean(accuracy)
            if x is None or y is None:
                continue
            across, up, color = arm.spread(rival) or 0.0, arm.spread(accuracy) or 0.0, colors[arm.arm]
            size = 11 if arm.arm in inside else 7
            axes.errorbar(x, y, up, across, color=color, marker="o", markersize=size, elinewidth=0.9)
            axes.annotate(inside.get(arm.arm, ""), (x, y), ha="center", va="center_baseline", fontsize=7, color="white")
            labels.append(Label(names.get(arm.arm, arm.arm), x, y, across, up, color))
        for one in curves:
            path = [(arm.mean(rival), arm.mean(accuracy)) for arm in one.arms]
            axes.plot(*zip(*path, strict=True), color=colors[one.arms[0].arm], linewidth=1, alpha=0.5)
        axes.margins(0.12)
        axes.set(xlabel=rival, ylabel=accuracy)
        axes.set_title(f"{accuracy} against {rival} on {dataset}", fontsize=10)
        figure.canvas.draw()
        beside_points(axes, labels)
    caption = f"Accuracy against coverage and tail accuracy on {dataset}; up and to the right is better"
    caption += f"; the figure in a point is its {_words(summary.study.x or '')}." if curves else "."
    return _save(figure, folder, f"trade-off-{dataset}", caption)


def _colors(summary: Summary, dataset: str) -> dict[str, str]:
    """A colour for each arm: the arms of a method share it; beside curves, arms without interests are grey."""
    arms = summary.datasets[dataset]
    series, references = series_of(summary, dataset)
    told_apart = [arm for arm in arms if arm.live_k or not series or arm not in references]
    methods = list(dict.fromkeys(arm.method for arm in told_apart))
    palette = {method: PALETTE[i % len(PALETTE)] for i, method in enumerate(methods)}
    return {arm.arm: palette.get(arm.method, GREY) for arm in arms}


def _words(setting: str) -> str:
    return {"n_interests": "number of interests K"}.get(setting, setting.replace("_", " "))


@contextmanager
def _style() -> Iterator[None]:
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        yield


def _figure(width: float, height: float, n_rows: int = 1, n_columns: int = 0) -> tuple[Any, Any]:
    """Return a figure and its axes; a grid [n_rows, n_columns] of them where columns are asked for."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)  # draws without a screen and leaves the reader's own backend alone
    if not n_columns:
        return figure, figure.subplots()
    return figure, figure.subplots(n_rows, n_columns, squeeze=False)


def _save(figure: Any, folder: Path, name: str, caption: str) -> Plot:
    from PIL import Image

    figure.canvas.draw()
    picture = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")
    file = f"{slug(name)}.png"
    dpi = figure.dpi
    picture.quantize(256, dither=Image.Dither.NONE).save(
        folder / file, optimize=True, dpi=(dpi, dpi)
    )  # a third of the size
    return Plot(file, caption)


def slug(name: str) -> str:
    """Return a name fit for a file.

    >>> slug("recall@50:tail80 on ml-1m")
    'recall-50-tail80-on-ml-1m'
    """
    return re.sub(r"[^\w]+", "-", name).strip("-")
