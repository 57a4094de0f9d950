"""What is committed: compact copies that give the same tables, and the documents written from them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from fabricated_runs import fabricate_definition, fabricate_study

from baselines.errors import BadInput
from experiments.reporting import report
from experiments.reporting.publish import keep, publish
from experiments.reporting.report import main_table, write_report
from experiments.reporting.runs import load_runs
from experiments.reporting.study import Study
from experiments.studies.definition import find_study


@pytest.fixture(autouse=True)
def _pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw where a test asks for it: pictures take most of the time of a report."""
    if "with_pictures" not in request.fixturenames:
        monkeypatch.setattr(report, "draw", lambda *_: [])


@pytest.fixture
def with_pictures() -> None:
    """Asked for by the tests that look at pictures."""


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
    for run in (tmp_path / "results" / "s" / "toy").glob("*/*"):
        assert {path.name for path in run.iterdir()} == {"run.json", "results.json.gz", "per_user.npz"}
        with np.load(run / "per_user.npz") as arrays:
            assert arrays["metrics"].tolist() == ["recall@20"]


def _reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, datasets: Sequence[str]
) -> list[dict[str, bytes]]:
    """The report of a study's fabricated runs, and that of their copies."""
    fabricate_definition(tmp_path / "whole" / name, find_study(name), datasets=datasets)
    keep(tmp_path / "whole" / name, tmp_path / "compact")
    reports = []
    for place in ("whole", "compact"):
        monkeypatch.chdir(tmp_path / place)
        folder = write_report(Path(name)).path.parent
        reports.append({path.name: path.read_bytes() for path in folder.iterdir()})
    return reports


@pytest.mark.parametrize("name", ["compare", "k_sensitivity", "aggregation"])
def test_the_report_of_compact_copies_is_the_report_of_the_runs_byte_for_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    whole, compact = _reports(tmp_path, monkeypatch, name, ("one", "two") if name == "compare" else ("one",))
    assert whole == compact


@pytest.mark.usefixtures("with_pictures")
def test_so_are_its_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, compact = _reports(tmp_path, monkeypatch, "regularization", ("one",))
    assert whole == compact
    assert sum(file.endswith(".png") for file in whole) == 3


def test_a_run_as_the_runner_writes_it_is_kept_with_its_settings_and_its_learning_curve(tmp_path: Path) -> None:
    study = fabricate_study(tmp_path / "runs" / "s", seeds=1)
    run = study / "toy" / "item_knn" / "0"
    (run / "config.yaml").write_text("method: item_knn\n")
    (run / "metrics.jsonl").write_text('{"step": 1}\n')
    (run / "model").mkdir()
    keep(study, tmp_path / "results")
    kept = tmp_path / "results" / "s" / "toy" / "item_knn" / "0"
    assert {path.name for path in kept.iterdir()} == {
        "config.yaml.gz", "metrics.jsonl.gz", "run.json", "results.json.gz", "per_user.npz",
    }  # fmt: skip
    for name in ("config.yaml", "metrics.jsonl"):
        assert gzip.decompress((kept / f"{name}.gz").read_bytes()) == (run / name).read_bytes()


UNFINISHED = gzip.compress(b'{"study":', mtime=0)  # no time in it: every process has to see the same bytes


@pytest.mark.parametrize(
    "left", [b"", b"not gzip", UNFINISHED[:-9], UNFINISHED], ids=["empty", "not gzip", "cut off", "not JSON"]
)
def test_a_damaged_kept_file_is_named(tmp_path: Path, left: bytes) -> None:
    keep(fabricate_study(tmp_path / "runs" / "s", seeds=1), tmp_path / "results")
    path = tmp_path / "results" / "s" / "toy" / "item_knn" / "0" / "results.json.gz"
    path.write_bytes(left)
    with pytest.raises(BadInput, match=f"cannot read {path}"):
        load_runs(tmp_path / "results" / "s")


def test_keeping_again_and_keeping_what_was_kept_change_no_byte(tmp_path: Path) -> None:
    def contents(results: Path) -> dict[str, bytes]:
        return {str(path.relative_to(results)): path.read_bytes() for path in results.rglob("*") if path.is_file()}

    study = fabricate_study(tmp_path / "runs" / "s")
    keep(study, tmp_path / "results")
    first = contents(tmp_path / "results")
    keep(study, tmp_path / "results")
    keep(tmp_path / "results" / "s", tmp_path / "again")
    assert contents(tmp_path / "results") == contents(tmp_path / "again") == first


