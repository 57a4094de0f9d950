"""A study's folder of run directories -> a folder with one readable report, its tables and its plots."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from baselines.errors import BadInput
from experiments.reporting import tables
from experiments.reporting.answers import answers
from experiments.reporting.canvas import Plot, slug
from experiments.reporting.columns import definitions_of
from experiments.reporting.comparison import LEVEL, N_DEVIATIONS, N_PERMUTATIONS
from experiments.reporting.plots import draw
from experiments.reporting.repeats import leaves
from experiments.reporting.runs import Run, load_runs, refusals, unfinished
from experiments.reporting.study import Study
from experiments.reporting.summary import Summary
from experiments.reporting.table import Table

_SUFFIXES = {"md": "md", "latex": "tex", "csv": "csv", "json": "json"}


@dataclass(frozen=True)
class Report:
    """A report that has been written.

    Attributes:
        path: report.md.
        summary: what it was made of.
        plots: the pictures beside it.
    """

    path: Path
    summary: Summary
    plots: Sequence[Plot]

    def main_table(self, dataset: str | None = None) -> Table:
        """Return the table that answers the study's question, on all datasets or on one; see `tables.main`."""
        return tables.main(self.summary if dataset is None else self.summary.only(dataset))


def main_table(runs: Sequence[Run], study: Study) -> Table:
    """Return the table that answers a study's question, without a report; see `tables.main`."""
    return tables.main(Summary(runs, study))


def write_report(folder: Path, out: Path | None = None, formats: Sequence[str] = tuple(_SUFFIXES)) -> Report:
    """Write the report of the run directories below `folder`, from files alone; the same files give the same bytes.

    Written aside and moved into place, so that a report is whole or absent; a former report is replaced.

    Args:
        folder: a study's folder, or any folder of comparable runs.
        out: the report's folder; None = `folder`/report.
        formats: in which each table gets a file of its own, besides its place in report.md.

    Raises:
        BadInput: what `load_runs` refuses, or an `out` that holds something other than a report.
    """
    out = folder / "report" if out is None else out
    if out.exists() and not (out.is_dir() and ((out / "report.md").exists() or not any(out.iterdir()))):
        raise BadInput(f"{out} exists and is not a report: name another folder, or remove it")
    runs = load_runs(folder)
    summary = Summary(runs, Study.read(folder, runs))
    writing, former = (out.with_name(out.name + suffix) for suffix in (".writing", ".former"))
    shutil.rmtree(writing, ignore_errors=True)
    writing.mkdir(parents=True)
    found = {"main": tables.main(summary), **tables.groups(summary), "interests": tables.interests(summary)}
    found |= {"significance": tables.significance(summary), "cost": tables.cost(summary)}
    shown = {name: table for name, table in found.items() if table is not None and table.rows}
    for name, table in shown.items():
        for format in formats:
            (writing / f"{slug(name)}.{_SUFFIXES[format]}").write_text(table.render(format), encoding="utf-8")
    plots = draw(summary, writing)
    text = _markdown(summary, shown, plots, folder)
    (writing / "report.md").write_text(text, encoding="utf-8")
    shutil.rmtree(former, ignore_errors=True)
    if out.exists():
        out.replace(former)
    writing.replace(out)
    shutil.rmtree(former, ignore_errors=True)
    return Report(out / "report.md", summary, plots)


def _markdown(summary: Summary, shown: Mapping[str, Table], plots: Sequence[Plot], folder: Path) -> str:
    details = [table.render("md") for name, table in shown.items() if name not in ("main", "significance")]
    parts = [
        f"# {summary.study.name}\n",
        f"{summary.study.question}\n" if summary.study.question else "",
        _reading(summary),
        *(f"{part}\n" for part in answers(summary, plots, heading="##")),
        "## By group, interests and cost\n",
        *details,
        "## Significance\n" if "significance" in shown else "",
        shown["significance"].render("md") if "significance" in shown else "",
        "## Arms\n",
        tables.arms(summary).render("md"),
        _left_out(summary, folder),
        "## Data and protocol\n",
        tables.data(summary).render("md"),
        _protocol(summary),
        _definitions(summary),
        _regenerate(summary, folder),
    ]
    return "\n".join(part for part in parts if part)


