"""Datasets known by name: where they lie, how large they are, and the two that may be downloaded.

Counts are those of the canonical folders (no k-core filter beyond what the publisher applied).
"""

from __future__ import annotations

import os
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from baselines.errors import BadInput, unknown_name
from experiments.reporting.table import Table

SYNTHETIC = "synthetic"
"""The name of the built-in generator, which no folder holds."""

DATA_VARIABLE = "ADAPTIVE_MI_DATA"


@dataclass(frozen=True, kw_only=True)
class RegisteredDataset:
    """A dataset known by name."""

    description: str
    """One line: what a behaviour is, who published it, which cut."""

    users: int | None
    """Users (or sessions); None where it is the user's choice (synthetic)."""

    items: int | None
    """Items that occur."""

    interactions: int | None
    """Behaviours."""

    has_time: bool
    """Whether the canonical folder has times; else it has order only."""

    has_categories: bool
    """Whether items have categories, named or anonymous."""

    homepage: str
    """Where the publisher keeps it."""

    cut: str | None = None
    """The public preprocessed copy that was used here, owner/repository on GitHub and files; None = the publisher's."""

    url: str | None = None
    """Zip archive with one folder that `read_log` reads, where the publisher allows to fetch it; else None."""

    checksum: str | None = None
    """`algorithm:hexadecimal` of the archive."""


def _amazon(
    what: str, users: int, items: int, interactions: int, time: bool, categories: bool, cut: str
) -> RegisteredDataset:
    return RegisteredDataset(
        description=f"Amazon reviews 2014, {what}, 5-core",
        users=users,
        items=items,
        interactions=interactions,
        has_time=time,
        has_categories=categories,
        homepage="https://jmcauley.ucsd.edu/data/amazon/",
        cut=cut,
    )


def _sessions(
    what: str, users: int, items: int, interactions: int, categories: bool, homepage: str, cut: str
) -> RegisteredDataset:
    return RegisteredDataset(
        description=f"{what}; one session stands for one user",
        users=users,
        items=items,
        interactions=interactions,
        has_time=False,
        has_categories=categories,
        homepage=homepage,
        cut=cut,
    )


DATASETS: Mapping[str, RegisteredDataset] = {
    SYNTHETIC: RegisteredDataset(
        description="built in: planted interests with a known K per user",
        users=None,
        items=None,
        interactions=None,
        has_time=True,
        has_categories=True,
        homepage="built in",
    ),
    "ml-1m": RegisteredDataset(
        description="MovieLens 1M ratings (the publisher's archive has times)",
        users=6_040,
        items=3_706,
        interactions=1_000_209,
        has_time=False,
        has_categories=True,
        homepage="https://grouplens.org/datasets/movielens/1m/",
        cut="WHUIR/DiffuRec: datasets/data/ml-1m/dataset.pkl, the order alone",
        url="https://files.grouplens.org/datasets/movielens/ml-1m.zip",
        checksum="md5:c4d9eecfca2ab87c1945afe126590906",
    ),
    "ml-100k": RegisteredDataset(
        description="MovieLens 100K ratings",
        users=943,
        items=1_682,
        interactions=100_000,
        has_time=True,
        has_categories=True,
        homepage="https://grouplens.org/datasets/movielens/100k/",
        url="https://files.grouplens.org/datasets/movielens/ml-100k.zip",
        checksum="md5:0e33842e24a9c977be4e0107933c0723",
    ),
    "amazon-beauty": _amazon(
        *("Beauty", 22_363, 12_101, 198_502, True, True),
        cut="aHuiWang/CIKM2020-S3Rec: data/Beauty.txt; times KingGugu/TiCoSeRec: data/Beauty/Beauty_time_org_rank.txt",
    ),
    "amazon-toys": _amazon(
        *("Toys and Games", 19_412, 11_924, 167_597, False, True),
        cut="aHuiWang/CIKM2020-S3Rec: data/Toys_and_Games.txt",
    ),
    "amazon-home": _amazon(
        *("Home and Kitchen", 66_519, 28_237, 551_682, False, False),
        cut="KingGugu/TiCoSeRec: data/Home/Home_item_org_rank.txt",
    ),
    "amazon-musical-instruments": _amazon(
        *("Musical Instruments", 1_429, 900, 10_261, True, False),
        cut="recohut/coldstart-recsys: data/DaRE/Musical_Instruments.zip",
    ),
    "yelp2019": RegisteredDataset(
        description="Yelp reviews of 2019, 5-core",
        users=30_431,
        items=20_033,
        interactions=316_354,
        has_time=True,
        has_categories=True,
        homepage="https://www.yelp.com/dataset",
        cut="aHuiWang/CIKM2020-S3Rec: data/Yelp.txt; times KingGugu/TiCoSeRec: data/Yelp-A/Yelp_time_org_rank.txt",
    ),
    "gowalla-nyc": RegisteredDataset(
        description="Gowalla check-ins in New York City, unfiltered",
        users=7_115,
        items=21_509,
        interactions=138_957,
        has_time=True,
        has_categories=False,
        homepage="https://snap.stanford.edu/data/loc-gowalla.html",
        cut="rohitpandey13/academy: tutorials/geo-located-data/jupyter/notebooks/data/gowalla_events.csv.gz",
    ),
    "retailrocket-sessions": _sessions(
        *("RetailRocket clicks", 77_354, 25_280, 467_085, True),
        homepage="https://www.kaggle.com/datasets/retailrocket/ecommerce-dataset",
        cut="hohehohe0509/DSR-HK: datasets/RetailRocket",
    ),
    "tmall-sessions": _sessions(
        *("Tmall (IJCAI-15) behaviours", 65_809, 39_761, 439_987, True),
        homepage="https://tianchi.aliyun.com/dataset/140281",
        cut="hohehohe0509/DSR-HK: datasets/Tmall",
    ),
    "diginetica-sessions": _sessions(
        *("Diginetica (CIKM Cup 2016) clicks", 202_633, 43_097, 982_961, False),
        homepage="https://competitions.codalab.org/competitions/11161",
        cut="CCIIPLab/GCE-GNN: datasets/diginetica",
    ),
    "nowplaying-sessions": _sessions(
        *("#nowplaying songs listened to", 142_556, 60_416, 1_057_684, False),
        homepage="https://dbis-nowplaying.uibk.ac.at/",
        cut="CCIIPLab/GCE-GNN: datasets/Nowplaying",
    ),
}