def test_runs_are_not_kept_in_their_own_place(tmp_path: Path) -> None:
    study = fabricate_study(tmp_path / "results" / "s", seeds=1)
    with pytest.raises(BadInput, match="name another folder"):
        keep(study, tmp_path / "results")
    assert len(load_runs(study)) == 6


@pytest.mark.usefixtures("with_pictures")
def test_a_published_report_is_text_and_pictures(tmp_path: Path) -> None:
    keep(fabricate_study(tmp_path / "runs" / "s"), tmp_path / "results")
    publish(tmp_path / "results", tmp_path / "RESULTS.md", None)
    folder = tmp_path / "results" / "s" / "report"
    assert {path.suffix for path in folder.iterdir()} == {".md", ".png"}
    assert [path.name for path in folder.glob("*.md")] == ["report.md"]
    text = (tmp_path / "RESULTS.md").read_text()
    assert all(f"](results/s/report/{path.name})" in text for path in folder.glob("*.png"))


def test_several_datasets_have_a_table_each_with_its_verdicts(tmp_path: Path) -> None:
    for dataset in ("a", "b"):
        fabricate_definition(tmp_path / "runs" / "compare", find_study("compare"), datasets=(dataset,))
    keep(tmp_path / "runs" / "compare", tmp_path / "results")
    readme = tmp_path / "README.md"
    readme.write_text("<!-- BEGIN compare/b -->\n<!-- END compare/b -->\n")
    publish(tmp_path / "results", tmp_path / "RESULTS.md", readme)
    text = (tmp_path / "RESULTS.md").read_text()
    for dataset in ("a", "b"):
        section = text.split(f"### {dataset}\n")[1].partition("###")[0]
        assert section.count("| item_knn ") == section.count("* Above item_knn on recall@50 (") == 1
        assert section.count("* Above history_repeat on recall@20") == 1
    assert readme.read_text().count("* Above") == 9


def test_a_refused_arm_is_remembered(tmp_path: Path) -> None:
    study = fabricate_study(tmp_path / "runs" / "s")
    refusal = study / "toy" / "ease" / "refused.json"
    refusal.parent.mkdir()
    refusal.write_text(json.dumps({"reason": "too many items"}))
    keep(study, tmp_path / "results")
    publish(tmp_path / "results", tmp_path / "RESULTS.md", None)
    text = (tmp_path / "results" / "s" / "report" / "report.md").read_text()
    assert "ease on toy: too many items" in text


def test_a_refusal_is_forgotten_once_the_arm_has_run(tmp_path: Path) -> None:
    study = fabricate_study(tmp_path / "runs" / "s")
    refusal = study / "toy" / "item_knn" / "refused.json"
    refusal.write_text(json.dumps({"reason": "too many items"}))
    keep(study, tmp_path / "results")
    assert (tmp_path / "results/s/toy/item_knn/refused.json").exists()  # of one seed, say
    refusal.unlink()
    keep(study, tmp_path / "results")
    assert not (tmp_path / "results/s/toy/item_knn/refused.json").exists()


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


def test_readme_may_show_one_metric_on_all_datasets_as_the_main_tables_give_it(tmp_path: Path) -> None:
    fabricate_definition(tmp_path / "runs" / "compare", find_study("compare"), datasets=("one", "two"))
    keep(tmp_path / "runs" / "compare", tmp_path / "results")
    readme, document = tmp_path / "README.md", tmp_path / "RESULTS.md"
    readme.write_text("<!-- BEGIN compare:recall@50 -->\n<!-- END compare:recall@50 -->\n")
    publish(tmp_path / "results", document, readme)
    header, _, *rows = [line for line in readme.read_text().splitlines() if line.startswith("|")]
    assert [entry.strip() for entry in header.strip("|").split("|")] == ["arm", "one", "two"]
    assert len(rows) == len(find_study("compare").arms)
    for dataset, column in (("one", 1), ("two", 2)):
        main = write_report(tmp_path / "results" / "compare").main_table(dataset)
        place = list(main.columns).index("recall@50")
        shown = {
            line.split("|")[1].strip(): line.split("|")[place + 1].strip() for line in main.render().splitlines()[4:]
        }
        assert {row.split("|")[1].strip(): row.split("|")[column + 1].strip() for row in rows} == shown
    assert document.read_text().index("recall@50, test users") < document.read_text().index("### one")


def test_publishing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    keep(fabricate_study(tmp_path / "runs" / "s"), tmp_path / "results")
    publish(tmp_path / "results", tmp_path / "RESULTS.md", None)
    first = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}
    publish(tmp_path / "results", tmp_path / "RESULTS.md", None)
    assert first == {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}
