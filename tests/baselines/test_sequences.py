"""Ragged sequences against plain lists."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ragged import sequences

from baselines.sequences import Sequences, gather_padded

users_of_any_length = st.lists(st.lists(st.integers(1, 9), max_size=7), min_size=1, max_size=6)


@given(users_of_any_length, st.integers(1, 8) | st.none(), st.randoms())
def test_padding_is_what_lists_give(users: list[list[int]], max_length: int | None, random: object) -> None:
    packed = sequences(users, 9)
    chosen = np.array([u for u in range(len(users)) for _ in range(2)])[::-1]
    latest = [users[u][-max_length:] if max_length else users[u] for u in chosen]
    width = max(1, *map(len, latest))
    expected = [history + [0] * (width - len(history)) for history in latest]
    found = packed.padded(chosen, max_length)
    assert found.dtype == np.int64
    assert found.tolist() == expected


@given(users_of_any_length)
def test_counts_lengths_and_owners_are_what_lists_give(users: list[list[int]]) -> None:
    packed = sequences(users, 9)
    flat = [item for user in users for item in user]
    assert [packed[u].tolist() for u in range(len(packed))] == users
    assert packed.lengths.tolist() == [len(user) for user in users]
    assert packed.users.tolist() == [u for u, user in enumerate(users) for _ in user]
    assert packed.item_counts.tolist() == [flat.count(item) for item in range(10)]


def test_windows_may_be_empty_and_repeated() -> None:
    items = np.array([5, 6, 7], np.int32)
    found = gather_padded(items, np.array([1, 3, 1, 0]), np.array([2, 0, 1, 3]))
    assert found.tolist() == [[6, 7, 0], [0, 0, 0], [6, 0, 0], [5, 6, 7]]
    assert gather_padded(items[:0], np.array([0]), np.array([0])).tolist() == [[0]]


@pytest.mark.parametrize(
    ("items", "offsets", "message"),
    [
        ([1, 2], [0, 1], "start at 0 and end at"),
        ([1, 2], [1, 2], "start at 0 and end at"),
        ([1, 2], [], "start at 0 and end at"),
        ([1, 2, 3], [0, 2, 1, 3], "must not decrease"),
        ([1, 0], [0, 2], r"must lie in 1..3, found 0..1"),
        ([1, 4], [0, 2], r"must lie in 1..3, found 1..4"),
    ],
)
def test_what_is_not_a_set_of_sequences_is_refused(items: list[int], offsets: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sequences(np.array(items, np.int32), np.array(offsets, np.int64), 3)


def test_behaviours_cannot_be_overwritten() -> None:
    packed = sequences([[1, 2]], 3)
    with pytest.raises(ValueError, match="read-only"):
        packed.items[0] = 3
