"""Who is served well? Means over groups of users, by how active they are and how many interests they have.

U users.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Group:
    """Some of the users.

    Attributes:
        by: what divides the users: `history length`, `true interests` or `category entropy`.
        low, high: the least and the greatest value of `by` in the group, both included.
        n_users: size of the group.
        means: metric -> mean over the group's users who have a value; a metric that none of them has is absent.
    """

    by: str
    low: float
    high: float
    n_users: int
    means: dict[str, float]

    @property
    def name(self) -> str:
        """Return `by` with its bounds.

        >>> Group("history length", 4, 7, 20, {}).name
        'history length 4..7'
        """
        bounds = f"{self.low:.4g}" if self.low == self.high else f"{self.low:.4g}..{self.high:.4g}"
        return f"{self.by} {bounds}"


def by_terciles(by: str, values: NDArray[np.generic], metrics: Mapping[str, NDArray[np.float64]]) -> tuple[Group, ...]:
    """Group users by the terciles of `values` [U]; equal values are never parted, so groups may differ in size.

    Users without a value (NaN) are in no group, and an empty group is left out.

    >>> groups = by_terciles("history length", np.array([4, 4, 5, 5, 9, 30]), {"recall@20": np.arange(6.0)})
    >>> [(group.name, group.n_users, group.means) for group in groups]
    [('history length 4', 2, {'recall@20': 0.5}),
     ('history length 5', 2, {'recall@20': 2.5}),
     ('history length 9..30', 2, {'recall@20': 4.5})]
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return ()
    bounds = np.quantile(known, [1 / 3, 2 / 3], method="inverted_cdf")
    label = np.where(np.isnan(values), -1, np.searchsorted(bounds, values))
    return _grouped(by, values, label, metrics)


def by_value(by: str, values: NDArray[np.generic], metrics: Mapping[str, NDArray[np.float64]]) -> tuple[Group, ...]:
    """Make a group of each distinct value [U]."""
    return _grouped(by, values, np.unique(values, return_inverse=True)[1], metrics)


def _grouped(
    by: str, values: NDArray[np.generic], label: NDArray[np.integer], metrics: Mapping[str, NDArray[np.float64]]
) -> tuple[Group, ...]:
    """Make a group of each label from 0 on."""
    groups = []
    for g in range(int(label.max(initial=-1)) + 1):
        inside = label == g
        if inside.any():
            means = {}
            for name, per_user in metrics.items():
                defined = per_user[inside]
                defined = defined[~np.isnan(defined)]
                if len(defined):
                    means[name] = float(defined.mean())
            own = values[inside]
            groups.append(Group(by, float(own.min()), float(own.max()), int(inside.sum()), means))
    return tuple(groups)
