"""Laws of the readers: what is written in any format is read back; what is wrong is one BadInput that says where."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from baselines.errors import BadInput
from experiments.data.canonical import write_canonical
from experiments.data.log import InteractionLog
from experiments.data.metadata import ItemMetadata
from experiments.data.readers.config import ReaderConfig
from experiments.data.readers.read import READERS, read_log
from experiments.data.readers.rows import RawData

DATA = Path(os.environ.get("ADAPTIVE_MI_DATA") or Path(__file__).parents[2] / "../shared/data")
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no datasets in {DATA}: set ADAPTIVE_MI_DATA")
SAMPLES = DATA / "raw_samples"
MODEST = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TOKENS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=6).map("id".__add__)


@dataclass(frozen=True)
class Behaviours:
    """A random log: user, item and (distinct within a user) time of each row."""

    rows: list[tuple[str, str, int]]
    are_tokens: bool

    def log(self) -> InteractionLog:
        kind: type = np.str_ if self.are_tokens else np.int64
        users, items, times = zip(*self.rows, strict=True)
        return InteractionLog.from_arrays(np.array(users, kind), np.array(items, kind), np.array(times, np.int64))


def behaviours(ids: st.SearchStrategy[str], are_tokens: bool) -> st.SearchStrategy[Behaviours]:
    row = st.tuples(ids, ids, st.integers(0, 2_000_000_000))
    rows = st.lists(row, min_size=1, max_size=12, unique_by=lambda r: (r[0], r[2]))
    return rows.map(lambda chosen: Behaviours(chosen, are_tokens))


INTEGER_LOGS = behaviours(st.integers(0, 2**63 - 1).map(str) | st.integers(0, 9).map(str), are_tokens=False)
TOKEN_LOGS = behaviours(TOKENS, are_tokens=True)
LOGS = INTEGER_LOGS | TOKEN_LOGS


def quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"'


WRITERS: dict[str, tuple[str, Callable[[str, str, int], str], str]] = {  # file, row, header
    "csv": ("log.csv", lambda u, i, t: f"{quoted(u)},{quoted(i)},{t}", "user_id,item_id,timestamp\n"),
    "tsv": ("log.tsv", lambda u, i, t: f"{t}\t{i}\t7\t{u}", "Timestamp\titemId\tnoise\tvisitorid\n"),
    "recbole": (
        "log.inter",
        lambda u, i, t: f"{u}\t{i}\t{t}.0",
        "user_id:token\titem_id:token\ttimestamp:float\n",
    ),
    "amazon": (
        "reviews.json",
        lambda u, i, t: json.dumps({"reviewerID": u, "reviewText": "a\nb", "asin": i, "unixReviewTime": t}),
        "",
    ),
    "movielens": ("ratings.dat", lambda u, i, t: f"{u}::{i}::5::{t}", ""),
    "ml-100k": ("u.data", lambda u, i, t: f"{u}\t{i}\t5\t{t}", ""),
    "comirec": ("x_train.txt", lambda u, i, t: f"{u},{i},{t}", ""),
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", WRITERS)
@given(data=st.data())
@MODEST
def test_what_is_written_in_any_format_is_read_back(name, zipped, data, tmp_path):
    given_log = data.draw(LOGS if name in ("csv", "tsv", "recbole", "amazon") else INTEGER_LOGS)
    file, row, header = WRITERS[name]
    text = header + "".join(row(*r) + data.draw(st.sampled_from(["\n", "\n\n", "\r\n"])) for r in given_log.rows)
    content = gzip.compress(text.encode()) if zipped else text.encode()
    path = tmp_path / (file + ".gz" * zipped)
    path.write_bytes(content)
    read = read_log(path).log
    expected = given_log.log()
    if name == "comirec":  # it holds an order, not times
        assert not read.has_time
        expected = InteractionLog.from_arrays(
            expected.user_ids[expected.user], expected.item_ids[expected.item], None, expected.timestamp
        )
    elif name == "amazon":  # an ASIN of digits is a name
        expected = Behaviours(given_log.rows, are_tokens=True).log()
    assert read.fingerprint() == expected.fingerprint()


METADATA = st.tuples(st.text(max_size=5), st.lists(st.text(max_size=3), max_size=3).map(tuple), st.text(max_size=3))


@given(given_log=LOGS, timed=st.booleans(), data=st.data())
@MODEST
def test_a_prepared_folder_reads_back_as_the_same_log_and_metadata(given_log, timed, data, tmp_path_factory):
    log = given_log.log()
    if not timed:
        log = InteractionLog.from_arrays(log.user_ids[log.user], log.item_ids[log.item])
    rows = data.draw(st.lists(METADATA, min_size=log.n_items, max_size=log.n_items))
    titles, categories, brands = zip(("", (), ""), *rows, strict=True)
    raw = RawData(log, ItemMetadata(titles, categories, brands), "x")
    folder = tmp_path_factory.mktemp("prepared") / "x"
    write_canonical(raw, folder)
    again = read_log(folder)
    assert again.log.fingerprint() == log.fingerprint()
    assert again.log.repairs == {}
    assert list(again.metadata.titles) == list(titles)
    assert list(again.metadata.categories) == list(categories)
    assert list(again.metadata.brands) == list(brands)
    assert [p.name for p in folder.parent.iterdir()] == ["x"]
    with pytest.raises(BadInput, match="exists already"):
        write_canonical(raw, folder)


GARBAGE = st.binary(max_size=60) | st.lists(
    st.sampled_from([b"::", b",", b"\t", b"\n", b"\r", b'"', b"{", b"}", b"1", b"a", b"\xff", b"\0", b"user", b"item"]),
    max_size=30,
).map(b"".join)


@pytest.mark.parametrize("file", ["x.csv", "x.csv.gz", "x.inter", "interactions.parquet", "x.json", "x_train.txt"])
@given(content=GARBAGE, zipped=st.booleans(), form=st.sampled_from(["auto", *READERS]))
@settings(MODEST, max_examples=60)
def test_garbage_is_read_or_refused_but_never_crashes(file, content, zipped, form, tmp_path):
    path = tmp_path / file
    path.write_bytes(gzip.compress(content) if zipped else content)
    try:
        n_rows = len(read_log(path, ReaderConfig(format=form)).log)
    except BadInput:
        return
    assert n_rows > 0


@given(cut=st.integers(1, 400))
@MODEST
def test_a_truncated_parquet_or_gzip_file_is_refused(cut, tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    text = "user_id,item_id,timestamp\n" + "".join(f"{r % 7},{r * r % 31},{r}\n" for r in range(500))
    (folder / "log.csv.gz").write_bytes(gzip.compress(text.encode()))
    whole = read_log(folder / "log.csv.gz")
    write_canonical(whole, folder / "x")
    for path in (folder / "log.csv.gz", folder / "x" / "interactions.parquet"):
        path.write_bytes(path.read_bytes()[:-cut])
        with pytest.raises(BadInput, match=path.name):
            read_log(path)


CSV = "user_id,item_id,timestamp\n1,2,3\n\n"
AMAZON = '{"reviewerID": "u", "asin": "i", "unixReviewTime": 1}\n'
BAD: dict[str, tuple[str, bytes | str, str]] = {  # file, content, message
    "empty file": ("a.csv", "", "empty"),
    "blank file": ("a.csv", "\n\n", "empty"),
    "header only": ("a.csv", "user_id,item_id,timestamp\n", "holds no rows"),
    "missing item column": ("a.csv", "user_id,itm,timestamp\n1,2,3\n", "no item column: found user_id, itm.*'itm'"),
    "missing time column": ("a.csv", "user_id,item_id\n1,2\n", "neither a time nor a position"),
    "too few fields": ("a.csv", CSV + "1,2\n", r"a.csv, line 4: expected 3 fields .*'1,2'"),
    "too many fields": ("a.csv", "\n" + CSV + "1,2,3,4\n", r"a.csv, line 5: expected 3 fields"),
    "fields after a quoted newline": ("a.csv", 'user_id,item_id,time,x\n1,2,3,"a\nb"\n1,2\n', "line 4"),
    "negative id": ("a.csv", CSV + "-1,2,3\n", "line 4: the user id must not be negative, found '-1'"),
    "decimal id": ("a.csv", CSV + "1,2.5,3\n", "line 4: the item id must be a whole number.*id_type token.*'2.5'"),
    "text id among integers": ("a.csv", CSV + "1,3,4\n1,x,5\n", "line 5: the item id must be .*id_type token.*'x'"),
    "id beyond 64 bits": ("a.csv", CSV + f"1,{2**63},5\n", "line 4: the item id"),
    "empty id": ("a.csv", CSV + ",2,3\n", "line 4: the user id is empty"),
    "empty time": ("a.csv", CSV + "1,2,\n", "line 4: the time is empty"),
    "NaN time": ("a.csv", CSV + "1,2,nan\n", "line 4: the time must be a finite number.*nan"),
    "infinite time": ("a.csv", CSV + "1,2,inf\n", "line 4: the time must be a finite number"),
    "text for a time": ("a.csv", CSV + "1,2,soon\n", "line 4: the time must be a number, found 'soon'"),
    "impossible date": ("a.csv", "user,item,date\n1,2,2020-01-01\n1,2,2020-13-01\n", "line 3: .*ISO 8601.*2020-13-01"),
    "date without its zone": ("a.csv", "user,item,date\n1,2,2020-01-01T00:00:00Z\n1,3,2020-01-02T00:00:00\n", "line 3"),
    "wrong encoding": ("a.csv", CSV.encode() + "é,2,3\n".encode("latin-1"), "line 4: not utf-8 .*encoding"),
    "binary file": ("a.csv", b"ab\0\1\2", "neither Parquet nor text"),
    "not gzip": ("a.csv.gz", CSV, "not a gzip file"),
    "decimal position": ("a.csv", "user,item,position\n1,2,0.5\n", "line 2: the position must be a whole number"),
    "short rating": ("ratings.dat", "1::2::5::3\n1::2::5\n", "line 2: expected UserID::MovieID::Rating::Timestamp"),
    "odd rating": ("ratings.dat", "1::2::5::3\n1:9:2::5::3\n", "line 2: expected UserID::MovieID"),
    "text user in ratings": ("ratings.dat", "1::2::5::3\nx::2::5::3\n", "line 2: the user id"),
    "short ComiRec row": ("a_train.txt", "1,2,0\n1,2\n", "a_train.txt, line 2: expected user,item,position"),
    "broken JSON": ("a.json", AMAZON + "\n{oops\n", "a.json, line 3: expected one JSON object"),
    "JSON without an item": ("a.json", '{"reviewerID": "u", "unixReviewTime": 1}\n', "no item column: found rev"),
    "a review without an item": ("a.json", AMAZON + '{"reviewerID": "u"}\n', "line 2: the item id is empty"),
    "a review at no number": ("a.json", AMAZON + AMAZON.replace("1}", '"x"}'), "line 2: unixReviewTime must be a n"),
    "untyped RecBole header": ("a.inter", "user\tthing\n1\t2\n", "no item column: found user, thing"),
    "not Parquet": ("interactions.parquet", "hello", "cannot read .*interactions.parquet"),
}


@pytest.mark.parametrize(("file", "content", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_error_that_names_the_file_and_line(file, content, message, tmp_path):
    path = tmp_path / file
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(BadInput, match=message) as error:
        read_log(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_path_an_unknown_format_and_an_ambiguous_folder_are_refused(tmp_path):
    with pytest.raises(BadInput, match="no such file"):
        read_log(tmp_path / "nothing.csv")
    with pytest.raises(BadInput, match="holds no log"):
        read_log(tmp_path)
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(CSV)
    with pytest.raises(BadInput, match=r"several logs \(a.csv, b.csv\)"):
        read_log(tmp_path)
    with pytest.raises(BadInput, match="unknown format 'recbol': did you mean 'recbole'"):
        read_log(tmp_path / "a.csv", ReaderConfig(format="recbol"))  # type: ignore[arg-type]


def test_a_bad_parquet_row_is_named_by_its_number(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "interactions.parquet"
    good = {"user_id": [1, 2], "item_id": [1, 2], "position": [0, 1], "timestamp": [1.0, 2.9]}
    for column, values, message in [
        ("user_id", [1, -2], "row 2: the user id must not be negative"),
        ("user_id", [1.0, 1.5], "row 2: the user id must be a whole number"),
        ("item_id", [1, None], "row 2: the item id is empty"),
        ("timestamp", [1.0, float("nan")], "row 2: the time must be a finite number"),
        ("timestamp", [1, None], "row 2: the time is empty"),
        ("item_id", [[1], [2]], "cannot read"),
    ]:
        pq.write_table(pa.table({**good, column: values}), path)
        with pytest.raises(BadInput, match=message):
            read_log(path)
    pq.write_table(pa.table({"user_id": [1], "item": [1]}), path)
    with pytest.raises(BadInput, match="no column 'item_id': found user_id, item"):
        read_log(path)
    pq.write_table(pa.table({"user_id": [1], "item_id": [1]}), path)
    with pytest.raises(BadInput, match="neither timestamp nor position"):
        read_log(path)
    pq.write_table(pa.table(good), path)
    assert read_log(path).log.timestamp.tolist() == [1, 2]


def read_text(tmp_path: Path, text: str, **options: object) -> RawData:
    path = tmp_path / "log.csv"
    path.write_text(text)
    return read_log(path, ReaderConfig(**options))  # type: ignore[arg-type]


def test_times_are_seconds_milliseconds_or_dates_and_are_rounded_down(tmp_path):
    def times(*values: object, **options: object) -> list[int]:
        text = "user,item,time\n" + "".join(f"1,{r},{value}\n" for r, value in enumerate(values))
        return read_text(tmp_path, text, **options).log.timestamp.tolist()

    assert times(-1, 5) == [-1, 5]
    assert times("-0.5", 5.9, "1e3") == [-1, 5, 1000]
    assert times(1433221332117, 1433221332999) == [1433221332, 1433221332]
    assert times(5, 1433221332117) == [5, 1433221332117]
    assert times(1999, time_unit="ms") == [1]
    assert times(1433221332117, time_unit="s") == [1433221332117]
    assert times("1970-01-01T00:01:00Z", "1970-01-01T02:01:01.9+02:00") == [60, 61]
    assert times("1970-01-01", "1970-01-02") == [0, 86400]
    assert times("1970-01-01 00:00:07") == [7]


def test_ids_are_integers_or_tokens_by_the_stated_rule(tmp_path):
    def items(*values: str, **options: object) -> list[object]:
        text = "user,item,time\n" + "".join(f"1,{value},{r}\n" for r, value in enumerate(values))
        return read_text(tmp_path, text, **options).log.item_ids[1:].tolist()

    assert items(" 12", "3 ", "3") == [3, 12]
    assert items("a", "b", "7") == ["7", "a", "b"]
    assert items("007", "07", "7a") == ["007", "07", "7a"]
    assert items("1", "2", "x", id_type="token") == ["1", "2", "x"]
    assert items("1.5", id_type="token") == ["1.5"]
    with pytest.raises(BadInput, match=r"line 2.*declared --data.reader.id_type integer"):
        items("a", "b", "7", id_type="integer")
    with pytest.raises(BadInput, match="exceeds 255"):
        items("x" * 256)


def test_columns_can_be_named_and_a_wrong_name_is_told_the_nearest(tmp_path):
    text = "who;what;when;stars\n1;2;3;4.5\n1;3;4;2\n"
    names = {"user_column": "who", "item_column": "what", "time_column": "when"}
    assert len(read_text(tmp_path, text, **names).log) == 2
    liked = read_text(tmp_path, text, **names, min_rating=4).log
    assert liked.item_ids[1:].tolist() == [2]
    assert liked.repairs == {"rows_below_min_rating": 1}
    with pytest.raises(BadInput, match="no column 'whom': found who, what, when, stars; did you mean 'who'"):
        read_text(tmp_path, text, **{**names, "user_column": "whom"})
    with pytest.raises(BadInput, match=r"no row .* rating of at least 9"):
        read_text(tmp_path, text, **names, min_rating=9)
    with pytest.raises(BadInput, match="one ASCII character"):
        read_text(tmp_path, text, **names, separator="::")


def test_a_line_is_named_rightly_after_rows_were_left_out_for_their_rating(tmp_path):
    text = "user,item,time,rating\n1,2,3,1\n1,2,3,5\n1,2,3,1\n1,2,nan,5\n"
    with pytest.raises(BadInput, match="line 5: the time"):
        read_text(tmp_path, text, min_rating=4)


def test_a_headerless_file_an_other_encoding_and_an_order_only_file_are_read_as_told(tmp_path):
    assert read_text(tmp_path, "1\t2\n", names=("user", "item"), separator="tab", order_only=True).log.n_items == 1
    (tmp_path / "latin.csv").write_bytes("user,item,time\né,ü,1\n".encode("latin-1"))
    assert read_log(tmp_path / "latin.csv", ReaderConfig(encoding="latin-1")).log.user_ids.tolist() == ["é"]
    with pytest.raises(BadInput, match="cannot decode"):
        read_log(tmp_path / "latin.csv", ReaderConfig(encoding="no-such-code"))


def test_repairs_are_counted_and_metadata_of_unseen_items_are_left_out(tmp_path):
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,5,3,20\n1,6,3,10\n1,6,3,10\n2,7,3,1\n")
    (tmp_path / "movies.csv").write_text('movieId,title,genres\n5,"Up, up",A|B\n6,Down,\n6,Again,\n99,Unseen,C\n')
    raw = read_log(tmp_path)
    assert raw.name == tmp_path.name
    repairs = {"unsorted_rows": 1, "duplicate_rows": 1, "items_without_metadata": 1, "duplicate_metadata_rows": 1}
    assert raw.log.repairs == repairs
    assert list(raw.metadata.titles) == ["", "Up, up", "Down", ""]
    assert list(raw.metadata.categories) == [(), ("A", "B"), (), ()]


def test_comirec_parts_are_one_log_and_errors_name_the_part(tmp_path):
    for part, text in {"train": "1,10,0\n1,11,1\n", "valid": "2,10,0\n", "test": "3,12,0\n"}.items():
        (tmp_path / f"book_{part}.txt").write_text(text)
    (tmp_path / "book_item_cate.txt").write_text("10,7\n11,8\n99,1\n")
    raw = read_log(tmp_path)
    assert raw.log.user_ids.tolist() == [1, 2, 3]
    assert list(raw.metadata.categories) == [(), ("7",), ("8",), ()]
    assert raw.log.repairs == {"items_without_metadata": 1}
    (tmp_path / "book_test.txt").write_text("3,12,0\n3,-1,1\n")
    with pytest.raises(BadInput, match=r"book_test.txt, line 2: the item id must not be negative"):
        read_log(tmp_path)


def test_amazon_metadata_are_read_as_python_literals_or_json(tmp_path):
    review = {"reviewerID": "u", "overall": 5.0}
    lines = [json.dumps({**review, "asin": asin, "unixReviewTime": t}) for t, asin in enumerate(["01", "02"])]
    (tmp_path / "reviews_Toys_5.json").write_text("\n".join(lines))
    (tmp_path / "meta_Toys.json").write_text(
        "{'asin': '01', 'title': \"It's\", 'categories': [['Toys', 'Cars'], ['Toys', 'Red']], 'brand': 'B'}\n"
        '{"asin": "02", "title": "Two\\ud800", "category": ["Toys", "Dolls"]}\n{"asin": "03", "title": "unseen"}\n'
    )
    raw = read_log(tmp_path)
    assert raw.log.item_ids[1:].tolist() == ["01", "02"]
    assert list(raw.metadata.titles) == ["", "It's", "Two?"]
    assert list(raw.metadata.categories) == [(), ("Toys", "Cars", "Red"), ("Toys", "Dolls")]
    assert list(raw.metadata.brands) == ["", "B", ""]
    (tmp_path / "meta_Toys.json").write_text("{'asin': open('x')}\n")
    with pytest.raises(BadInput, match=r"meta_Toys.json, line 1"):
        read_log(tmp_path)


def test_the_100k_archive_is_read_with_its_latin_1_titles_and_genre_flags(tmp_path):
    (tmp_path / "u.data").write_text("196\t1\t3\t881250949\n186\t1\t3\t891717742\n")
    flags = "|".join("1" if g in (3, 5) else "0" for g in range(19))
    (tmp_path / "u.item").write_bytes(f"1|Café (1995)|01-Jan-1995||http://x|{flags}\n".encode("latin-1"))
    raw = read_log(tmp_path)
    assert raw.metadata.titles[1] == "Café (1995)"
    assert raw.metadata.categories[1] == ("Animation", "Comedy")


@needs_data
@pytest.mark.parametrize(
    ("sample", "n_rows", "n_users", "n_items", "options"),
    [
        ("amazon-reviews-json", 1_000, None, None, {}),
        ("gowalla", 1_000, None, None, {"names": ("user", "time", "lat", "lon", "item")}),
        ("ml-100k-recbole", 100_000, 943, 1_682, {}),
        ("ml-1m", 60_400, 6_040, None, {}),
        ("retailrocket-session-csv", 10_080, None, None, {}),
    ],
)
def test_genuine_files_are_read_whole(sample, n_rows, n_users, n_items, options):
    log = read_log(SAMPLES / sample, ReaderConfig(**options)).log
    assert len(log) + log.repairs.get("duplicate_rows", 0) == n_rows
    assert n_users in (None, log.n_users)
    assert n_items in (None, log.n_items)
    assert log.has_time


@needs_data
def test_the_recbole_and_the_canonical_copy_of_ml_100k_are_the_same_log():
    recbole, canonical = read_log(SAMPLES / "ml-100k-recbole"), read_log(DATA / "ml-100k")
    assert recbole.log.fingerprint() == canonical.log.fingerprint()
    assert list(recbole.metadata.titles) == list(canonical.metadata.titles)
    assert list(recbole.metadata.categories) == list(canonical.metadata.categories)


@needs_data
def test_the_movielens_and_the_canonical_titles_agree():
    sample, canonical = read_log(SAMPLES / "ml-1m"), read_log(DATA / "ml-1m")
    titles = dict(zip(canonical.log.item_ids.tolist(), canonical.metadata.titles, strict=True))
    assert list(sample.metadata.titles[1:]) == [titles[i] for i in sample.log.item_ids[1:].tolist()]
