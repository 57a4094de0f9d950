"""What a search may choose: a number between two bounds, or one of several branches that set keys together.

Settings are flat, by dotted key; parameters are what the sampler proposes, by the name of the dimension. No torch and
no optuna here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

Settings = dict[str, Any]


class Suggests(Protocol):
    """The part of an optuna trial that dimensions use."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Propose a number."""

    def suggest_categorical(self, name: str, choices: list[str]) -> str:
        """Propose one of `choices`."""


@dataclass(frozen=True)
class Number:
    """A key with a number from `low` to `high`; uniform, or uniform in the logarithm."""

    key: str
    low: float
    high: float
    log: bool = False

    @property
    def name(self) -> str:
        """What the sampler calls it."""
        return self.key

    @property
    def keys(self) -> set[str]:
        """Every key it may set."""
        return {self.key}

    def draw(self, trial: Suggests) -> Settings:
        """Let the sampler choose."""
        return {self.key: trial.suggest_float(self.key, self.low, self.high, log=self.log)}

    def place(self, settings: Mapping[str, Any]) -> Settings | None:
        """Return the parameters that lead to `settings`; None where none do."""
        value = settings.get(self.key)
        within = isinstance(value, int | float) and self.low <= value <= self.high
        return {self.key: float(value)} if within and value is not None else None

    def without(self, given: Iterable[str]) -> Number | None:
        """Return itself, or nothing where its key is given."""
        return None if self.key in given else self

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{' (log)' if self.log else ''}"


@dataclass(frozen=True)
class Branch:
    """What one option of a choice sets, and what remains to be chosen then."""

    settings: Mapping[str, Any]
    then: tuple[Dimension, ...] = ()


@dataclass(frozen=True)
class Choice:
    """One of several branches, by label."""

    name: str
    branches: Mapping[str, Branch]

    @property
    def keys(self) -> set[str]:
        """Every key it may set."""
        inside = (dimension.keys for branch in self.branches.values() for dimension in branch.then)
        return self._own_keys.union(*inside)

    @property
    def _own_keys(self) -> set[str]:
        return {key for branch in self.branches.values() for key in branch.settings}

    def draw(self, trial: Suggests) -> Settings:
        """Let the sampler choose a branch, then within it."""
        branch = self.branches[trial.suggest_categorical(self.name, list(self.branches))]
        return {**branch.settings, **draw(branch.then, trial)}

    def place(self, settings: Mapping[str, Any]) -> Settings | None:
        """Return the parameters that lead to `settings`; None where none do."""
        for label, branch in self.branches.items():
            inside = place(branch.then, settings)
            if inside is not None and all(settings.get(key) == value for key, value in branch.settings.items()):
                return {self.name: label, **inside}
        return None

    def without(self, given: Iterable[str]) -> Choice | None:
        """Return the choice with fewer dimensions within, or nothing where a key that tells its branches is given."""
        if self._own_keys & set(given):
            return None
        left = {label: replace(branch, then=without(branch.then, given)) for label, branch in self.branches.items()}
        return Choice(self.name, left)

    def __str__(self) -> str:
        shown = []
        for label, branch in self.branches.items():
            inside = ", ".join(f"{dimension.name} {dimension}" for dimension in branch.then)
            shown.append(f"{label} [{inside}]" if inside else label)
        return " | ".join(shown)


Dimension = Number | Choice


def one_of(key: str, *values: Any, name: str | None = None) -> Choice:
    """Return the choice among the values of one key.

    >>> str(one_of("training.batch_size", 128, 256))
    '128 | 256'
    """
    return Choice(name or key, {str(value): Branch({key: value}) for value in values})


def zero_or(name: str, key: str, low: float, high: float) -> Choice:
    """Return the choice between 0 and a number that is uniform in the logarithm."""
    return Choice(name, {"none": Branch({key: 0.0}), "some": Branch({}, (Number(key, low, high, log=True),))})


def draw(space: Iterable[Dimension], trial: Suggests) -> Settings:
    """Let the sampler choose in every dimension; returns flat settings."""
    return {key: value for dimension in space for key, value in dimension.draw(trial).items()}


def place(space: Iterable[Dimension], settings: Mapping[str, Any]) -> Settings | None:
    """Return the parameters by which `draw` arrives at `settings`; None where the space does not hold them."""
    placed: Settings = {}
    for dimension in space:
        found = dimension.place(settings)
        if found is None:
            return None
        placed |= found
    return placed


def without(space: Iterable[Dimension], given: Iterable[str]) -> tuple[Dimension, ...]:
    """Return the space without what the `given` keys decide already."""
    kept = (dimension.without(given) for dimension in space)
    return tuple(dimension for dimension in kept if dimension is not None)
