"""Laws of the InteractionLog, and a slow twin in plain Python."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.errors import BadInput
from experiments.data.log import InteractionLog, encode, position_within
from experiments.data.metadata import ItemMetadata

NUMBERS = st.integers(0, 4)
TOKENS = st.text("aé1 ", min_size=1, max_size=2)
SMALL = settings(max_examples=80, deadline=None)


@st.composite
def columns(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    n = draw(st.integers(1, 12))
    ids = draw(st.sampled_from([NUMBERS, TOKENS]))
    user, item = (np.array(draw(st.lists(ids, min_size=n, max_size=n))) for _ in range(2))
    time, position = (
        draw(st.none() | st.lists(st.integers(-3, 3), min_size=n, max_size=n).map(lambda x: np.array(x, np.int64)))
        for _ in range(2)
    )
    return user, item, time, position


def rows_of(log: InteractionLog) -> list[tuple[object, object, int]]:
    """Return the log in original ids."""
    users, items = log.user_ids[log.user].tolist(), log.item_ids[log.item].tolist()
    return list(zip(users, items, log.timestamp.tolist(), strict=True))


@given(columns())
@SMALL
def test_a_log_is_what_a_plain_loop_makes_of_the_rows(given_columns):
    user, item, time, position = given_columns
    none = [None] * len(user)
    rows = list(
        zip(
            user.tolist(),
            item.tolist(),
            none if time is None else time.tolist(),
            none if position is None else position.tolist(),
            strict=True,
        )
    )
    order_known = time is not None or position is not None
    seen, kept, last, unsorted = set(), [], {}, 0
    for u, i, t, p in rows:
        key = t if t is not None else p
        if order_known:
            unsorted += u in last and key < last[u]
            last[u] = key
        if order_known and (u, i, t, p) in seen:
            continue
        seen.add((u, i, t, p))
        kept.append((u, i, t, p))
    kept.sort(key=lambda row: (row[0], *(x for x in row[2:] if x is not None)))
    expected = []
    for r, (u, i, t, _) in enumerate(kept):
        expected.append((u, i, t if t is not None else sum(other[0] == u for other in kept[:r])))

    log = InteractionLog.from_arrays(user, item, time, position)
    assert rows_of(log) == expected
    assert log.repairs.get("unsorted_rows", 0) == unsorted
    assert log.repairs.get("duplicate_rows", 0) == len(rows) - len(kept)
    assert log.has_time == (time is not None)


@given(columns())
@SMALL
def test_ids_are_dense_and_in_ascending_order_of_the_original_ones(given_columns):
    log = InteractionLog.from_arrays(*given_columns)
    assert sorted(set(log.user.tolist())) == list(range(log.n_users))
    assert sorted(set(log.item.tolist())) == list(range(1, log.n_items + 1))
    assert log.user_ids.tolist() == sorted(set(given_columns[0].tolist()))
    assert log.item_ids[1:].tolist() == sorted(set(given_columns[1].tolist()))


@given(columns(), st.randoms(use_true_random=False))
@SMALL
def test_the_fingerprint_does_not_depend_on_the_order_of_the_rows_where_time_and_position_fix_it(given_columns, random):
    user, item, time, _ = given_columns
    position = np.arange(len(user))
    shuffled = np.array(random.sample(range(len(user)), len(user)))
    one = InteractionLog.from_arrays(user, item, time, position)
    other = InteractionLog.from_arrays(
        user[shuffled], item[shuffled], None if time is None else time[shuffled], position[shuffled]
    )
    assert one.fingerprint() == other.fingerprint()


def test_the_fingerprint_changes_with_a_user_an_item_a_time_an_id_and_the_presence_of_time():
    user, item, time = np.array([1, 1, 2]), np.array([5, 6, 5]), np.array([0, 1, 0])
    logs = [
        InteractionLog.from_arrays(user, item, time),
        InteractionLog.from_arrays(user, item),
        InteractionLog.from_arrays(user, item, time + 1),
        InteractionLog.from_arrays(user + 1, item, time),
        InteractionLog.from_arrays(user, item[[1, 0, 2]], time),
        InteractionLog.from_arrays(user.astype(str), item.astype(str), time),
        InteractionLog.from_arrays(np.array(["é", "é", "ü"]), item.astype(str), time),
    ]
    assert len({log.fingerprint() for log in logs}) == len(logs)


def test_the_fingerprint_is_the_same_whatever_the_width_or_byte_order_of_the_ids():
    user, item, time = np.array([1, 1, 300]), np.array([5, 6, 5]), np.array([0, 1, 0])
    layout = struct.pack("<3i3i3q2q2q", 0, 0, 1, 1, 2, 1, 0, 1, 0, 1, 300, 5, 6)  # users, items, times, both id maps
    expected = hashlib.blake2b(layout + b"time", digest_size=8).hexdigest()
    assert InteractionLog.from_arrays(user, item, time).fingerprint() == expected
    for kind in ("<i4", ">i8", "<u2"):
        assert InteractionLog.from_arrays(user.astype(kind), item.astype(kind), time).fingerprint() == expected
    padded = InteractionLog.from_arrays(np.array(["a", "b"], "U9"), np.array(["x", "y"], "U30"))
    assert padded.fingerprint() == InteractionLog.from_arrays(np.array(["a", "b"]), np.array(["x", "y"])).fingerprint()


@given(columns(), st.data())
@SMALL
def test_selected_rows_keep_their_original_ids_and_order(given_columns, data):
    log = InteractionLog.from_arrays(*given_columns)
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=len(log), max_size=len(log))), bool)
    chosen = log.select(keep)
    assert [r[:2] for r in rows_of(chosen)] == [r[:2] for r, k in zip(rows_of(log), keep, strict=True) if k]
    assert chosen.n_users == len(set(log.user[keep].tolist()))
    assert chosen.n_items == len(set(log.item[keep].tolist()))
    if not log.has_time and keep.any():
        assert (chosen.timestamp == position_within(chosen.user)).all()


@given(columns())
@SMALL
def test_frequency_order_changes_numbers_but_no_behaviour(given_columns):
    log = InteractionLog.from_arrays(*given_columns)
    ordered = log.by_frequency()
    assert rows_of(ordered) == rows_of(log)
    counts = np.bincount(ordered.item)[1:]
    assert (np.diff(counts) <= 0).all()


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=20))
@SMALL
def test_both_ways_to_encode_agree_with_unique(ids):
    for column in (np.array(ids), np.array(ids) % 7):
        encoded = encode(column)
        distinct, code = np.unique(column, return_inverse=True)
        assert (encoded.distinct == distinct).all()
        assert (encoded.code == code).all()


@pytest.mark.parametrize(
    ("user", "item", "time", "message"),
    [
        ([], [], None, "empty"),
        ([-1, 2], [1, 2], None, "0..2"),
        ([1.5, 2], [1, 2], None, "integers or strings"),
        ([1, 2], [1], None, "one length"),
        ([1, 2], [1, 2], [0.0, float("nan")], "must be integers"),
    ],
)
def test_columns_that_are_no_log_are_refused(user, item, time, message):
    user = np.array(user, dtype=None if user else np.int64)
    item = np.array(item, dtype=None if item else np.int64)
    with pytest.raises(BadInput, match=message):
        InteractionLog.from_arrays(user, item, None if time is None else np.array(time))


def test_a_category_named_twice_counts_once_and_padding_has_none():
    metadata = ItemMetadata(["", "x", "y"], [(), ("b", "a", "b"), ()], ["", "", ""])
    assert metadata.category_names == ["a", "b"]
    assert metadata.item_categories.toarray().tolist() == [[0, 0], [1, 1], [0, 0]]
    assert ItemMetadata.empty(3).item_categories.shape == (4, 0)
    with pytest.raises(ValueError, match="N \\+ 1"):
        ItemMetadata([""], [(), ()], [""])
