"""One validated log of behaviours, whatever file it came from.

R behaviours, U users, N items, M distinct ids of one kind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from baselines.errors import BadInput


@dataclass(frozen=True, eq=False)
class InteractionLog:
    """One row per behaviour, sorted by (user, time, original order).

    Attributes:
        user: [R] int32 in 0..U-1.
        item: [R] int32 in 1..N; 0 is kept for padding.
        timestamp: [R] int64 Unix seconds where `has_time`; else the behaviour's position within its user.
        has_time: whether `timestamp` is a time; an order-only log has no global temporal split.
        user_ids: [U] original user ids (int64 or str); entry u belongs to user u.
        item_ids: [N + 1] original item ids; entry 0 belongs to padding and means nothing.
        repairs: what was mended on the way, by name -> number of rows (or items, users) concerned.
    """

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    timestamp: NDArray[np.int64]
    has_time: bool
    user_ids: NDArray[np.generic]
    item_ids: NDArray[np.generic]
    repairs: Mapping[str, int] = field(default_factory=dict)

    @property
    def n_users(self) -> int:
        """Return U."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Return N."""
        return len(self.item_ids) - 1

    def __len__(self) -> int:
        """Return R."""
        return len(self.user)

    @classmethod
    def from_arrays(
        cls,
        user: NDArray[np.generic],
        item: NDArray[np.generic],
        timestamp: NDArray[np.int64] | None = None,
        position: NDArray[np.int64] | None = None,
        repairs: Mapping[str, int] | None = None,
    ) -> InteractionLog:
        """Encode ids, sort, and drop exact duplicates, counting every repair.

        Args:
            user: [R] original ids, integers >= 0 or strings.
            item: [R] original ids, integers >= 0 or strings.
            timestamp: [R] Unix seconds, or None where only the order is known.
            position: [R] rank within the user that resolves ties of time; None = the order of the rows.
            repairs: repairs counted so far, by the reader.

        Repairs counted here: `unsorted_rows` (rows earlier than the row before them of the same user; sorted),
        `duplicate_rows` (same user, item, time and position as an earlier row, or same user, item and time where no
        position was given; dropped, except where neither time nor position is known: there every row is a behaviour).

        Raises:
            BadInput: no rows, columns of different length, negative ids, ids that are neither integers nor strings.
        """
        return cls.from_encoded(encode(user), encode(item), timestamp, position, repairs)

    @classmethod
    def from_encoded(
        cls,
        user: EncodedIds,
        item: EncodedIds,
        timestamp: NDArray[np.int64] | None = None,
        position: NDArray[np.int64] | None = None,
        repairs: Mapping[str, int] | None = None,
    ) -> InteractionLog:
        """Do what `from_arrays` does for ids that a reader has encoded already."""
        if len(user.code) == 0:
            raise BadInput("the log is empty: expected at least one behaviour")
        keys = [key for key in (position, timestamp) if key is not None]  # least significant first
        lengths = [len(column) for column in (user.code, item.code, *keys)]
        if len(set(lengths)) > 1:
            raise BadInput(f"the columns of a log must have one length, found {', '.join(map(str, lengths))}")
        for key in keys:
            if key.dtype.kind not in "iu":
                raise BadInput(f"times and positions must be integers, found {key.dtype}: round them down first")

        counted = dict(repairs or {})
        codes, distinct = (user.code, item.code), (user.distinct, item.distinct)
        unsorted = _n_unsorted(codes[0], keys[-1]) if keys else 0
        if unsorted:
            counted["unsorted_rows"] = unsorted
        if not _is_sorted((codes[0], *reversed(keys))):
            order = np.lexsort((*keys, codes[0]))
            codes = codes[0][order], codes[1][order]
            keys = [key[order] for key in keys]
        if keys:
            repeated = _repeats_an_earlier_row(*codes, keys)
            if repeated.any():
                counted["duplicate_rows"] = int(repeated.sum())
                codes = codes[0][~repeated], codes[1][~repeated]
                keys = [key[~repeated] for key in keys]
        has_time = timestamp is not None
        return cls(
            user=codes[0].astype(np.int32),
            item=(codes[1] + 1).astype(np.int32),
            timestamp=keys[-1].astype(np.int64, copy=False) if has_time else position_within(codes[0]),
            has_time=has_time,
            user_ids=distinct[0],
            item_ids=np.concatenate([np.zeros(1, distinct[1].dtype), distinct[1]]),
            repairs=counted,
        )

    def select(self, keep: NDArray[np.bool_]) -> InteractionLog:
        """Return the rows where `keep` [R] is True; users and items that lose all their rows leave the id maps."""
        user, item = encode(self.user[keep]), encode(self.item[keep])
        return replace(
            self,
            user=user.code.astype(np.int32),
            item=(item.code + 1).astype(np.int32),
            timestamp=self.timestamp[keep] if self.has_time else position_within(user.code),
            user_ids=self.user_ids[user.distinct],
            item_ids=self.item_ids[np.concatenate([[0], item.distinct]).astype(np.int64)],
        )

    def by_frequency(self) -> InteractionLog:
        """Renumber the items 1..N by descending number of behaviours, ties by the former id."""
        counts = np.bincount(self.item, minlength=self.n_items + 1)[1:]
        rank = np.argsort(-counts, kind="stable")  # [N] former id - 1 of each new place
        new_id = np.empty(self.n_items + 1, np.int32)
        new_id[0] = 0
        new_id[rank + 1] = np.arange(1, self.n_items + 1, dtype=np.int32)
        return replace(self, item=new_id[self.item], item_ids=self.item_ids[np.concatenate([[0], rank + 1])])

    @property
    def user_offsets(self) -> NDArray[np.int64]:
        """Where each user's rows begin and end, [U + 1] int64."""
        return np.concatenate([[0], np.cumsum(np.bincount(self.user, minlength=self.n_users))]).astype(np.int64)

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that change with any behaviour, its order, its time or its original id.

        The same on every platform: integers are hashed little-endian, strings as UTF-8.
        """
        digest = hashlib.blake2b(digest_size=8)
        for part in (self.user, self.item, self.timestamp):
            digest.update(np.ascontiguousarray(part, part.dtype.newbyteorder("<")).data)
        for ids in (self.user_ids, self.item_ids[1:]):
            if ids.dtype.kind in "iu":
                digest.update(ids.astype("<i8").tobytes())
            else:
                digest.update("\0".join(ids.tolist()).encode("utf-8", "surrogatepass"))
        digest.update(b"time" if self.has_time else b"order")
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class EncodedIds:
    """A column of original ids.

    Attributes:
        distinct: [M] the distinct ids, int64 or str, ascending.
        code: [R] int64, each row's index among them; every id occurs.
    """

    distinct: NDArray[np.generic]
    code: NDArray[np.int64]


def encode(ids: NDArray[np.generic]) -> EncodedIds:
    """Encode original ids [R], integers >= 0 or strings.

    Raises:
        BadInput: negative ids, or neither integers nor strings.
    """
    if ids.dtype.kind == "O" and all(isinstance(i, str) for i in ids):
        ids = ids.astype(np.str_)
    if ids.dtype.kind == "U":
        return EncodedIds(*np.unique(ids, return_inverse=True))
    if ids.dtype.kind not in "iu":
        raise BadInput(f"ids must be integers or strings, found {ids.dtype}")
    low, high = (int(ids.min()), int(ids.max())) if len(ids) else (0, 0)
    if low < 0 or high > np.iinfo(np.int64).max:
        raise BadInput(f"integer ids must lie in 0..2^63 - 1, found {low if low < 0 else high}")
    if high >= 8 * len(ids) + 1024:
        return EncodedIds(*np.unique(ids.astype(np.int64), return_inverse=True))
    seen = np.zeros(high + 1, bool)  # a table look-up; ten times faster than sorting
    seen[ids] = True
    code = np.cumsum(seen, dtype=np.int64) - 1
    return EncodedIds(np.flatnonzero(seen).astype(np.int64), code[ids])


def position_within(user: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return each row's position among its user's rows, [R] int64, for rows sorted by user."""
    starts = np.flatnonzero(np.concatenate([[True], user[1:] != user[:-1]]))
    lengths = np.diff(np.concatenate([starts, [len(user)]]))
    return np.arange(len(user), dtype=np.int64) - np.repeat(starts, lengths)


