"""Who is above, who below? The comparisons with one arm, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.reporting.columns import better
from experiments.reporting.comparison import LEVEL, Comparison
from experiments.reporting.repeats import Repeats


@dataclass(frozen=True)
class Verdict:
    """The arms of one dataset against one of them, on one metric.

    Attributes:
        rival, metric: what they are held against, and on what.
        above, level, below: arms that are better, not told apart and worse; the best mean first.
    """

    rival: str
    metric: str
    above: Sequence[str]
    level: Sequence[str]
    below: Sequence[str]

    def __str__(self) -> str:
        """One sentence of Markdown.

        >>> str(Verdict("ease", "recall@50", ["sasrec"], [], ["mind", "remi"]))
        'Above ease on recall@50 (p < 0.05 after Holm): sasrec; not different: –; below: mind, remi.'
        """
        above, level, below = (", ".join(arms) or "–" for arms in (self.above, self.level, self.below))
        how = f"p < {LEVEL:g} after Holm"
        return f"Above {self.rival} on {self.metric} ({how}): {above}; not different: {level}; below: {below}."


def verdicts(rival: Repeats, arms: Sequence[Repeats], comparisons: Sequence[Comparison]) -> list[Verdict]:
    """Say who is above and who below an arm, a verdict for each metric that the comparisons are on.

    Above or below is what users and seeds tell apart (`Comparison.significant`).

    Args:
        rival: what the others are held against.
        arms: the arms of the same dataset; those without a comparison are not mentioned.
        comparisons: of some of them, minus the rival.
    """
    known = {arm.arm: arm for arm in arms}
    found = []
    for metric in dict.fromkeys(comparison.metric for comparison in comparisons):
        sides: dict[int, list[tuple[float, str]]] = {1: [], 0: [], -1: []}
        for one in comparisons:
            if one.metric == metric:
                arm, direction = known[one.arm], better(metric)
                side = (1 if direction * one.difference > 0 else -1) if one.significant else 0
                sides[side].append((-direction * (arm.mean(metric) or 0.0), arm.arm))
        above, level, below = ([name for _, name in sorted(sides[side])] for side in (1, 0, -1))
        found.append(Verdict(rival.arm, metric, above, level, below))
    return found
