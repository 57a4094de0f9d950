"""The runs of one arm that differ in seed alone, taken together.

U users, S seeds.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.errors import BadInput
from experiments.knobs import defaults
from experiments.registry import METHODS
from experiments.reporting import columns
from experiments.reporting.runs import Run

N_RESAMPLES = 1_000


@dataclass(frozen=True)
class Repeats:
    """The runs of one arm on one dataset, over S seeds.

    Attributes:
        runs: [S] runs, in order of seed.

    Raises:
        BadInput: a method or a configuration that changes between the seeds.
    """

    runs: Sequence[Run]

    def __post_init__(self) -> None:
        for run in self.runs[1:]:
            if run.method != self.method or not _same_settings(run, self.runs[0]):
                raise BadInput(
                    f"arm '{self.arm}' on '{self.dataset}' is configured differently in {self.runs[0].folder} and "
                    f"{run.folder}: the seeds of an arm must differ in nothing else; delete the outdated runs"
                )

    @property
    def dataset(self) -> str:
        """The dataset's name."""
        return self.runs[0].dataset

    @property
    def arm(self) -> str:
        """The arm's name."""
        return self.runs[0].arm

    @property
    def method(self) -> str:
        """The method's registered name."""
        return self.runs[0].method

    @property
    def seeds(self) -> Sequence[int]:
        """The seed of each run, [S]."""
        return [run.seed for run in self.runs]

    @property
    def model(self) -> Mapping[str, Any]:
        """The method's configuration."""
        return self.runs[0].model

    def values(self, metric: str) -> NDArray[np.float64]:
        """A test metric of each seed [S] float64, NaN where a run lacks it."""
        found = [run.mean_live_k if metric == columns.LIVE_K else run.test.get(metric) for run in self.runs]
        return np.array([np.nan if value is None else value for value in found], np.float64)

    def mean(self, metric: str) -> float | None:
        """Mean over seeds; None where a run lacks the metric."""
        return mean(self.values(metric))

    def spread(self, metric: str) -> float | None:
        """Standard deviation over seeds (S - 1); None for one seed and for a method without randomness."""
        if len(self.runs) < 2 or not any(run.results.get("stochastic", True) for run in self.runs):
            return None
        value = float(self.values(metric).std(ddof=1))
        return None if np.isnan(value) else value

    @property
    def live_k(self) -> Mapping[int, float]:
        """Share of the users by number of live interests, over all seeds, ascending; empty without interests."""
        counts: Counter[int] = Counter()
        for run in self.runs:
            counts.update(run.live_k)
        return {k: n / counts.total() for k, n in sorted(counts.items())}

    @cached_property
    def users(self) -> NDArray[np.str_]:
        """Ids of the test users, ascending, [U] str."""
        return np.sort(self.runs[0].users)

    def per_user(self, metric: str) -> NDArray[np.float64] | None:
        """A metric of each of `users`, averaged over seeds, [U] float64; None for a metric of the whole corpus.

        Raises:
            BadInput: seeds that were tested on different users.
        """
        if metric not in self._averages:  # a baseline is asked for the same metric by every arm
            self._averages[metric] = self._average(metric)
        return self._averages[metric]

    def of_seed(self, metric: str, seed: int) -> NDArray[np.float64] | None:
        """A metric of each of `users` with the seed in that place, [U] float64; None where it has no value per user."""
        values = self.runs[seed].per_user(metric)
        return None if values is None else values[self._orders[seed]]

    def resampled(self, metric: str) -> NDArray[np.float64] | None:
        """The mean of a metric in `N_RESAMPLES` resamples of users and seeds; None for a metric of the whole corpus.

        Arms with the same users and as many seeds are resampled alike.
        """
        from experiments.evaluation.significance import resampled_means

        if metric not in self._resampled:
            seeds = [self.of_seed(metric, place) for place in range(len(self.runs))]
            known = [values for values in seeds if values is not None]
            complete = len(known) == len(seeds)
            self._resampled[metric] = resampled_means(np.stack(known, 1), N_RESAMPLES) if complete else None
        return self._resampled[metric]

    @cached_property
    def _resampled(self) -> dict[str, NDArray[np.float64] | None]:
        return {}

    @cached_property
    def _averages(self) -> dict[str, NDArray[np.float64] | None]:
        return {}

    @cached_property
    def _orders(self) -> Sequence[NDArray[np.int64]]:
        """Where each of `users` stands in each run, [S] of [U]."""
        orders = []
        for run in self.runs:
            orders.append(np.argsort(run.users, kind="stable"))
            if not np.array_equal(run.users[orders[-1]], self.users):
                raise BadInput(
                    f"{self.runs[0].folder} and {run.folder} were tested on different users: a paired test needs the "
                    "same ones; run both with the same split"
                )
        return orders

    def _average(self, metric: str) -> NDArray[np.float64] | None:
        total = np.zeros(len(self.users))
        for seed in range(len(self.runs)):
            values = self.of_seed(metric, seed)
            if values is None:
                return None
            total += values
        return total / len(self.runs)


def require_same_users(one: Repeats, other: Repeats) -> None:
    """Refuse to pair the users of two arms where they are not the same ones."""
    if not np.array_equal(one.users, other.users):
        raise BadInput(
            f"arms '{one.arm}' and '{other.arm}' on '{one.dataset}' were tested on different users: to compare them "
            "takes the same ones; run both with the same split"
        )


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean; None where a value is missing."""
    found = [np.nan if value is None else float(value) for value in values]
    value = float(np.mean(found))
    return None if np.isnan(value) else value


def _same_settings(one: Run, other: Run) -> bool:
    """Whether two runs of a method have the same knobs; of two ages, one that lacks a newer knob has its default."""
    if one.model.keys() == other.model.keys():
        return _settings(one.model) == _settings(other.model)
    added = defaults(METHODS[one.method]) if one.method in METHODS else {}
    return _settings({**added, **one.model}) == _settings({**added, **other.model})


def _settings(model: Mapping[str, Any]) -> str:
    return json.dumps({key: value for key, value in model.items() if key != "seed"}, sort_keys=True)


def leaves(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, object]]:
    """Nested settings as dotted names.

    >>> leaves({"model": {"n_interests": 4}, "seed": 1})
    [('model.n_interests', 4), ('seed', 1)]
    """
    found: list[tuple[str, object]] = []
    for key, value in settings.items():
        found += leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(f"{prefix}{key}", value)]
    return found