def _n_unsorted(user: NDArray[np.int64], key: NDArray[np.int64]) -> int:
    """Count the rows whose `key` is smaller than that of the row before them of the same user, adjacent or not."""
    if not _is_sorted((user,)):
        order = np.argsort(user, kind="stable")
        user, key = user[order], key[order]
    return int(((user[1:] == user[:-1]) & (key[1:] < key[:-1])).sum())


def _is_sorted(keys: tuple[NDArray[np.int64], ...]) -> bool:
    """Whether the rows ascend by `keys`, most significant first."""
    tied = np.ones(len(keys[0]) - 1, bool)
    for key in keys:
        if (tied & (key[1:] < key[:-1])).any():
            return False
        tied &= key[1:] == key[:-1]
    return True


def _repeats_an_earlier_row(
    user: NDArray[np.int64], item: NDArray[np.int64], keys: list[NDArray[np.int64]]
) -> NDArray[np.bool_]:
    """Mark the rows [R] equal in user, item and every key to an earlier one; rows sorted by (user, keys)."""
    tied = np.ones(len(user) - 1, bool)
    for column in (user, *keys):
        tied &= column[1:] == column[:-1]
    mark = np.zeros(len(user), bool)
    in_tie = np.flatnonzero(np.concatenate([tied, [False]]) | np.concatenate([[False], tied]))  # few: sort only these
    run = np.cumsum(np.concatenate([[True], ~tied]))[in_tie]  # rows of one run share user and keys
    order = np.lexsort((item[in_tie], run))
    row, run = in_tie[order], run[order]
    mark[row[1:][(run[1:] == run[:-1]) & (item[row[1:]] == item[row[:-1]])]] = True
    return mark
