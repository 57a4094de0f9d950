"""One log under one protocol: everything that training and evaluation need.

R behaviours, U users, N items.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from baselines.sequences import Sequences
from experiments.data.filters import kept_rows
from experiments.data.log import InteractionLog
from experiments.data.metadata import ItemMetadata
from experiments.data.protocol import ProtocolConfig
from experiments.data.splits import EvaluationUsers, ragged_index, split_log
from experiments.data.synthetic.truth import PlantedTruth


@dataclass(frozen=True)
class Dataset:
    """A filtered, renumbered and divided log.

    Attributes:
        name: as it is called in tables.
        log: what the filter kept; items 1..N by descending frequency.
        metadata: of items 1..N of `log`.
        protocol: the filter and split that were applied.
        train: the training users' behaviours.
        train_users: [len(train)] int64, index into `log.user_ids`.
        validation, test: the evaluation users.
        counts: the reader's repairs, what the filter dropped, and the users each part of the split left out.
        truth: the planted interests of a synthetic log, aligned with `log`; None for a real one.
    """

    name: str
    log: InteractionLog
    metadata: ItemMetadata
    protocol: ProtocolConfig
    train: Sequences
    train_users: NDArray[np.int64]
    validation: EvaluationUsers
    test: EvaluationUsers
    counts: Mapping[str, int]
    truth: PlantedTruth | None = None

    @property
    def n_items(self) -> int:
        """Return N."""
        return self.log.n_items

    @property
    def train_counts(self) -> NDArray[np.int64]:
        """Training behaviours per item, [N + 1] int64; entry 0 (padding) is 0."""
        return self.train.item_counts

    def history_interests(self, part: EvaluationUsers) -> NDArray[np.int32]:
        """Return the true interest of each behaviour in `part.histories.items`, same shape; -1 = noise.

        Raises:
            ValueError: a real log, whose interests nobody knows.
        """
        if self.truth is None:
            raise ValueError(f"'{self.name}' has no planted interests: only synthetic data know them")
        begin = self.log.user_offsets[part.users]
        return self.truth.true_interest[ragged_index(begin, part.histories.lengths)]

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that change with any behaviour, any category, and any choice of protocol."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        parts = (self.log.fingerprint(), repr(self.protocol), repr(list(self.metadata.categories)))
        return hashlib.blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


def make_dataset(
    name: str,
    log: InteractionLog,
    metadata: ItemMetadata,
    protocol: ProtocolConfig,
    truth: PlantedTruth | None = None,
) -> Dataset:
    """Filter a log, renumber its items by frequency, divide it, and align all that is known of it.

    Args:
        name: as it is called in tables.
        log: [R] behaviours, as read.
        metadata: of the items 1..N of `log`.
        protocol: filter and split.
        truth: the planted interests of `log`, where it is synthetic.

    Raises:
        BadInput: the filter leaves nothing, or a part of the split is empty.
        ValueError: metadata of another log.
    """
    if len(metadata) != log.n_items:
        raise ValueError(f"metadata must describe the log's {log.n_items} items, got {len(metadata)}")
    keep = kept_rows(log, protocol)
    kept = log.select(keep).by_frequency()
    users = np.zeros(kept.n_users, np.int64)  # the former number of each user and item that is left
    users[kept.user] = log.user[keep]
    items = np.zeros(kept.n_items + 1, np.int64)
    items[kept.item] = log.item[keep]
    parts = split_log(kept, protocol)
    return Dataset(
        name=name,
        log=kept,
        metadata=metadata.take(items),
        protocol=protocol,
        train=parts.train,
        train_users=parts.train_users,
        validation=parts.validation,
        test=parts.test,
        counts={
            **log.repairs,
            "filtered_users": log.n_users - kept.n_users,
            "filtered_items": log.n_items - kept.n_items,
            "filtered_interactions": len(log) - len(kept),
            **parts.counts,
        },
        truth=truth.take(keep, users, items, kept.user) if truth is not None else None,
    )
