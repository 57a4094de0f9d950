"""Is one arm better than another for the same users? Paired tests on per-user metrics averaged over seeds.

U users.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from experiments.reporting.columns import better
from experiments.reporting.repeats import Repeats, require_same_users

LEVEL = 0.05
"""A mark is shown where the adjusted p-value is below this."""

N_DEVIATIONS = 2
"""A difference of fewer standard deviations over seeds is not a result: five seeds of MIND on Books vary by 1.8 %."""

N_PERMUTATIONS = 10_000
"""Sign flips of a test: the smallest p-value is 1 / 10,001, which Holm over 500 comparisons keeps below LEVEL."""


@dataclass(frozen=True)
class Comparison:
    """One arm against another on one metric.

    Attributes:
        dataset, arm, against, metric: what is compared.
        n_users: the users for whom the metric is defined.
        difference: mean over these users of arm minus against.
        low, high: 95 % bootstrap interval of the difference, over users and seeds.
        over_seeds: standard deviation over seeds of the difference; of arms with the same seeds, paired by seed. 0
            where neither arm has several.
        p: of the two-sided paired sign-flip test.
        adjusted: p after Holm's correction over the comparisons of the same family.
    """

    dataset: str
    arm: str
    against: str
    metric: str
    n_users: int
    difference: float
    low: float
    high: float
    over_seeds: float
    p: float
    adjusted: float

    @property
    def significant(self) -> bool:
        """Whether users tell the arms apart (adjusted p below LEVEL), and seeds do not tell another story."""
        return self.adjusted < LEVEL and abs(self.difference) >= N_DEVIATIONS * self.over_seeds


def against(arms: Sequence[Repeats], rival: Repeats, metrics: Sequence[str]) -> list[Comparison]:
    """Compare every arm with one on the metrics that have a value per user; Holm's family is all these comparisons."""
    return _adjusted([found for arm in arms for metric in metrics if (found := _compare(arm, rival, metric))])


def between(pairs: Sequence[tuple[Repeats, Repeats]], metric: str) -> list[Comparison]:
    """Compare the first arm of each pair with the second on a metric; Holm's family is the pairs."""
    return _adjusted([found for arm, rival in pairs if (found := _compare(arm, rival, metric))])


def best_against_second(arms: Sequence[Repeats], metrics: Sequence[str]) -> list[Comparison]:
    """Compare the best arm with the second best of each metric; Holm's family is the metrics.

    Metrics without a better direction, without a value per user, or held by one arm alone are left out. Arms with
    equal means are taken in order of name.
    """
    found = []
    for metric in metrics:
        if not better(metric):
            continue
        means = [(-better(metric) * mean, arm.arm, arm) for arm in arms if (mean := arm.mean(metric)) is not None]
        ranked = sorted(means, key=lambda entry: entry[:2])
        if len(ranked) > 1:
            found.append(_compare(ranked[0][2], ranked[1][2], metric))
    return _adjusted([comparison for comparison in found if comparison])


def _compare(first: Repeats, second: Repeats, metric: str) -> Comparison | None:
    from experiments.evaluation.significance import percentile_interval, sign_flip_test

    differences = _differences(first, second, metric)
    if differences is None:
        return None
    p = sign_flip_test(differences, N_PERMUTATIONS, _generator(first.dataset, first.arm, second.arm, metric))
    own, theirs = first.resampled(metric), second.resampled(metric)
    assert own is not None
    assert theirs is not None, "what has differences has values"
    low, high = percentile_interval(own - theirs)
    return Comparison(
        dataset=first.dataset,
        arm=first.arm,
        against=second.arm,
        metric=metric,
        n_users=len(differences),
        difference=float(differences.mean()),
        low=low,
        high=high,
        over_seeds=_over_seeds(first, second, metric),
        p=p,
        adjusted=p,
    )


def _differences(arm: Repeats, rival: Repeats, metric: str) -> NDArray[np.float64] | None:
    """An arm's metric minus another's, of the users for whom it is defined; None if of none."""
    own, theirs = arm.per_user(metric), rival.per_user(metric)
    if own is None or theirs is None:
        return None
    require_same_users(arm, rival)
    differences = own - theirs
    defined = differences[np.isfinite(differences)]
    return defined if len(defined) else None


def _generator(*names: str) -> np.random.Generator:
    """A generator of its own for each comparison: neither the order of the arms nor the other arms change a number."""
    return np.random.default_rng(int.from_bytes(hashlib.blake2b("\0".join(names).encode(), digest_size=8).digest()))


def _over_seeds(first: Repeats, second: Repeats, metric: str) -> float:
    values = [dict(zip(arm.seeds, arm.values(metric), strict=True)) for arm in (first, second)]
    common = values[0].keys() & values[1].keys()
    if len(common) > 1:
        return float(np.std([values[0][seed] - values[1][seed] for seed in common], ddof=1))
    return max(first.spread(metric) or 0.0, second.spread(metric) or 0.0)


def _adjusted(family: Sequence[Comparison]) -> list[Comparison]:
    from experiments.evaluation.significance import holm

    adjusted = holm(np.array([comparison.p for comparison in family]))
    return [replace(one, adjusted=float(p)) for one, p in zip(family, adjusted, strict=True)]
