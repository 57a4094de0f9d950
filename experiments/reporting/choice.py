"""What validation chooses among several arms, and how far from it on test the study's own arms are.

A preset K is as good as the choice of it, and who chooses sees validation users alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

from experiments.reporting.columns import better, in_percent, percent_above
from experiments.reporting.comparison import between
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
        measured = [(value, arm) for arm in _run(summary, dataset, arms) if (value := on_validation(arm)) is not None]
        if measured:
            found[name] = max(measured, key=lambda of: of[0])[1]
    return found


def on_validation(arm: Repeats) -> float | None:
    """Return an arm's `CHOSEN_BY` on validation users, mean over seeds; None where it is not known.

    Of runs whose kept copies are older than this measure, what training was at best: the same, but for arms that are
    served otherwise than they were trained.
    """
    measured = mean((run.results.get("validation") or {}).get(CHOSEN_BY) for run in arm.runs)
    return measured or mean((run.results.get("fit") or {}).get("best_value") for run in arm.runs)


def against_chosen(summary: Summary, dataset: str) -> Table | None:
    """Hold each of the study's own arms against each choice, on each metric that is judged by; None where none is."""
    pairs = [
        (name, own, arm)
        for (name, arm), own in product(chosen(summary, dataset).items(), _own(summary, dataset))
        if own is not arm
    ]
    rows: list[list[object]] = []
    for metric in _metrics(summary):
        tests = {(one.arm, one.against): one for one in between([(own, arm) for _, own, arm in pairs], metric)}
        for name, own, arm in pairs:
            test, ours, theirs = tests.get((own.arm, arm.arm)), own.mean(metric), arm.mean(metric)
            taken = [metric, _of(summary, dataset, name), arm.arm, on_validation(arm), theirs]
            low, high, over_seeds, p = (test.low, test.high, test.over_seeds, test.adjusted) if test else [None] * 4
            rows.append(
                [*taken, own.arm, ours, percent_above(ours, theirs), *in_percent(theirs, low, high, over_seeds), p]
            )
    if not rows:
        return None
    columns = ["metric", "of", "chosen", "on validation", "on test", "own arm", "own arm on test"]
    percents = ["higher %", "at least %", "at most %", "sd over seeds %"]
    title = (
        f"What validation chooses on {dataset}, and the study's own arms against it on test; a 95 % interval over "
        "users and the standard deviation over seeds, in percent of what is chosen; p of the paired test over users, "
        "Holm-adjusted over the rows of a metric; a metric of all users together has none"
    )
    return Table([*columns, *percents, "p"], rows, title, {**dict.fromkeys(percents, 1), "p": 4})


def _of(summary: Summary, dataset: str, choice: str) -> str:
    """The name of a choice, and how many of its arms there were to choose from where that is not all."""
    arms = summary.study.choices[choice]
    n_run = len(_run(summary, dataset, arms))
    return choice if n_run == len(arms) else f"{choice} ({n_run} of {len(arms)} run)"


def behind_chosen(summary: Summary) -> Table | None:
    """How far on each dataset every arm of the first choice, and each of the study's own, is from what is chosen there.

    By the first metric that is judged by. None for one dataset: there is no choice that could fail elsewhere.
    """
    metric = next(iter(_metrics(summary)), None)
    if metric is None or not summary.study.choices or len(summary.datasets) < 2:
        return None
    first, names = next(iter(summary.study.choices.items()))
    best = {dataset: choice[first] for dataset in summary.datasets if first in (choice := chosen(summary, dataset))}
    rows: list[list[object]] = []
    for name in dict.fromkeys([*names, *_names_of_own(summary)]):
        found = [(arm, best[dataset]) for dataset in best for arm in _run(summary, dataset, [name])]
        values = [percent_above(arm.mean(metric), reference.mean(metric)) for arm, reference in found]
        if len(found) == len(best) > 1 and None not in values:
            rows.append([name, *values, min(value for value in values if value is not None)])
    if not rows:
        return None
    title = f"{metric} on test, in percent above what validation chooses on that dataset of {first}; 0 is the choice"
    columns = [*best, "least"]
    return Table(["arm", *columns], rows, title, dict.fromkeys(columns, 1))


def _metrics(summary: Summary) -> list[str]:
    """The metrics that are judged by and have a better direction upwards."""
    return [name for name in summary.study.judged_by if name in summary.metrics and better(name) > 0]


def _names_of_own(summary: Summary) -> Sequence[str]:
    return summary.study.own or ([summary.baseline] if summary.baseline else [])


def _own(summary: Summary, dataset: str) -> list[Repeats]:
    return _run(summary, dataset, _names_of_own(summary))


def _run(summary: Summary, dataset: str, names: Sequence[str]) -> list[Repeats]:
    """Those of the named arms that have been run on a dataset, in the order of the names."""
    known = {arm.arm: arm for arm in summary.datasets[dataset]}
    return [known[name] for name in names if name in known]
