"""What a user sees of data: lists, statistics, conversion, and one clear line for everything that is wrong."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest
from command_line import Command

DATA = Path(os.environ.get("ADAPTIVE_MI_DATA", Path(__file__).parents[2] / "../shared/data"))
REAL = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data in {DATA}")
HEADER = "user_id,item_id,timestamp\n"
GOOD = "".join(f"{u},{i},{u + i}\n" for u in range(1, 41) for i in range(1, 11))
UNFILTERED = "--data.protocol.filter=none"


BAD = {
    "user_id,timestamp\n1,3\n": "log.csv has no item column: found user_id, timestamp",
    HEADER + GOOD + "1,3,x\n": "log.csv, line 402: the time must be a number, found 'x'",
    HEADER + "1,2\n1,3,4\n": "log.csv, line 2: expected 3 fields",
    HEADER + "1,-2,3\n1,3,4\n": "log.csv, line 2: the item id must not be negative, found '-2'",
    HEADER + "1,2.5,3\n1,3,4\n": "log.csv, line 2: the item id must be a whole number",
    HEADER + "1,2,nan\n1,3,4\n": "log.csv, line 2: the time must be a finite number",
    "": "log.csv is empty",
    HEADER: "log.csv holds no rows",
    HEADER + "1,2,3\n": "user",  # one user with one behaviour: nothing can be divided
}


@pytest.mark.parametrize("text", BAD, ids=[message[:40] for message in BAD.values()])
def test_a_bad_row_is_named_with_its_file_and_line(command: Command, tmp_path: Path, text: str) -> None:
    log = tmp_path / "log.csv"
    log.write_text(text)
    assert BAD[text] in command("data", "stats", "--data", log, UNFILTERED).error
    if text != HEADER + "1,2,3\n":
        assert BAD[text] in command("data", "prepare", "--data", log, "--out", tmp_path / "out").error
    out = command("train", "--method=most_popular", "--data", log, UNFILTERED, "--out", tmp_path / "run")
    assert BAD[text] in out.error
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


def test_repairs_are_counted_where_the_user_sees_them(command: Command, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(HEADER + GOOD + "1,1,2\n" + "50,1,1\n" + "9,3,0\n")  # a duplicate, one behaviour, two unsorted
    (tmp_path / "items.csv").write_text("item_id,title\n" + "".join(f"{i},T{i}\n" for i in range(2, 11)))
    counts = rows(command("data", "stats", "--data", log, UNFILTERED, "--format=json").out, 2)
    assert counts["duplicate_rows"] == 1
    assert counts["unsorted_rows"] >= 1
    assert counts["items_without_metadata"] == 1
    assert counts["users_with_one_behaviour"] == 1
    prepared = command("data", "prepare", "--data", log, "--out", tmp_path / "out", "--format=csv")
    assert prepared.status == 0
    assert {"duplicate rows,1", "items without metadata,1", "behaviours,402"} <= set(prepared.out.splitlines())
    run = command("train", "--method=most_popular", "--data", log, UNFILTERED, "--out", tmp_path / "run",
                  "--tracking.mode=disabled")  # fmt: skip
    assert run.status == 0
    assert json.loads((tmp_path / "run/run.json").read_text())["data"]["counts"] == counts


def rows(text: str, table: int) -> dict[str, int]:
    """A two-column table among several, printed as JSON."""
    found = json.loads(text)[table]["rows"]
    return {row["repaired, dropped or left out"]: row["count"] for row in found}


@pytest.mark.parametrize("name", ["interactions.parquet", "items.parquet"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_parquet_file_is_one_clear_line(command: Command, tmp_path: Path, name: str, share: float) -> None:
    (tmp_path / "log.csv").write_text(HEADER + GOOD)
    folder = tmp_path / "out"
    assert command("data", "prepare", "--data", tmp_path / "log.csv", "--out", folder).status == 0
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: int(share * len(whole))])
    said = command("data", "stats", "--data", folder, UNFILTERED)
    assert name in said.error


def test_what_was_prepared_holds_the_same_data(command: Command, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(HEADER + GOOD)
    assert command("data", "prepare", "--data", log, "--out", tmp_path / "log").status == 0
    of_raw = command("data", "stats", "--data", log, UNFILTERED).out
    assert command("data", "stats", "--data", tmp_path / "log", UNFILTERED).out == of_raw
    said = command("data", "prepare", "--data", log, "--out", tmp_path / "log")
    assert "exists already and is not overwritten" in said.error


def test_a_setting_that_would_be_ignored_is_refused(command: Command, tmp_path: Path) -> None:
    assert "unknown key" in command("data", "prepare", "--data.protocol.split=user", "--out", tmp_path / "x").error
    assert "unknown key" in command("data", "list", "--data", "ml-1m").error


def test_an_unknown_dataset_names_the_nearest_and_a_missing_file_itself(command: Command) -> None:
    assert "unknown dataset 'ml1m': did you mean 'ml-1m'" in command("data", "stats", "--data", "ml1m").error
    assert "no such file or folder: no/where.csv" in command("data", "stats", "--data", "no/where.csv").error


def test_an_absent_dataset_says_where_to_get_it(command: Command, tmp_path: Path) -> None:
    said = command("data", "stats", "--data", "yelp2019", "--data-root", tmp_path).error
    assert str(tmp_path) in said
    assert "https://www.yelp.com/dataset" in said


def test_the_list_says_what_is_here_and_where_it_looked(command: Command, tmp_path: Path) -> None:
    (tmp_path / "ml-1m").mkdir()
    said = command("data", "list", "--data-root", tmp_path, "--format=json")
    where = {row["dataset"]: row["where"] for row in json.loads(said.out)["rows"]}
    assert where["ml-1m"] == str(tmp_path / "ml-1m")
    assert where["yelp2019"] == "absent"
    assert f"Looked in {tmp_path}" in said.err
    assert "is no folder" in command("data", "list", "--data-root", tmp_path / "nowhere").error


def test_several_tables_are_one_json_array_and_titled_parts_of_csv(command: Command) -> None:
    flags = ["data", "stats", "--data.synthetic.n_users=300", "--data.synthetic.n_items=200"]
    tables = json.loads(command(*flags, "--format=json").out)
    titles = [table["title"] for table in tables]
    assert titles == [f"synthetic: {what}" for what in ("log", "user split", "counts", "true interests")]
    parts = command(*flags, "--format=csv").out.split("\n\n")
    assert [part.splitlines()[0] for part in parts] == [f"# {title}" for title in titles]
    for part, table in zip(parts, tables, strict=True):
        read = list(csv.DictReader(io.StringIO(part.partition("\n")[2])))
        assert [list(row) for row in read] == [list(row) for row in table["rows"]]
    markdown = command(*flags).out
    assert all(f"**{title}**" in markdown for title in titles)
    assert "\n\n\n" not in markdown
    assert command(*flags, "--format=latex").out.count(r"\begin{tabular}") == 4


SAMPLES = {
    "amazon-reviews-json": [], "ml-100k-recbole": [], "ml-1m": [], "retailrocket-session-csv": [],
    "gowalla": ["--data.reader.names=[user_id, timestamp, latitude, longitude, item_id]"],
}  # fmt: skip


@REAL
@pytest.mark.parametrize("sample", SAMPLES)
def test_every_genuine_sample_is_prepared_and_described(command: Command, tmp_path: Path, sample: str) -> None:
    out = tmp_path / sample
    raw = ["--data", DATA / "raw_samples" / sample, *SAMPLES[sample]]
    prepared = command("data", "prepare", *raw, "--out", out, "--format=csv")
    assert prepared.status == 0, prepared.err
    assert f"Use it with --data {out}" in prepared.err
    described = command("data", "stats", "--data", out, UNFILTERED, "--format=json")
    assert described.status == 0, described.err
    of_log = {row["statistic"]: row["raw"] for row in json.loads(described.out)[0]["rows"]}
    assert f"behaviours,{of_log['interactions']}\n" in prepared.out


@REAL
def test_what_is_no_log_is_said_in_a_line_that_can_be_read(command: Command) -> None:
    for sample in ("comirec-book", "s3rec"):
        assert len(command("data", "stats", "--data", DATA / "raw_samples" / sample).error) < 600
