"""The registry finds, downloads, or says in one sentence why it cannot."""

from __future__ import annotations

import hashlib
import io
import os
import threading
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from baselines.errors import BadInput
from experiments.data import registry
from experiments.data.readers.read import read_log
from experiments.data.registry import DATASETS, RegisteredDataset, list_datasets, locate

DATA = Path(os.environ.get("ADAPTIVE_MI_DATA") or Path(__file__).parents[2] / "../shared/data")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the tests out of the user's cache and environment."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(registry, "cache_folder", lambda: folder)
    monkeypatch.delenv("ADAPTIVE_MI_DATA", raising=False)
    return folder


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mapping[str, RegisteredDataset]]:
    """Serve a zip in MovieLens's layout as `tiny`."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as members:
        members.writestr("ml-tiny/ratings.dat", "1::7::5::10\n1::8::5::20\n")
        members.writestr("ml-tiny/movies.dat", "7::Café (1999)::Drama\n8::B::Action|War\n".encode("latin-1"))
    served = tmp_path / "served"
    served.mkdir()
    (served / "tiny.zip").write_bytes(content.getvalue())

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served)))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    checksum = "md5:" + hashlib.md5(content.getvalue()).hexdigest()
    tiny = replace(DATASETS["ml-100k"], url=f"{base}/tiny.zip", checksum=checksum)
    yield {
        "tiny": tiny,
        "altered": replace(tiny, checksum="md5:" + "0" * 32),
        "gone": replace(tiny, url=f"{base}/gone.zip"),
    }
    server.shutdown()
    server.server_close()


def test_a_download_is_verified_unpacked_and_readable_and_happens_once(archive, cache):
    path = locate("tiny", datasets=archive)
    raw = read_log(path)
    assert raw.log.timestamp.tolist() == [10, 20]
    assert list(raw.metadata.titles) == ["", "Café (1999)", "B"]
    unreachable = {"tiny": replace(archive["tiny"], url="http://127.0.0.1:9/x.zip")}
    assert locate("tiny", datasets=unreachable) == path
    assert sorted(entry.name for entry in cache.iterdir()) == ["tiny", "tiny.zip"]


@pytest.mark.parametrize(("name", "reason"), [("altered", "hash"), ("gone", "404")])
def test_a_download_that_fails_is_one_error_and_leaves_no_dataset(archive, cache, name, reason):
    with pytest.raises(BadInput, match=f"cannot download '{name}' from http.*{reason}") as error:
        locate(name, datasets=archive)
    assert "\n" not in str(error.value)
    assert not list(cache.glob("*"))


def test_an_archive_that_is_no_zip_is_one_error(archive, cache, tmp_path):
    (tmp_path / "served" / "tiny.zip").write_bytes(b"not a zip")
    checksum = "md5:" + hashlib.md5(b"not a zip").hexdigest()
    with pytest.raises(BadInput, match="cannot download 'tiny'"):
        locate("tiny", datasets={"tiny": replace(archive["tiny"], checksum=checksum)})
    assert not (cache / "tiny").exists()


def test_an_existing_path_wins_then_the_data_root_then_the_environment_then_the_cache(tmp_path, cache, monkeypatch):
    roots = {name: tmp_path / name for name in ("here", "given", "environment", "cache")}
    for root in roots.values():
        (root / "yelp2019").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert locate("yelp2019") == cache / "yelp2019"
    monkeypatch.setenv("ADAPTIVE_MI_DATA", str(roots["environment"]))
    assert locate("yelp2019") == roots["environment"] / "yelp2019"
    assert locate("yelp2019", roots["given"]) == roots["given"] / "yelp2019"
    (roots["given"] / "yelp2019").rmdir()
    assert locate("yelp2019", roots["given"]) == cache / "yelp2019"
    monkeypatch.chdir(roots["here"])
    assert locate("yelp2019", roots["given"]) == Path("yelp2019")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("yelp2018", "unknown dataset 'yelp2018': did you mean 'yelp2019'"),
        ("data/nothing", "no such file or folder: data/nothing"),
        ("nothing.csv", "no such file or folder: nothing.csv"),
        ("yelp2019", "is not in .*: fetch it from https://www.yelp.com/dataset .*S3Rec.*adaptive-mi data prepare"),
        ("synthetic", "generated, not read"),
    ],
)
def test_what_cannot_be_located_is_explained(name, message):
    with pytest.raises(BadInput, match=message):
        locate(name)


def test_a_data_root_that_is_no_folder_is_refused(tmp_path):
    with pytest.raises(BadInput, match="is no folder"):
        locate("yelp2019", tmp_path / "mistyped")


def test_every_dataset_is_listed_with_where_it_is(tmp_path):
    (tmp_path / "yelp2019").mkdir()
    table = list_datasets(tmp_path)
    assert [row[0] for row in table.rows] == list(DATASETS)
    assert {len(row) for row in table.rows} == {len(table.columns)}
    where = {row[0]: row[table.columns.index("where")] for row in table.rows}
    assert where["yelp2019"] == str(tmp_path / "yelp2019")
    assert where["synthetic"] == "built in"
    assert where["ml-1m"] == "downloadable"
    assert where["tmall-sessions"] == "absent"


def test_what_may_be_downloaded_has_a_checksum_and_everything_a_homepage():
    for dataset in DATASETS.values():
        assert (dataset.url is None) == (dataset.checksum is None)
        assert dataset.homepage


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no datasets in {DATA}: set ADAPTIVE_MI_DATA")
@pytest.mark.parametrize("name", [name for name in DATASETS if name != registry.SYNTHETIC])
def test_the_registered_counts_are_those_of_the_folder(name):
    raw = read_log(locate(name, DATA))
    expected = DATASETS[name]
    n_rows = len(raw.log) + raw.log.repairs.get("duplicate_rows", 0)
    assert (raw.log.n_users, raw.log.n_items, n_rows) == (expected.users, expected.items, expected.interactions)
    assert raw.log.has_time == expected.has_time
    assert bool(raw.metadata.category_names) == expected.has_categories
    assert raw.log.repairs.get("items_without_metadata", 0) == 0
