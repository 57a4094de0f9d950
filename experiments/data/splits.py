"""Training and evaluation users of each protocol.

A log's rows are sorted by user and time, so every part of every split is a slice of each user's rows: training, a
history and its targets are three pairs of boundaries per user, and nothing here loops over users.

R behaviours, U users (V of them in an evaluation part), N items.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baselines.errors import BadInput
from baselines.sequences import Sequences
from experiments.data.log import InteractionLog
from experiments.data.protocol import ProtocolConfig, SplitName


@dataclass(frozen=True)
class EvaluationUsers:
    """V users with what is known of them and what is to be foretold. Each has at least one of both.

    Attributes:
        histories: full histories, never truncated; a history is always a prefix of its user's rows in the log.
        targets: the behaviours after the history, in order of time; repeats are kept.
        users: [V] int64, index into the log's `user_ids`.
    """

    histories: Sequences
    targets: Sequences
    users: NDArray[np.int64]

    def __len__(self) -> int:
        """Return V."""
        return len(self.users)


@dataclass(frozen=True)
class Split:
    """A log divided.

    Attributes:
        train: the training users' behaviours; every user has at least one.
        train_users: [len(train)] int64, index into the log's `user_ids`.
        validation, test: the evaluation users.
        counts: users who were left out of each part, by reason.
    """

    train: Sequences
    train_users: NDArray[np.int64]
    validation: EvaluationUsers
    test: EvaluationUsers
    counts: Mapping[str, int]


@dataclass(frozen=True)
class _Part:
    """Candidate users of one part and, for all U users, the rows at which their histories and targets end."""

    users: NDArray[np.int64]
    history_end: NDArray[np.int64]
    target_end: NDArray[np.int64]


_Parts = tuple[_Part, _Part, _Part]  # training (a history without targets), validation, test


def split_log(log: InteractionLog, protocol: ProtocolConfig) -> Split:
    """Divide a (filtered) log as the protocol says.

    Users who cannot be evaluated are left out and counted: `*_users_without_history`, and of the others
    `*_users_without_target`. Items that nobody consumes in training stay in the catalogue.

    Raises:
        BadInput: a part is empty, or the temporal split of a log without times.
    """
    train, validation, test = _SPLITS[protocol.split](log, protocol)
    begin = log.user_offsets[:-1]
    trained = train.users[train.history_end[train.users] > begin[train.users]]
    counts = {
        "users_with_one_behaviour": int((np.diff(log.user_offsets) == 1).sum()),
        "train_users_without_behaviour": len(train.users) - len(trained),
    }
    evaluated = {}
    for name, part in (("validation", validation), ("test", test)):
        has_history = part.history_end[part.users] > begin[part.users]
        has_target = part.target_end[part.users] > part.history_end[part.users]
        counts[f"{name}_users_without_history"] = int((~has_history).sum())
        counts[f"{name}_users_without_target"] = int((has_history & ~has_target).sum())
        users = part.users[has_history & has_target]
        evaluated[name] = EvaluationUsers(
            histories=_slices(log, begin[users], part.history_end[users]),
            targets=_slices(log, part.history_end[users], part.target_end[users]),
            users=users,
        )
    for name, n_users in (("training", len(trained)), *((name, len(part)) for name, part in evaluated.items())):
        if n_users == 0:
            raise BadInput(_empty_part(name, log, protocol))
    return Split(_slices(log, begin[trained], train.history_end[trained]), trained, **evaluated, counts=counts)


def ragged_index(begin: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the concatenation of `range(begin[u], begin[u] + lengths[u])` over u, [sum of lengths] int64.

    >>> ragged_index(np.array([10, 3]), np.array([2, 3]))
    array([10, 11,  3,  4,  5])
    """
    before = np.cumsum(lengths) - lengths
    index: NDArray[np.int64] = np.repeat(begin - before, lengths) + np.arange(int(lengths.sum()))
    return index


def _slices(log: InteractionLog, begin: NDArray[np.int64], end: NDArray[np.int64]) -> Sequences:
    """Return the items of rows `begin[u]..end[u]` of each u."""
    lengths = end - begin
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Sequences(log.item[ragged_index(begin, lengths)], offsets, log.n_items)


def _share_of(share: float, n: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return floor(share * n) as exact arithmetic would: 0.8 * 10 is 8, whatever the last bit of 0.8."""
    whole: NDArray[np.int64] = np.floor(share * n + 1e-9).astype(np.int64)
    return whole


def _cut_points(protocol: ProtocolConfig, n: int) -> list[int]:
    """Return where training and validation end among n users or behaviours."""
    ends = (1 - protocol.validation_share - protocol.test_share, 1 - protocol.test_share)
    return [int(n * end + 1e-9) for end in ends]


def _by_user(log: InteractionLog, protocol: ProtocolConfig) -> _Parts:
    order = np.random.default_rng(protocol.split_seed).permutation(log.n_users)
    train, validation, test = np.split(order, _cut_points(protocol, log.n_users))
    begin, end = log.user_offsets[:-1], log.user_offsets[1:]
    history_end = begin + _share_of(protocol.history_share, end - begin)
    return _Part(train, end, end), _Part(validation, history_end, end), _Part(test, history_end, end)


def _leave_last_out(log: InteractionLog, protocol: ProtocolConfig) -> _Parts:
    del protocol
    everyone = np.arange(log.n_users)
    begin, end = log.user_offsets[:-1], log.user_offsets[1:]
    before_last = end - 1
    before_last_two = np.maximum(begin, end - 2)
    return (
        _Part(everyone, before_last_two, before_last_two),
        _Part(everyone, before_last_two, before_last),
        _Part(everyone, before_last, end),
    )


def _by_time(log: InteractionLog, protocol: ProtocolConfig) -> _Parts:
    if not log.has_time:
        raise BadInput(
            "the temporal split needs times, but this log knows only the order of each user's behaviours: "
            "use split=user or split=leave_last_out"
        )
    everyone = np.arange(log.n_users)
    begin, end = log.user_offsets[:-1], log.user_offsets[1:]
    places = _cut_points(protocol, len(log))
    first_cut, second_cut = np.partition(log.timestamp, places)[places]
    # a behaviour at the very time of a cut falls after it, with all that tie with it
    before_first, before_second = (
        begin + np.bincount(log.user[log.timestamp < cut], minlength=log.n_users) for cut in (first_cut, second_cut)
    )
    return (
        _Part(everyone, before_first, before_first),
        _Part(everyone, before_first, before_second),
        _Part(everyone, before_second, end),
    )


_SPLITS: Mapping[SplitName, Callable[[InteractionLog, ProtocolConfig], _Parts]] = {
    "user": _by_user,
    "leave_last_out": _leave_last_out,
    "temporal": _by_time,
}


def _empty_part(part: str, log: InteractionLog, protocol: ProtocolConfig) -> str:
    """Say that a part is empty, and what to change."""
    mend = {
        "user": f"raise {part}_share or give more users"
        if part != "training"
        else "lower validation_share and test_share or give more users",
        "leave_last_out": "give users at least three behaviours each",
        "temporal": "move the cuts (validation_share, test_share): too few users act on both sides of one",
    }[protocol.split]
    return (
        f"the {protocol.split} split leaves no {part} user among {log.n_users:,} users with {len(log):,} behaviours: "
        f"{mend}"
    )
