"""What validation chooses among several arms, and how far from it on test the study's own arms are.

A preset K is as good as the choice of it, and who chooses sees validation users alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

from experiments.reporting.columns import in_percent, percent_above
from experiments.reporting.comparison import Comparison, between
from experiments.reporting.repeats import Repeats, mean
from experiments.reporting.summary import Summary
from experiments.reporting.table import Table

CHOSEN_BY = "recall@50"
"""The metric on validation users by which an arm is chosen; training is steered by it, too, unless told otherwise."""


def chosen(summary: Summary, dataset: str) -> Mapping[str, Repeats]:
    """Return the arm that validation chooses of each of the study's choices, by `CHOSEN_BY`, averaged over seeds.

    Arms that have not been run are not chosen; a choice of none is left out.
    """
    found = {}
    for name, arms in summary.study.choices.items():
        measured = [(value, arm) for arm in summary.arms_of(dataset, arms) if (value := on_validation(arm)) is not None]
        if measured:
            found[name] = max(measured, key=lambda of: of[0])[1]
    return found


def on_validation(arm: Repeats) -> float | None:
    """Return an arm's `CHOSEN_BY` on validation users, mean over seeds; None where it is not known.

    Of runs whose kept copies are older than this measure, what training was at best: the same, but for arms that are
    served otherwise than they were trained.
    """
    at_best = mean((run.results.get("fit") or {}).get("best_value") for run in arm.runs)
    return at_best if (measured := validated(arm, CHOSEN_BY)) is None else measured


def validated(arm: Repeats, metric: str) -> float | None:
    """Return a metric on validation users, mean over seeds; None where a run does not tell."""
    return mean((run.results.get("validation") or {}).get(metric) for run in arm.runs)


def against_chosen(summary: Summary, dataset: str) -> Table | None:
    """Hold each of the study's own arms against each choice, on each metric that is judged by; None where none is."""
    picked = chosen(summary, dataset)
    pairs = [
        (name, own, arm)
        for (name, arm), own in product(picked.items(), _own(summary, dataset, picked))
        if own is not arm and name not in _names_of_own(summary)
    ]
    tested = list({(own.arm, arm.arm): (own, arm) for _, own, arm in pairs}.values())  # two choices may take one arm
    rows: list[list[object]] = []
    for metric in summary.judged_upwards:
        tests = {(one.arm, one.against): one for one in between(tested, metric)}
        for name, own, arm in pairs:
            taken = [metric, _of(summary, dataset, name), arm.arm, on_validation(arm), arm.mean(metric)]
            difference = in_percent_of(arm, own, metric, tests.get((own.arm, arm.arm)))
            rows.append([*taken, own.arm, own.mean(metric), *difference])
    if not rows:
        return None
    columns = ["metric", "of", "chosen", "on validation", "on test", "own arm", "own arm on test"]
    title = (
        f"What validation chooses on {dataset}, and the study's own arms against it on test; a 95 % interval over "
        "users and seeds, and the standard deviation over seeds, in percent of what is chosen; p of the paired test "
        "over users, Holm-adjusted over the rows of a metric; a metric of all users together has none"
    )
    return Table([*columns, *DIFFERENCE], rows, title, DIFFERENCE)


DIFFERENCE: Mapping[str, int] = {"higher %": 1, "at least %": 1, "at most %": 1, "sd over seeds %": 1, "p": 4}
"""The columns of `in_percent_of`, and their digits."""


def in_percent_of(reference: Repeats, arm: Repeats, metric: str, test: Comparison | None) -> list[float | None]:
    """By how many percent of a reference an arm is above it, the interval of that, its deviation over seeds, and p."""
    theirs = reference.mean(metric)
    low, high, over_seeds, p = (test.low, test.high, test.over_seeds, test.adjusted) if test else [None] * 4
    return [percent_above(arm.mean(metric), theirs), *in_percent(theirs, low, high, over_seeds), p]


def _of(summary: Summary, dataset: str, choice: str) -> str:
    """The name of a choice, and how many of its arms there were to choose from where that is not all."""
    arms = summary.study.choices[choice]
    n_run = len(summary.arms_of(dataset, arms))
    return choice if n_run == len(arms) else f"{choice} ({n_run} of {len(arms)} run)"


def behind_chosen(summary: Summary) -> Table | None:
    """How far on each dataset every arm of the first choice, and each of the study's own, is from what is chosen there.

    By the first metric that is judged by. None for one dataset: there is no choice that could fail elsewhere.
    """
    metric = next(iter(summary.judged_upwards), None)
    if metric is None or not summary.study.choices or len(summary.datasets) < 2:
        return None
    first, names = next(iter(summary.study.choices.items()))
    best = {dataset: choice[first] for dataset in summary.datasets if first in (choice := chosen(summary, dataset))}
    rows: list[list[object]] = []
    for name in dict.fromkeys([*names, *_names_of_own(summary)]):
        found = [(arm, best[dataset]) for dataset in best for arm in summary.arms_of(dataset, [name])]
        values = [percent_above(arm.mean(metric), reference.mean(metric)) for arm, reference in found]
        if len(found) == len(best) > 1 and None not in values:
            rows.append([name, *values, min(value for value in values if value is not None)])
    if not rows:
        return None
    title = f"{metric} on test, in percent above what validation chooses on that dataset of {first}; 0 is the choice"
    columns = [*best, "least"]
    return Table(["arm", *columns], rows, title, dict.fromkeys(columns, 1))


def _names_of_own(summary: Summary) -> Sequence[str]:
    return summary.study.own or ([summary.baseline] if summary.baseline else [])


def _own(summary: Summary, dataset: str, picked: Mapping[str, Repeats]) -> Sequence[Repeats]:
    """The study's own arms, each once; of an own choice the one that is picked."""
    names = [picked[name].arm if name in picked else name for name in _names_of_own(summary)]
    return summary.arms_of(dataset, list(dict.fromkeys(names)))
