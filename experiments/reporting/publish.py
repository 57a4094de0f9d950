"""What is committed: compact copies of finished runs, and the documents that are written from them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from baselines.errors import BadInput
from experiments.files import write_text
from experiments.reporting import tables
from experiments.reporting.answers import answers, table_with_verdicts
from experiments.reporting.benchmarks import benchmarks
from experiments.reporting.choice import CHOSEN_BY, against_chosen
from experiments.reporting.columns import LIVE_K_OF_USERS, definitions_of
from experiments.reporting.operating_points import operating_points
from experiments.reporting.per_user import PerUser, write_compact
from experiments.reporting.readme import update_readme
from experiments.reporting.report import Report, write_report
from experiments.reporting.runs import Run, load_runs
from experiments.reporting.study import Study
from experiments.reporting.summary import Summary
from experiments.reporting.table import Table
from experiments.run_file import read_stored, stored, write_packed
from experiments.run_folder import CONFIG, METRICS, RECORD, REFUSED, RESULTS

_READ = (
    "study", "arm", "dataset", "method", "seed", "stochastic", "protocol", "candidate_set", "n_users", "interests",
    "model", "fit",
)  # fmt: skip
"""What is kept of results.json as it stands; of its metrics and groups, what the report shows."""


def keep(folder: Path, results: Path) -> int:
    """Copy the finished runs of a study into `results`/<study>, without models and lists; return how many.

    The report of the copies is the report of the runs, byte for byte: they hold what it reads and little besides. A run
    that is there already is replaced.
    """
    runs = load_runs(folder)
    summary = Summary(runs, Study.read(folder, runs))
    target = results / summary.study.name
    if target.resolve() == folder.resolve():
        raise BadInput(f"{folder} is what --keep {results} would write: name another folder, or the runs themselves")
    metrics, tested = summary.metrics, summary.tested  # what no run holds is refused before anything is written
    target.mkdir(parents=True, exist_ok=True)
    if (folder / "study.json").exists():
        shutil.copyfile(folder / "study.json", target / "study.json")
    for run in runs:  # what was refused in former times; where it still is, it follows
        (target / run.dataset / run.arm / REFUSED).unlink(missing_ok=True)
    for path in folder.rglob(REFUSED):
        replica = target / path.relative_to(folder)
        replica.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, replica)
    for run in runs:
        _copy(run, target / run.dataset / run.arm / str(run.seed), metrics, tested)
    return len(runs)


def publish(results: Path, document: Path, readme: Path | None) -> list[Path]:
    """Write the report of every study in `results`, `document` with all main tables and plots, and README's blocks.

    README's block `NAME` gets the main tables of the study NAME, a block `NAME/DATASET` that of one dataset with its
    verdicts, `NAME/DATASET/choice` what validation chooses there and the study's own arms against it,
    `NAME/DATASET/points` the points of its curves that validation would serve, a block `NAME:METRIC` one metric on all
    datasets, and a block `bench/NAME` a kept benchmark's first table, for each that README has a block for.
    """
    reports = [write_report(path.parent, formats=()) for path in sorted(results.glob("*/study.json"))]
    head = "Written by `make results` from the run directories in `results/`; no number here is typed by hand."
    sections = [part for report in reports for part in _section(report, document)]
    speed = benchmarks(results)
    sections += [part for name, told in speed.items() for part in (f"## Speed: {name}", *told)]
    write_text(document, "\n\n".join(["# Results", head, *sections]) + "\n")
    if readme is not None:
        text = readme.read_text(encoding="utf-8")
        blocks = {name: make for report in reports for name, make in _blocks(report).items()}
        blocks |= {f"bench/{name}": partial("\n\n".join, (told[0], told[-1])) for name, told in speed.items()}
        update_readme(readme, {name: make() for name, make in blocks.items() if f"<!-- BEGIN {name} -->" in text})
    return [report.path for report in reports]


def _section(report: Report, document: Path) -> list[str]:
    """What the document says of one study, in paragraphs."""
    study = report.summary.study
    folder = os.path.relpath(report.path.parent, document.parent)
    whole = f"{study.question} [The whole report]({folder}/report.md) tells how to read the tables."
    return [f"## {study.name}", whole, *answers(report.summary, report.plots, heading="###", prefix=f"{folder}/")]


def _blocks(report: Report) -> dict[str, Callable[[], str]]:
    """What a README may show of a study, by name; made when it is called, since tests over users take a while."""
    name, summary = report.summary.study.name, report.summary
    return {
        name: partial(_main, report),
        **{f"{name}/{dataset}": partial(table_with_verdicts, summary, dataset) for dataset in summary.datasets},
        **{
            f"{name}/{dataset}/{of}": partial(_rendered, table, summary, dataset)
            for dataset in summary.datasets
            for of, table in (("choice", against_chosen), ("points", operating_points))
        },
        **{f"{name}:{metric}": partial(_across, summary, metric) for metric in summary.metrics},
    }


def _main(report: Report) -> str:
    return "\n\n".join(report.main_table(dataset).render("md").strip() for dataset in report.summary.datasets)


def _rendered(made: Callable[[Summary, str], Table | None], summary: Summary, dataset: str) -> str:
    table = made(summary, dataset)
    return table.render("md") if table else ""


def _across(summary: Summary, metric: str) -> str:
    return tables.across(summary, metric).render("md")


def _copy(run: Run, target: Path, metrics: Sequence[str], tested: Sequence[str]) -> None:
    """Write what is kept of one run: the columns of the table, by user those that are tested, and live K."""
    settings_and_curve = [name for name in (CONFIG, METRICS) if stored(run.folder / name).exists()]
    as_they_stand = {name: read_stored(run.folder / name) for name in settings_and_curve}
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name, content in as_they_stand.items():
        write_packed(target / name, content)
    write_packed(target / RESULTS, _compact_json(_shown(run, metrics, tested)).encode())
    write_text(target / RECORD, _compact_json(run.record))  # plain: what was run, on what, at what cost
    write_compact(PerUser(run.folder), [*tested, LIVE_K_OF_USERS], target)


def _shown(run: Run, metrics: Sequence[str], tested: Sequence[str]) -> dict[str, Any]:
    """Return the part of results.json that the report reads, and what a choice on validation may rest on."""
    results = run.results
    groups: Mapping[str, Mapping[str, Mapping[str, Any]]] = results.get("test_groups") or {}
    told: Mapping[str, str] = results.get("definitions") or {}
    families = {part for metric in metrics for part in definitions_of(metric)}
    return {
        **{key: results[key] for key in _READ if key in results},
        "validation": {
            name: value for name, value in (results.get("validation") or {}).items() if name in {*tested, CHOSEN_BY}
        },
        "test": {name: value for name, value in run.test.items() if name in metrics or "@" not in name},
        "test_groups": {
            by: {label: _of_group(means, metrics) for label, means in labelled.items()}
            for by, labelled in groups.items()
        },
        "definitions": {name: text for name, text in told.items() if name in families},
    }


def _of_group(means: Mapping[str, Any], metrics: Sequence[str]) -> dict[str, Any]:
    """The means that the report may show: those of its columns, or any where it has none of them."""
    shown = [name for name in metrics if name in means] or list(means)
    return {name: means[name] for name in dict.fromkeys(("n_users", *shown)) if name in means}


def _compact_json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False) + "\n"
