"""What the metrics need to know of the training data and the catalogue; made once per dataset.

U training users, N items, C categories, E evaluation users of the whole log.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.sequences import Sequences
from experiments.data.metadata import ItemMetadata


@dataclass(frozen=True)
class Rows:
    """A ragged table of ids: row i is `values[offsets[i]:offsets[i + 1]]`.

    Attributes:
        values: [R] int32, each in 0..n_values - 1, distinct within a row.
        offsets: [rows + 1] int64.
        n_values: number of different ids that there may be.
    """

    values: NDArray[np.int32]
    offsets: NDArray[np.int64]
    n_values: int

    @classmethod
    def of(cls, matrix: sparse.csr_matrix | sparse.csc_matrix) -> Rows:
        """Take the places of the stored entries of a compressed matrix; rows for csr, columns for csc."""
        n_values = matrix.shape[1 if matrix.format == "csr" else 0]
        return cls(matrix.indices.astype(np.int32), matrix.indptr.astype(np.int64), n_values)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of ids in each row."""
        return np.diff(self.offsets)


@dataclass(frozen=True)
class PlantedAssignment:
    """The planted interest of every behaviour of a synthetic log.

    Attributes:
        interest: [R] int32, by user and time; -1 = noise.
        offsets: [E + 1] int64; user e has `interest[offsets[e]:offsets[e + 1]]`, in the order of time.
    """

    interest: NDArray[np.int32]
    offsets: NDArray[np.int64]

    def of_histories(self, users: NDArray[np.int64], lengths: NDArray[np.int64], width: int) -> NDArray[np.int32]:
        """Return the interests of the latest `width` behaviours of histories, [B, width], left-aligned as these are.

        Args:
            users: [B], index into the log.
            lengths: [B], of their histories, which are the beginnings of their behaviours.
            width: L; what is padded has -1.

        >>> planted = PlantedAssignment(np.array([4, 4, 6, 7, 5], np.int32), np.array([0, 3, 5]))
        >>> planted.of_histories(np.array([0, 1]), np.array([3, 1]), 2)
        array([[ 4,  6],
               [ 7, -1]], dtype=int32)
        """
        kept = np.minimum(lengths, width)
        column = np.arange(width)
        inside = column < kept[:, None]  # [B, L]
        place = np.where(inside, (self.offsets[users] + lengths - kept)[:, None] + column, 0)
        return np.where(inside, self.interest[place], np.int32(-1))


@dataclass(frozen=True)
class EvaluationContext:
    """Training data and catalogue, as the metrics see them. It depends on no configuration and on no method.

    Attributes:
        train: the training users' behaviours.
        metadata: of items 1..N.
        planted: which of a user's planted interests led to each behaviour of the log (synthetic data only).
    """

    train: Sequences
    metadata: ItemMetadata
    planted: PlantedAssignment | None = None

    def __post_init__(self) -> None:
        if len(self.metadata) != self.train.n_items:
            raise ValueError(f"metadata must describe {self.train.n_items} items, got {len(self.metadata)}")

    @property
    def n_items(self) -> int:
        """Return N."""
        return self.train.n_items

    @property
    def popularity(self) -> NDArray[np.int64]:
        """Training behaviours of each item, [N + 1] int64; entry 0 is 0."""
        return self.train.item_counts

    @cached_property
    def item_users(self) -> Rows:
        """The distinct training users of each item, N + 1 rows; the columns of the co-occurrence vectors."""
        behaviours = (np.ones(len(self.train.items), np.int32), self.train.items, self.train.offsets)
        columns = sparse.csr_matrix(behaviours, shape=(len(self.train), self.n_items + 1)).tocsc()
        columns.sum_duplicates()
        return Rows.of(columns)

    @cached_property
    def self_information(self) -> NDArray[np.float64]:
        """log2(U / training users of the item) in bits, [N + 1] float64; an item nobody has counts as one user's."""
        return np.log2(len(self.train) / np.maximum(self.item_users.lengths, 1))

    @cached_property
    def categories(self) -> Rows | None:
        """The categories of each item, N + 1 rows; None where no item has one."""
        matrix = self.metadata.item_categories
        return Rows.of(matrix) if matrix.nnz else None


@dataclass(frozen=True)
class Segments:
    """The catalogue by popularity in training, most popular first, ties by ascending id.

    Attributes:
        members: subset name -> [N + 1] bool. `head20`: the first 20 %; `mid30`: the next 30 %; `tail50`: the rest;
            `tail80`: all but the head. The numbers are the configured shares, rounded to whole items.
        tail: the name of the last, the long tail proper.
    """

    members: dict[str, NDArray[np.bool_]]
    tail: str

    @classmethod
    def of(cls, popularity: NDArray[np.int64], head_share: float, mid_share: float) -> Segments:
        """Divide items 1..N by their popularity [N + 1].

        >>> segments = Segments.of(np.array([0, 7, 9, 1, 1, 0]), head_share=0.2, mid_share=0.4)
        >>> {name: np.flatnonzero(member).tolist() for name, member in segments.members.items()}
        {'head20': [2], 'mid40': [1, 3], 'tail40': [4, 5], 'tail80': [1, 3, 4, 5]}
        """
        n_items = len(popularity) - 1
        place = np.full(n_items + 1, -1)  # of each item, 0 = most popular
        place[np.argsort(-popularity[1:], kind="stable") + 1] = np.arange(n_items)
        head = int(head_share * n_items + 0.5)
        mid = int((head_share + mid_share) * n_items + 0.5)
        tail = f"tail{_percent(1 - head_share)}"
        members = {
            f"head{_percent(head_share)}": (place >= 0) & (place < head),
            f"mid{_percent(mid_share)}": (place >= head) & (place < mid),
            f"tail{_percent(1 - head_share - mid_share)}": place >= mid,
            tail: place >= head,
        }
        return cls(members, tail)


def _percent(share: float) -> str:
    return f"{100 * share:.4g}"
