"""The settings of a run in their two forms: nested, as in YAML, and flat, by dotted key. No torch here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


def flatten(settings: Mapping[str, Any], known: Collection[str] = (), prefix: str = "") -> dict[str, Any]:
    """Return settings by dotted key; the value of a `known` key is left as it is, be it a mapping.

    >>> flatten({"model": {"k": 4}, "loss": {"weights": {"cosine": 2}}}, known=["loss.weights"])
    {'model.k': 4, 'loss.weights': {'cosine': 2}}
    """
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        group = isinstance(value, Mapping) and prefix + key not in known
        flat |= flatten(value, known, f"{prefix}{key}.") if group else {prefix + key: value}
    return flat


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return flat settings as groups within groups.

    >>> nest({"model.k": 4, "seed": 0})
    {'model': {'k': 4}, 'seed': 0}
    """
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *groups, last = key.split(".")
        place = nested
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = value
    return nested
