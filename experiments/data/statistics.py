"""What a reader needs to know of a dataset before believing a result on it.

R behaviours, U users, N items.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from experiments.data.dataset import Dataset
from experiments.data.log import InteractionLog
from experiments.data.metadata import ItemMetadata
from experiments.data.splits import EvaluationUsers
from experiments.reporting.table import Table

QUANTILES = {"min": 0.0, "5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "95 %": 0.95, "max": 1.0}


def statistics(log: InteractionLog, metadata: ItemMetadata, dataset: Dataset) -> list[Table]:
    """Describe a dataset: the log before and after the filter, the parts of the split, and all that was dropped.

    Args:
        log: as it was read.
        metadata: of the items of `log`.
        dataset: what `make_dataset` made of it.
    """
    raw, kept = measure(log, metadata), measure(dataset.log, dataset.metadata)
    tables = [
        Table(["statistic", "raw", "after filter"], [(n, raw[n], kept[n]) for n in raw], f"{dataset.name}: log"),
        _parts(dataset),
        Table(["repaired, dropped or left out", "count"], list(dataset.counts.items()), f"{dataset.name}: counts"),
    ]
    if dataset.truth is not None:
        planted, realised = dataset.truth.planted_k, dataset.truth.realised_k
        rows = [
            (k, int((planted == k).sum()), int((realised == k).sum()))
            for k in range(max(planted.max(), realised.max()) + 1)
        ]
        tables.append(Table(["K", "users planted", "users realised"], rows, f"{dataset.name}: true interests"))
    return tables


def measure(log: InteractionLog, metadata: ItemMetadata) -> dict[str, int | float | None]:
    """Return the statistics of a log by name; shares in per cent, None where the log cannot tell."""
    lengths = np.bincount(log.user, minlength=log.n_users)
    counts = np.bincount(log.item, minlength=log.n_items + 1)[1:]
    quantiles = np.quantile(lengths, list(QUANTILES.values()))
    return {
        "users": log.n_users,
        "items": log.n_items,
        "interactions": len(log),
        "density %": 100 * len(log) / (log.n_users * log.n_items),
        "length mean": float(lengths.mean()),
        **{f"length {name}": float(length) for name, length in zip(QUANTILES, quantiles, strict=True)},
        "item popularity Gini": gini(counts),
        "interactions with the top 20 % items %": 100 * top_share(counts, 0.2),
        "repeated interactions %": 100 * float(repeated(log).mean()),
        "time ties %": None if not log.has_time else 100 * time_ties(log),
        "items with a category": sum(bool(names) for names in metadata.categories[1:]),
        "items with a title": sum(bool(title) for title in metadata.titles[1:]),
        "categories": len(metadata.category_names),
    }


def gini(counts: NDArray[np.integer]) -> float:
    """Return the Gini coefficient of non-negative counts [N]: 0 = all equal, (N - 1) / N = one has everything.

    >>> gini(np.array([1, 1, 1, 1])), gini(np.array([0, 0, 0, 9]))
    (0.0, 0.75)
    """
    ordered = np.sort(counts).astype(np.float64)
    n = len(ordered)
    ranks = np.arange(1, n + 1)
    return float(((2 * ranks - n - 1) * ordered).sum() / (n * ordered.sum()))


def top_share(counts: NDArray[np.integer], share: float) -> float:
    """Return the part of all counts [N] that the floor(share * N) largest (at least one) have.

    >>> top_share(np.array([6, 1, 1, 1, 1]), 0.2)
    0.6
    """
    n_top = max(1, int(share * len(counts) + 1e-9))
    return float(np.sort(counts)[::-1][:n_top].sum() / counts.sum())


def repeated(log: InteractionLog) -> NDArray[np.bool_]:
    """Mark the behaviours [R] whose item the user has consumed before."""
    _, first = np.unique(log.user * np.int64(log.n_items + 1) + log.item, return_index=True)
    mark = np.ones(len(log), bool)
    mark[first] = False
    return mark


def repeated_targets(part: EvaluationUsers) -> NDArray[np.bool_]:
    """Mark the targets (flat, as in `part.targets.items`) that are in their user's history already."""
    width = part.histories.n_items + 1
    known = part.histories.users * width + part.histories.items
    mark: NDArray[np.bool_] = np.isin(part.targets.users * width + part.targets.items, known)
    return mark


def time_ties(log: InteractionLog) -> float:
    """Return the share of consecutive behaviours of a user at equal times; 0 where no user has two behaviours."""
    same_user = log.user[1:] == log.user[:-1]
    tied = log.timestamp[1:] == log.timestamp[:-1]
    return float(tied[same_user].mean()) if same_user.any() else 0.0


def _parts(dataset: Dataset) -> Table:
    train = dataset.train
    rows: list[tuple[object, ...]] = [("train", len(train), len(train.items), None, None)]
    for name, part in (("validation", dataset.validation), ("test", dataset.test)):
        share = 100 * float(repeated_targets(part).mean())
        rows.append((name, len(part), len(part.histories.items), len(part.targets.items), share))
    columns = ["part", "users", "behaviours known", "targets", "targets already in the history %"]
    return Table(columns, rows, f"{dataset.name}: {dataset.protocol.split} split")
