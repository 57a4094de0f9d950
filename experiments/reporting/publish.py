"""What is committed: compact copies of finished runs, and the documents that are written from them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.files import replacing, write_text
from experiments.reporting.columns import choose
from experiments.reporting.readme import update_readme
from experiments.reporting.report import write_report
from experiments.reporting.runs import REFUSED, Run, Study, load_runs

_KEPT = ("config.yaml", "run.json", "metrics.jsonl", "results.json")


def keep(folder: Path, results: Path) -> int:
    """Copy the finished runs of a study into `results`/<study>, without models and lists; return how many.

    Of the arrays by user, those of the main table's metrics are kept: what its significance marks are made from.
    A run that is there already is replaced.
    """
    runs = load_runs(folder)
    study = Study.read(folder, runs)
    target = results / study.name
    target.mkdir(parents=True, exist_ok=True)
    if (folder / "study.json").exists():
        shutil.copyfile(folder / "study.json", target / "study.json")
    for path in folder.rglob(REFUSED):
        replica = target / path.relative_to(folder)
        replica.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, replica)
    metrics = choose(study.columns, {metric for run in runs for metric in run.test})
    for run in runs:
        _copy(run, target / run.dataset / run.arm / str(run.seed), metrics)
    return len(runs)


def publish(results: Path, document: Path, readme: Path | None) -> list[Path]:
    """Write the report of every study in `results`, `document` with all main tables and plots, and README's blocks.

    README's block `NAME` gets the main table of the study NAME, for each study that README has a block for.
    """
    reports = [write_report(path.parent) for path in sorted(results.glob("*/study.json"))]
    sections, blocks = [], {}
    for report in reports:
        study = report.summary.study
        table = report.main_table().render("md")
        blocks[study.name] = table
        link = os.path.relpath(report.path, document.parent)
        pictures = sorted(report.path.parent.glob("*.png"))
        plots = "\n\n".join(f"![{plot.stem}]({os.path.relpath(plot, document.parent)})" for plot in pictures)
        sections.append(f"## {study.name}\n\n{study.question}\n\n{table}\n\n[The whole report]({link})\n\n{plots}")
    head = "Written by `make results` from the run directories in `results/`; no number here is typed by hand."
    write_text(document, "\n\n".join(["# Results", head, *sections]) + "\n")
    if readme is not None:
        text = readme.read_text(encoding="utf-8")
        update_readme(readme, {name: block for name, block in blocks.items() if f"<!-- BEGIN {name} -->" in text})
    return [report.path for report in reports]


def _copy(run: Run, target: Path, metrics: Sequence[str]) -> None:
    """Copy one run's text files and the per-user arrays of `metrics`."""
    target.mkdir(parents=True, exist_ok=True)
    for name in _KEPT:
        if (run.folder / name).exists():
            shutil.copyfile(run.folder / name, target / name)
    arrays = {f"metric/{metric}": run.per_user(metric) for metric in metrics}
    kept = {name: values.astype(np.float32) for name, values in arrays.items() if values is not None}
    with replacing(target / "per_user.npz") as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, user_id=run.users, **kept)  # type: ignore[arg-type]
