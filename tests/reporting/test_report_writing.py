"""The written report, its plots, and the tables of the README."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fabricated_runs import fabricate_run, fabricate_study

from baselines.errors import BadInput
from experiments.reporting.labels import spread_apart
from experiments.reporting.readme import update_readme
from experiments.reporting.report import write_report


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = fabricate_study(tmp_path_factory.mktemp("runs") / "k_sensitivity", seeds=2)
    (folder / "toy" / "item_knn" / "7.partial").mkdir()
    write_report(folder)
    return folder


def contents(report: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in report.iterdir()}


def test_a_report_is_written_again_byte_for_byte(folder: Path) -> None:
    before = contents(folder / "report")
    assert write_report(folder).path == folder / "report" / "report.md"
    assert contents(folder / "report") == before
    assert {path.name for path in folder.iterdir()} == {"toy", "study.json", "report"}


def test_a_report_says_the_question_the_data_the_marks_and_how_to_make_it_again(folder: Path) -> None:
    text = (folder / "report" / "report.md").read_text()
    for said in (
        "How many interests?", "0123456789abcdef", "history_share 0.8", "all items", "Holm",
        "1 unfinished run left out", "`recall@n`: hits in the first n", "`:novel`: new",
        f"adaptive-mi report {folder.as_posix()}", "± is the standard deviation",
    ):  # fmt: skip
        assert said in text


def test_every_picture_and_only_these_are_shown_and_small(folder: Path) -> None:
    report = folder / "report"
    pictures = {path.name for path in report.glob("*.png")}
    assert pictures == {
        "recall-20-by-number-of-interests-K-toy.png", "recall-50-tail80-by-number-of-interests-K-toy.png",
        "live-k-toy.png", "trade-off-toy.png",
    }  # fmt: skip
    text = (report / "report.md").read_text()
    assert all(f"]({name})" in text for name in pictures)
    assert all((report / name).stat().st_size < 100_000 for name in pictures)


def test_every_table_comes_in_four_formats(folder: Path) -> None:
    stems = {"main", "groups-activity-toy", "interests", "significance", "cost"}
    expected = {f"{stem}.{suffix}" for stem in stems for suffix in ("md", "tex", "csv", "json")}
    assert {path.name for path in (folder / "report").iterdir() if path.suffix != ".png"} == expected | {"report.md"}


def test_one_run_alone_has_a_report(tmp_path: Path) -> None:
    report = write_report(fabricate_run(tmp_path / "s", "ease", method="ease", stochastic=False))
    assert "| ease |" in report.path.read_text()


def test_a_folder_that_is_no_report_is_not_overwritten(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(BadInput, match="is not a report"):
        write_report(folder, tmp_path)
    assert contents(tmp_path) == {"thesis.tex": b"years of work"}


def test_a_report_that_fails_leaves_the_former_one(tmp_path: Path) -> None:
    folder = fabricate_study(tmp_path / "k", seeds=1)
    write_report(folder)
    before = contents(folder / "report")
    (folder / "toy" / "item_knn" / "0" / "per_user.npz").write_bytes(b"cut")
    with pytest.raises(BadInput, match=r"per_user\.npz"):
        write_report(folder)
    assert contents(folder / "report") == before


def test_reports_need_no_torch_and_no_window() -> None:
    code = "import sys, experiments.reporting.report; print({'torch', 'matplotlib', 'numba'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.mark.parametrize("seed", range(5))
def test_spread_labels_keep_their_order_and_distance(seed: int) -> None:
    places = np.random.default_rng(seed).uniform(0, 30, 8)
    moved = spread_apart(places, 5.0)
    order = np.argsort(places)
    assert (np.diff(moved[order]) >= 5 - 1e-9).all()
    assert spread_apart(places * 1000, 5.0) == pytest.approx(places * 1000)
    assert moved.mean() == pytest.approx(places.mean())


README = "# Title\n<!-- BEGIN main -->\nold\n<!-- END main -->\nbetween\n<!-- BEGIN cost -->\n<!-- END cost -->\n"


def test_only_the_text_between_its_markers_changes(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(README)
    assert update_readme(readme, {"main": "| new |\n", "cost": "none"})
    text = readme.read_text()
    assert text == README.replace("old\n", "| new |\n").replace("cost -->\n<!-- END", "cost -->\nnone\n<!-- END")
    assert not update_readme(readme, {"main": "| new |", "cost": "none"})
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


@pytest.mark.parametrize(
    "text", [README.replace("<!-- END main -->", ""), README + README, "<!-- END main -->\n<!-- BEGIN main -->\n", ""]
)
def test_missing_doubled_or_reversed_markers_are_refused_and_nothing_is_written(tmp_path: Path, text: str) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(text)
    with pytest.raises(BadInput, match="main"):
        update_readme(readme, {"main": "new"})
    assert readme.read_text() == text


def test_an_unknown_marker_names_the_nearest(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(README)
    with pytest.raises(BadInput, match="did you mean 'main'"):
        update_readme(readme, {"mian": "new"})
