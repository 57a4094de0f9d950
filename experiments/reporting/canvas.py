"""What all plots share: a plain style, figures without a screen, small files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_STYLE: dict[Any, Any] = {
    "figure.dpi": 110,
    "savefig.dpi": 110,
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
_COLOURS = 256  # in a file: some hues and what lies between them and white


@dataclass(frozen=True)
class Plot:
    """A picture in the report's folder.

    Attributes:
        file: its name there.
        caption: what it shows.
        dataset: what it is of; None = all of them.
    """

    file: str
    caption: str
    dataset: str | None


@contextmanager
def style() -> Iterator[None]:
    """Draw in the house's manner while the block runs."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        yield


def figure(width: float, height: float, n_columns: int = 1, *, sharey: bool = False) -> tuple[Any, list[Any]]:
    """Return a figure, in inches, and its axes side by side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)  # draws without a screen and leaves the reader's own backend alone
    return made, list(made.subplots(1, n_columns, squeeze=False, sharey=sharey).flat)


def save(figure: Any, folder: Path, name: str, caption: str, dataset: str | None) -> Plot:
    """Write a figure as PNG, in few colours: a third of the size."""
    from PIL import Image

    figure.canvas.draw()
    picture = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")
    file = f"{slug(name)}.png"
    dpi = figure.dpi
    picture.quantize(_COLOURS, dither=Image.Dither.NONE).save(folder / file, optimize=True, dpi=(dpi, dpi))
    return Plot(file, caption, dataset)


def slug(name: str) -> str:
    """Return a name fit for a file.

    >>> slug("recall@50:tail80 on ml-1m")
    'recall-50-tail80-on-ml-1m'
    """
    return re.sub(r"[^\w]+", "-", name).strip("-")
