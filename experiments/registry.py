"""name -> class: the only list of methods. A new method is its file and one line here."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Literal

from baselines.errors import unknown_name


@dataclass(frozen=True)
class Method:
    """Where a method lives; nothing is imported before `load`.

    Attributes:
        kind: `heuristic` (fitted without gradient) or `extractor` (trained inside a Recommender).
        module, attribute: where its class is.
    """

    kind: Literal["heuristic", "extractor"]
    module: str
    attribute: str

    def load(self) -> type[Any]:
        """Import and return the class."""
        found: type[Any] = getattr(importlib.import_module(self.module), self.attribute)
        return found


METHODS = {
    "most_popular": Method("heuristic", "baselines.heuristics.most_popular", "MostPopular"),
    "history_repeat": Method("heuristic", "baselines.heuristics.history_repeat", "HistoryRepeat"),
    "item_knn": Method("heuristic", "baselines.heuristics.item_knn", "ItemKNN"),
    "repeat_then_item_knn": Method("heuristic", "baselines.heuristics.item_knn", "RepeatThenItemKNN"),
    "ease": Method("heuristic", "baselines.heuristics.ease", "EASE"),
    "mean_pooling": Method("extractor", "baselines.extractors.mean_pooling", "MeanPooling"),
    "comirec_sa": Method("extractor", "baselines.extractors.comirec", "ComiRecSA"),
}


def find_method(name: str) -> Method:
    """Return the method of that name.

    Raises:
        BadInput: there is none; names the nearest.
    """
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    return METHODS[name]
