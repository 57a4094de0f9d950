"""The tables of a study, each made from its summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.reporting.columns import LIVE_K, LIVE_K_OF_USERS, better
from experiments.reporting.comparison import Comparison
from experiments.reporting.repeats import Repeats, leaves, mean
from experiments.reporting.runs import Run
from experiments.reporting.stability import between_seeds
from experiments.reporting.summary import Summary
from experiments.reporting.table import Cell, Emphasis, Table

WALL_PARTS = ("fit", "evaluate", "total")
SERVING = ("extraction", "retrieval")


def main(summary: Summary) -> Table:
    """Accuracy, long tail and coverage of every arm; nothing that depends on the machine, so it can be repeated."""
    signs = _signs(summary)
    rows = []
    for dataset, arms in summary.datasets.items():
        cells = [_cells(arms, metric, signs) for metric in summary.metrics]  # by metric, then by arm
        rows += [[dataset, arm.arm, *row] for arm, row in zip(arms, zip(*cells, strict=True), strict=True)]
    columns = ["arm", *summary.metrics]
    return _by_dataset(summary, columns, rows, title=_main_title(summary), digits={LIVE_K: 2})


def across(summary: Summary, metric: str) -> Table:
    """One metric of every arm, a column for each dataset, as the main table gives it."""
    signs = _signs(summary)
    cells = {
        (arm.arm, dataset): cell
        for dataset, arms in summary.datasets.items()
        for arm, cell in zip(arms, _cells(arms, metric, signs), strict=True)
    }
    run = {arm for arm, _ in cells}
    arms = [arm for arm in dict.fromkeys([*summary.study.arms, *(arm for arm, _ in cells)]) if arm in run]
    rows = [[arm, *(cells.get((arm, dataset)) for dataset in summary.datasets)] for arm in arms]
    digits = dict.fromkeys(summary.datasets, 2) if metric == LIVE_K else {}
    return Table(["arm", *summary.datasets], rows, _main_title(summary, f"{metric}, test users"), digits)


def groups(summary: Summary) -> dict[str, Table]:
    """One metric by group of users (by activity, number of true interests ...), a table per grouping and dataset.

    Keyed by "groups-<grouping>-<dataset>".
    """
    tables = {}
    for dataset, arms in summary.datasets.items():
        for grouping in dict.fromkeys(name for arm in arms for name in _groupings(arm.runs[0])):
            found = [_groupings(arm.runs[0])[grouping] for arm in arms if grouping in _groupings(arm.runs[0])]
            labels = list(dict.fromkeys(label for groups in found for label in groups))
            n_users = {label: groups[label]["n_users"] for groups in found for label in groups}
            held = list(dict.fromkeys(name for groups in found for group in groups.values() for name in group))
            metric = next((name for name in (*summary.metrics, *held) if name in held and name != "n_users"), None)
            if metric is None:
                continue
            rows: list[list[object]] = [[arm.arm] for arm in arms]
            for label in labels:
                values = [mean(_group(run, grouping, label).get(metric) for run in arm.runs) for arm in arms]
                for row, value, place in zip(rows, values, ranked(values, better(metric)), strict=True):
                    row.append(Cell(value, emphasis=place))
            header = [f"{label.removeprefix(f'{grouping} ')} ({n_users[label]:,})" for label in labels]
            title = f"{metric} by {grouping} on {dataset} (test users)"
            tables[f"groups-{grouping}-{dataset}"] = Table(["arm", *header], rows, title)
    return tables


def interests(summary: Summary) -> Table | None:
    """Interest diagnostics of the arms that have interests, averaged over seeds; None where no arm has."""
    having = [arm for arm in summary.repeats if arm.runs[0].interests]
    if not having:
        return None
    # Diagnostics with a value per user stand among the metrics, told by having no cutoff; the others in the summary.
    per_user = dict.fromkeys(
        name for arm in having for name in arm.runs[0].test if "@" not in name and name != LIVE_K_OF_USERS
    )
    flags = dict.fromkeys(
        name
        for arm in having
        for name, value in (arm.runs[0].interests or {}).items()
        if value is not None and not isinstance(value, Mapping)
    )
    stable = [between_seeds(arm) for arm in having]
    rows: list[list[object]] = []
    for arm in having:
        told = [mean((run.interests or {}).get(name) for run in arm.runs) for name in flags]
        rows.append([arm.dataset, arm.arm, arm.mean(LIVE_K), *map(arm.mean, per_user), *told])
    columns = ["arm", LIVE_K, *(name.replace("_", " ") for name in (*per_user, *flags))]
    title = "Interest diagnostics of the test users, averaged over seeds"
    if any(value is not None for value in stable):
        rows = [[*row, value] for row, value in zip(rows, stable, strict=True)]
        columns.append("K between seeds")
        title += "; K between seeds: correlation over users of live K with one seed and with another"
    return _by_dataset(summary, columns, rows, title=title, digits={LIVE_K: 2, "collapsed": 2})


def cost(summary: Summary) -> Table:
    """What each arm costs, averaged over seeds. These figures depend on the machine."""
    columns = ["parameters", "step (ms)", *(f"{part} (s)" for part in WALL_PARTS), "peak memory (MB)"]
    serving = [verb for verb in SERVING if any("microseconds_per_user" in run.record for run in summary.runs)]
    rows = []
    for arm in summary.repeats:
        records = [run.record for run in arm.runs]
        seconds = [mean((record.get("wall_seconds") or {}).get(part) for record in records) for part in WALL_PARTS]
        n_parameters, step, megabytes = (
            mean(record.get(key) for record in records) for key in ("n_parameters", "step_seconds", "peak_mb")
        )
        step_ms = None if step is None else 1e3 * step
        took = [mean((record.get("microseconds_per_user") or {}).get(verb) for record in records) for verb in serving]
        rows.append([arm.dataset, arm.arm, n_parameters, step_ms, *seconds, megabytes, *took])
    columns += [f"{verb} (µs/user)" for verb in serving]
    digits = {name: 1 if "s)" in name else 0 for name in columns}
    title = "Cost of a run, averaged over seeds; depends on the machine"
    if serving:
        title += ". A user has as many vectors, and a request as many nearest-neighbour queries, as interests: live K"
    return _by_dataset(summary, ["arm", *columns], rows, title=title, digits=digits)


def significance(summary: Summary) -> Table:
    """Every comparison that a mark may rest on, with its bootstrap interval."""
    families = {"against baseline": summary.against_baseline, "best against second": summary.best_against_second}
    columns = ["family", "arm", "against", "metric", "users", "difference", "95 % low", "95 % high"]
    columns += ["sd over seeds", "p", "p (Holm)"]
    rows: list[list[object]] = []
    for family, comparisons in families.items():
        for c in comparisons:
            numbers = [c.n_users, c.difference, c.low, c.high, c.over_seeds, c.p, c.adjusted]
            rows.append([c.dataset, family, c.arm, c.against, c.metric, *numbers])
    rows.sort(key=lambda row: str(row[0]))
    title = "Paired sign-flip tests over test users, Holm-adjusted over all of the family on the dataset"
    return _by_dataset(summary, columns, rows, title=title)


def arms(summary: Summary) -> Table:
    """What each arm is: its method, how many seeds were run, and the settings that make it differ."""
    rows = []
    for arm in dict.fromkeys(repeats.arm for repeats in summary.repeats):
        same = [repeats for repeats in summary.repeats if repeats.arm == arm]
        settings = summary.study.arms.get(arm) or same[0].model
        shown = ", ".join(f"{key}={value}" for key, value in leaves(settings) if key != "method")
        rows.append([arm, same[0].method, _range([len(repeats.runs) for repeats in same]), shown])
    return Table(["arm", "method", "seeds", "settings"], rows)


def data(summary: Summary) -> Table:
    """The data of each dataset: its size after filtering and its fingerprint."""
    rows = []
    for dataset, arms in summary.datasets.items():
        record, n_users = arms[0].runs[0].record["data"], arms[0].runs[0].results.get("n_users") or {}
        sizes = [record.get(key) for key in ("users", "items", "interactions")]
        rows.append([dataset, *sizes, n_users.get("validation"), n_users.get("test"), record.get("fingerprint")])
    columns = ["dataset", "users", "items", "interactions", "validation users", "test users", "fingerprint"]
    return Table(columns, rows)


def ranked(values: Sequence[float | None], direction: int) -> list[Emphasis]:
    """Name the best and the second best value; equal values share a place, and a direction of 0 names none.

    >>> ranked([0.1, 0.3, None, 0.3, 0.2], direction=1)
    ['', 'best', '', 'best', 'second']
    """
    distinct = sorted({direction * value for value in values if value is not None}, reverse=True)
    if direction == 0 or len(values) < 2:
        return ["" for _ in values]
    places: tuple[Emphasis, Emphasis] = ("best", "second")
    names = dict(zip(distinct, places, strict=False))
    return ["" if value is None else names.get(direction * value, "") for value in values]


def _by_dataset(
    summary: Summary,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    title: str,
    digits: Mapping[str, int] | None = None,
) -> Table:
    """Group rows that begin with their dataset by it; leave that column out where there is one dataset."""
    if len(summary.datasets) > 1:
        return Table(["dataset", *columns], rows, title, digits or {}, grouped=True)
    return Table(columns, [row[1:] for row in rows], f"{title} ({next(iter(summary.datasets))})", digits or {})


def _main_title(summary: Summary, shown: str = "test users") -> str:
    stochastic = [arm for arm in summary.repeats if arm.runs[0].results.get("stochastic", True)]
    n_seeds = _range([len(repeats.runs) for repeats in stochastic] or [1])
    over = "1 seed" if n_seeds == "1" else f"mean ± sd over {n_seeds} seeds"
    title = f"{summary.study.name}: {shown}, full ranking, {over}"
    if any(found.significant for found in summary.against_baseline):
        title += f"; ↑ ↓ differs from {summary.baseline}"
    if any(found.significant for found in summary.best_against_second):
        title += "; † best differs from second"
    return title


def _signs(summary: Summary) -> dict[tuple[str, str, str], str]:
    """Return the marks of significance by dataset, arm and metric."""
    signs: dict[tuple[str, str, str], str] = {}
    for found in (found for found in summary.against_baseline if found.significant):
        signs[_key(found)] = "↑" if found.difference > 0 else "↓"
    for found in (found for found in summary.best_against_second if found.significant):
        signs[_key(found)] = signs.get(_key(found), "") + "†"
    return signs


def _cells(arms: Sequence[Repeats], metric: str, signs: Mapping[tuple[str, str, str], str]) -> list[Cell]:
    """Return one metric of the arms of a dataset."""
    places = ranked([arm.mean(metric) for arm in arms], better(metric))
    return [
        Cell(arm.mean(metric), arm.spread(metric), place, signs.get((arm.dataset, arm.arm, metric), ""))
        for arm, place in zip(arms, places, strict=True)
    ]


def _key(found: Comparison) -> tuple[str, str, str]:
    return found.dataset, found.arm, found.metric


def _range(counts: Sequence[int]) -> str:
    return str(counts[0]) if len(set(counts)) == 1 else f"{min(counts)}–{max(counts)}"


def _groupings(run: Run) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    return run.results.get("test_groups") or {}


def _group(run: Run, grouping: str, label: str) -> Mapping[str, Any]:
    return _groupings(run).get(grouping, {}).get(label, {})