def locate(
    name_or_path: str, data_root: Path | None = None, datasets: Mapping[str, RegisteredDataset] = DATASETS
) -> Path:
    """Return the path of a dataset: an existing path wins; else a registered name is looked up, or downloaded.

    Args:
        name_or_path: file, folder, or registered name.
        data_root: folder of datasets; None = $ADAPTIVE_MI_DATA, or the cache folder. Downloads go to the cache folder.
        datasets: the names known.

    Raises:
        BadInput: no such path and no such name; a dataset that is not there and cannot be downloaded; `synthetic`.
    """
    if name_or_path == SYNTHETIC:
        raise BadInput("synthetic data are generated, not read: they have no path")
    path = Path(name_or_path).expanduser()
    if path.exists():
        return path
    if name_or_path not in datasets:
        if len(path.parts) > 1 or path.suffix:
            raise BadInput(f"no such file or folder: {path}")
        raise unknown_name("dataset", name_or_path, datasets)
    found = _present(name_or_path, data_root)
    if found is not None:
        return found
    dataset = datasets[name_or_path]
    if dataset.url is None:
        roots = " or ".join(str(root) for root in search_path(data_root))
        raise BadInput(
            f"dataset '{name_or_path}' is not in {roots}: fetch it from {dataset.homepage} (what was used here is the "
            f"copy of {dataset.cut}), bring it into a format that is read, one row per behaviour, then convert it with "
            f"`adaptive-mi data prepare --data FILE --out {search_path(data_root)[0] / name_or_path}`"
        )
    return _download(name_or_path, dataset.url, dataset.checksum)


def list_datasets(data_root: Path | None = None) -> Table:
    """Return what is known, and where it is."""
    rows = []
    for name, dataset in DATASETS.items():
        found = None if name == SYNTHETIC else _present(name, data_root)
        absent = "built in" if name == SYNTHETIC else "downloadable" if dataset.url else "absent"
        rows.append(
            (
                name,
                dataset.users,
                dataset.items,
                dataset.interactions,
                "yes" if dataset.has_time else "order only",
                "yes" if dataset.has_categories else "no",
                str(found or absent),
                dataset.description,
            )
        )
    columns = ("dataset", "users", "items", "interactions", "time", "categories", "where", "description")
    return Table(columns, rows, "Registered datasets")


def cache_folder() -> Path:
    """Return where downloads are kept."""
    import pooch

    return Path(pooch.os_cache("adaptive-mi"))


def search_path(data_root: Path | None) -> list[Path]:
    """Return the folders in which names are looked up, first to last.

    Raises:
        BadInput: `data_root`, or the environment's, is no folder.
    """
    root = data_root or (Path(os.environ[DATA_VARIABLE]) if os.environ.get(DATA_VARIABLE) else None)
    if root is None:
        return [cache_folder()]
    if not root.is_dir():
        raise BadInput(f"the data root {root} is no folder: set --data-root or ${DATA_VARIABLE} to one, or to nothing")
    return [root, cache_folder()]


def _present(name: str, data_root: Path | None) -> Path | None:
    return next((root / name for root in search_path(data_root) if (root / name).exists()), None)


def _download(name: str, url: str, checksum: str | None) -> Path:
    """Fetch the archive into the cache and unpack it: whole and verified, or not at all."""
    import pooch

    cache = cache_folder()
    folder = cache / name
    try:
        archive = pooch.retrieve(
            url,
            known_hash=checksum,
            fname=f"{name}.zip",
            path=cache,
            downloader=pooch.HTTPDownloader(timeout=60, progressbar=sys.stderr.isatty()),
        )
        with tempfile.TemporaryDirectory(dir=cache) as unfinished, zipfile.ZipFile(archive) as members:
            content = Path(unfinished) / "content"
            members.extractall(content)
            inside = [entry for entry in content.iterdir() if entry.name != "__MACOSX"]
            (inside[0] if len(inside) == 1 and inside[0].is_dir() else content).rename(folder)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise BadInput(f"cannot download '{name}' from {url} to {cache}: {reason}") from error
    return folder
