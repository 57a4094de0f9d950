"""What is committed: compact copies that give the same tables, and the documents written from them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from fabricated_runs import fabricate_study

from experiments.reporting.publish import keep, publish
from experiments.reporting.report import main_table
from experiments.reporting.runs import Study, load_runs


def _table(folder: Path) -> str:
    runs = load_runs(folder)
    return main_table(runs, Study.read(folder, runs)).render("md")


def test_compact_copies_give_the_same_table(tmp_path: Path) -> None:
    study = fabricate_study(tmp_path / "runs" / "k_sensitivity")
    n_runs = keep(study, tmp_path / "results")
    kept = tmp_path / "results" / "k_sensitivity"
    assert n_runs == len(load_runs(kept)) == 10
    assert _table(kept) == _table(study)


def test_compact_copies_hold_no_lists_and_only_the_tables_metrics(tmp_path: Path) -> None:
    study = fabricate_study(tmp_path / "runs" / "s", columns=["recall@20", "coverage@50"])
    keep(study, tmp_path / "results")
    with np.load(next((tmp_path / "results").rglob("per_user.npz"))) as arrays:
        assert set(arrays.files) == {"user_id", "metric/recall@20"}


def test_keeping_twice_changes_nothing(tmp_path: Path) -> None:
    study = fabricate_study(tmp_path / "runs" / "s")
    keep(study, tmp_path / "results")
    first = _table(tmp_path / "results" / "s")
    keep(study, tmp_path / "results")
    assert _table(tmp_path / "results" / "s") == first


def test_a_refused_arm_is_remembered(tmp_path: Path) -> None:
    study = fabricate_study(tmp_path / "runs" / "s")
    refusal = study / "toy" / "ease" / "refused.json"
    refusal.parent.mkdir()
    refusal.write_text(json.dumps({"reason": "too many items"}))
    keep(study, tmp_path / "results")
    publish(tmp_path / "results", tmp_path / "RESULTS.md", None)
    report = tmp_path / "results" / "s" / "report" / "report.md"
    assert "ease on toy: too many items" in report.read_text()


def test_readme_gets_the_tables_it_has_blocks_for_and_the_document_gets_all(tmp_path: Path) -> None:
    for name in ("compare", "k_sensitivity"):
        keep(fabricate_study(tmp_path / "runs" / name), tmp_path / "results")
    readme, document = tmp_path / "README.md", tmp_path / "RESULTS.md"
    readme.write_text("before\n<!-- BEGIN compare -->\nold\n<!-- END compare -->\nafter\n")
    publish(tmp_path / "results", document, readme)
    table = _table(tmp_path / "results" / "compare").strip()
    assert readme.read_text() == f"before\n<!-- BEGIN compare -->\n{table}\n<!-- END compare -->\nafter\n"
    for name in ("compare", "k_sensitivity"):
        assert _table(tmp_path / "results" / name) in document.read_text()
    links = [part.split(")")[0] for part in document.read_text().split("](")[1:]]
    assert links
    assert all((tmp_path / link).exists() for link in links)


def test_publishing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    keep(fabricate_study(tmp_path / "runs" / "s"), tmp_path / "results")
    publish(tmp_path / "results", tmp_path / "RESULTS.md", None)
    first = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}
    publish(tmp_path / "results", tmp_path / "RESULTS.md", None)
    assert first == {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}
