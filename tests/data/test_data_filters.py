"""The filters keep what they promise, and no less."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.errors import BadInput
from experiments.data.filters import k_core, kept_rows, one_pass
from experiments.data.log import InteractionLog
from experiments.data.protocol import ProtocolConfig

rows_of_small_logs = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=60)
minima = st.integers(1, 4)


def log_of(rows: list[tuple[int, int]]) -> InteractionLog:
    rows = sorted(rows, key=lambda row: row[0])
    return InteractionLog.from_arrays(np.array([u for u, _ in rows]), np.array([i for _, i in rows]))


@settings(max_examples=150, deadline=None)
@given(rows_of_small_logs, minima, minima)
def test_one_pass_agrees_with_a_slow_twin(rows, min_item, min_user):
    log = log_of(rows)
    pairs = list(zip(log.user.tolist(), log.item.tolist(), strict=True))
    per_item = Counter(i for _, i in pairs)
    per_user = Counter(u for u, i in pairs if per_item[i] >= min_item)
    expected = [per_item[i] >= min_item and per_user[u] >= min_user for u, i in pairs]
    assert one_pass(log, min_item, min_user).tolist() == expected


@settings(max_examples=150, deadline=None)
@given(rows_of_small_logs, minima, minima)
def test_k_core_agrees_with_a_twin_that_removes_one_node_at_a_time(rows, min_item, min_user):
    log = log_of(rows)
    left = set(range(len(log)))
    while True:
        per_item, per_user = Counter(log.item[r] for r in left), Counter(log.user[r] for r in left)
        poor = next((r for r in left if per_item[log.item[r]] < min_item or per_user[log.user[r]] < min_user), None)
        if poor is None:
            break
        left.remove(poor)
    assert set(np.flatnonzero(k_core(log, min_item, min_user)).tolist()) == left


def test_one_pass_may_leave_a_rare_item_where_k_core_does_not():
    rows = [(u, i) for u in range(3) for i in range(3)] + [(9, 0), (9, 8), (1, 8)]
    log = log_of(rows)
    assert np.bincount(log.item[one_pass(log, 2, 3)]).tolist() == [0, 3, 3, 3, 1]
    assert np.bincount(log.item[k_core(log, 2, 3)]).tolist() == [0, 3, 3, 3]


def test_no_filter_keeps_every_row():
    assert kept_rows(log_of([(0, 0)]), ProtocolConfig(filter="none")).all()


@pytest.mark.parametrize("name", ["comirec", "k_core"])
def test_a_filter_that_leaves_nothing_says_which_number_to_lower(name):
    with pytest.raises(BadInput, match=r"lower --data\.protocol\.min_item_interactions"):
        kept_rows(log_of([(0, 0), (1, 1)]), ProtocolConfig(filter=name))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"filter": "kcore"}, "did you mean 'k_core'"),
        ({"split": "leave_one_out"}, "did you mean 'leave_last_out'"),
        ({"min_user_interactions": 0}, "at least 1"),
        ({"history_share": 1.0}, "strictly between 0 and 1"),
        ({"validation_share": 0.5, "test_share": 0.5}, "leave something to train on"),
        ({"split_seed": -1}, "non-negative"),
    ],
)
def test_a_protocol_out_of_range_is_refused_in_one_sentence(wrong, message):
    with pytest.raises(BadInput, match=message):
        ProtocolConfig(**wrong)