def _reading(summary: Summary) -> str:
    if len(summary.repeats) == 1:
        return ""
    lines = ["The best value of a column is **bold**, the second best _italic_ (underlined in LaTeX)."]
    if any(arm.spread(metric) is not None for arm in summary.repeats for metric in summary.metrics):
        lines.append("± is the standard deviation over seeds; arms without randomness and single seeds show none.")
        lines.append(
            f"The tests are over users, not seeds: a difference of less than {N_DEVIATIONS} standard deviations over "
            "seeds (of the difference, seed by seed where both arms have the same) is not a result and has no mark."
        )
    test = (
        f"p < {LEVEL:g} in a two-sided paired sign-flip test over the test users ({N_PERMUTATIONS:,} sign flips, "
        f"metrics averaged over seeds) of {', '.join(summary.tested)}, Holm-adjusted over all comparisons of its kind "
        "on the dataset"
    )
    if summary.against_baseline:
        lines.append(f"↑ ↓: higher, lower than {summary.baseline}; †: the best differs from the second best; {test}.")
    elif summary.best_against_second:
        lines.append(f"†: the best differs from the second best; {test}.")
    whole = [metric for metric in summary.tested if all(run.per_user(metric) is None for run in summary.runs)]
    if whole:
        lines.append(f"No mark is possible on {', '.join(whole)}: one number for the whole test, not one per user.")
    return "\n".join(lines) + "\n"


def _left_out(summary: Summary, folder: Path) -> str:
    lines = []
    waiting = unfinished(folder)
    if waiting:
        lines.append(f"{waiting} unfinished run{'s' * (waiting > 1)} left out.")
    missing = [arm for arm in summary.study.arms if arm not in {repeats.arm for repeats in summary.repeats}]
    if missing:
        lines.append(f"Arms without a finished run: {', '.join(missing)}.")
    lines += [f"Left out: {arm}: {reason}." for arm, reason in refusals(folder).items()]
    return "\n\n".join(lines) + "\n" if lines else ""


def _protocol(summary: Summary) -> str:
    lines = []
    for dataset, arms in summary.datasets.items():
        results = arms[0].runs[0].results
        terms = "; ".join(f"{key} {value}" for key, value in leaves(results.get("protocol") or {}))
        lines.append(f"* {dataset}: candidates are {results.get('candidate_set', 'not recorded')}; {terms}.")
    records = [run.record for run in summary.runs]
    for key, words in {"code_version": "code version", "device": "device"}.items():
        values = sorted({str(record.get(key, "not recorded")) for record in records})
        lines.append(f"* {words}: {', '.join(values)}.")
    return "\n".join(lines) + "\n"


def _definitions(summary: Summary) -> str:
    """The definitions of the families (`recall@n`) and subsets (`:novel`) that the main table shows."""
    told: dict[str, str] = {}
    for run in summary.runs:
        told |= run.results.get("definitions") or {}
    shown = dict.fromkeys(key for metric in summary.metrics for key in definitions_of(metric))
    lines = [f"* `{name}`: {told[name]}" for name in sorted(shown, key=lambda name: name[0] == ":") if name in told]
    return "\n".join(["## Metrics\n", *lines]) + "\n" if lines else ""


def _regenerate(summary: Summary, folder: Path) -> str:
    commands = dict.fromkeys(str(run.record["command"]) for run in summary.runs if run.record.get("command"))
    lines = ["## Made by\n", "```", *commands, f"adaptive-mi report {shlex.quote(folder.as_posix())}", "```"]
    return "\n".join(lines) + "\n"
