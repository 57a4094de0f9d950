"""Every split against a slow twin, and the laws that keep the future out of the past."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.errors import BadInput
from baselines.sequences import Sequences
from experiments.data.dataset import make_dataset
from experiments.data.log import InteractionLog
from experiments.data.metadata import ItemMetadata
from experiments.data.protocol import ProtocolConfig
from experiments.data.splits import split_log


def random_log(seed: int, n_users: int = 40, n_rows: int = 300, n_times: int = 1000) -> InteractionLog:
    rng = np.random.default_rng(seed)
    return InteractionLog.from_arrays(
        rng.integers(0, n_users, n_rows), rng.integers(0, 25, n_rows), np.sort(rng.integers(0, n_times, n_rows))
    )


def lists(sequences: Sequences) -> list[list[int]]:
    return [sequences[u].tolist() for u in range(len(sequences))]


def behaviours(log: InteractionLog) -> list[list[int]]:
    whole: list[list[int]] = [[] for _ in range(log.n_users)]
    for user, item in zip(log.user.tolist(), log.item.tolist(), strict=True):
        whole[user].append(item)
    return whole


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 5))
def test_the_user_split_is_the_published_one(seed, split_seed):
    log = random_log(seed)
    parts = split_log(log, ProtocolConfig(split_seed=split_seed))
    whole = behaviours(log)
    order = np.random.default_rng(split_seed).permutation(len(whole))
    n_train, n_until_test = int(len(whole) * 0.8), int(len(whole) * 0.9)
    assert lists(parts.train) == [whole[u] for u in order[:n_train]]
    assert parts.train_users.tolist() == order[:n_train].tolist()
    for part, users in ((parts.validation, order[n_train:n_until_test]), (parts.test, order[n_until_test:])):
        users = [u for u in users.tolist() if int(0.8 * len(whole[u])) > 0]
        assert part.users.tolist() == users
        assert lists(part.histories) == [whole[u][: int(0.8 * len(whole[u]))] for u in users]
        assert lists(part.targets) == [whole[u][int(0.8 * len(whole[u])) :] for u in users]


@pytest.mark.parametrize("n", range(2, 60))
def test_the_history_share_is_exact_where_floating_point_is_not(n):
    log = InteractionLog.from_arrays(np.repeat(np.arange(10), n), np.tile(np.arange(n), 10))
    for tenths in range(1, 10):
        protocol = ProtocolConfig(history_share=tenths / 10)
        if tenths * n < 10:
            with pytest.raises(BadInput, match="no validation user"):
                split_log(log, protocol)
        else:
            assert split_log(log, protocol).test.histories.lengths.tolist() == [tenths * n // 10]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_leave_last_out_foretells_the_last_and_the_one_before(seed):
    log = random_log(seed, n_rows=120)
    parts = split_log(log, ProtocolConfig(split="leave_last_out"))
    whole = behaviours(log)
    assert lists(parts.train) == [w[:-2] for w in whole if len(w) > 2]
    assert lists(parts.validation.histories) == [w[:-2] for w in whole if len(w) > 2]
    assert lists(parts.validation.targets) == [w[-2:-1] for w in whole if len(w) > 2]
    assert lists(parts.test.histories) == [w[:-1] for w in whole if len(w) > 1]
    assert lists(parts.test.targets) == [w[-1:] for w in whole if len(w) > 1]
    assert parts.counts["users_with_one_behaviour"] == sum(len(w) == 1 for w in whole)
    assert parts.counts["validation_users_without_history"] == sum(len(w) <= 2 for w in whole)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([4, 30, 1000]))
def test_the_temporal_split_agrees_with_a_slow_twin_and_never_divides_a_tie(seed, n_times):
    log = random_log(seed, n_times=n_times)
    times = sorted(log.timestamp.tolist())
    first, second = times[int(0.8 * len(times) + 1e-9)], times[int(0.9 * len(times) + 1e-9)]
    whole: list[list[tuple[int, int]]] = [[] for _ in range(log.n_users)]
    for user, item, time in zip(log.user.tolist(), log.item.tolist(), log.timestamp.tolist(), strict=True):
        whole[user].append((item, time))

    def between(rows, low, high):
        return [item for item, time in rows if low <= time < high]

    train = [items for rows in whole if (items := between(rows, -1, first))]
    cuts = {"validation": (first, second), "test": (second, np.inf)}
    expected = {
        name: [(h, t) for rows in whole if (h := between(rows, -1, low)) and (t := between(rows, low, high))]
        for name, (low, high) in cuts.items()
    }
    if not (train and expected["validation"] and expected["test"]):
        with pytest.raises(BadInput, match="move the cuts"):
            split_log(log, ProtocolConfig(split="temporal"))
        return
    parts = split_log(log, ProtocolConfig(split="temporal"))
    assert lists(parts.train) == train
    for name, part in (("validation", parts.validation), ("test", parts.test)):
        assert list(zip(lists(part.histories), lists(part.targets), strict=True)) == expected[name]
        n_left_out = parts.counts[f"{name}_users_without_history"] + parts.counts[f"{name}_users_without_target"]
        assert len(part) + n_left_out == log.n_users


@pytest.mark.parametrize("split", ["user", "leave_last_out", "temporal"])
def test_a_history_and_its_targets_are_consecutive_rows_of_the_log(split):
    log = random_log(3)
    whole = behaviours(log)
    parts = split_log(log, ProtocolConfig(split=split))
    for part in (parts.validation, parts.test):
        assert part.histories.lengths.min() >= 1
        assert part.targets.lengths.min() >= 1
        for user, history, target in zip(part.users, lists(part.histories), lists(part.targets), strict=True):
            assert whole[user][: len(history) + len(target)] == history + target


def test_an_order_only_log_has_no_temporal_split():
    log = InteractionLog.from_arrays(np.repeat(np.arange(20), 5), np.tile(np.arange(5), 20))
    with pytest.raises(BadInput, match="knows only the order"):
        split_log(log, ProtocolConfig(split="temporal"))


@pytest.mark.parametrize(
    ("n_users", "n_each", "split", "part"),
    [(3, 5, "user", "validation"), (1, 5, "user", "training"), (9, 1, "leave_last_out", "training")],
)
def test_an_empty_part_is_named_with_what_to_change(n_users, n_each, split, part):
    log = InteractionLog.from_arrays(np.repeat(np.arange(n_users), n_each), np.arange(n_users * n_each))
    with pytest.raises(BadInput, match=f"leaves no {part} user"):
        split_log(log, ProtocolConfig(split=split))


def test_metadata_and_original_ids_follow_the_items_through_filter_and_renumbering():
    log = random_log(5, n_rows=400)
    titles = ["", *(f"title of {i}" for i in log.item_ids[1:].tolist())]
    metadata = ItemMetadata(titles, [(t,) for t in titles], titles)
    dataset = make_dataset("random", log, metadata, ProtocolConfig(min_item_interactions=15, min_user_interactions=7))
    assert 0 < dataset.n_items < log.n_items
    assert dataset.metadata.titles[1:] == [f"title of {i}" for i in dataset.log.item_ids[1:].tolist()]
    assert np.all(np.diff(np.bincount(dataset.log.item)[1:]) <= 0)
    assert dataset.counts["filtered_items"] == log.n_items - dataset.n_items
    assert dataset.counts["filtered_interactions"] == len(log) - len(dataset.log)
    assert dataset.train_counts.sum() == len(dataset.train.items)


def test_the_fingerprint_tells_data_and_protocols_apart():
    def fingerprint(seed: int, **protocol: object) -> str:
        log = random_log(seed)
        metadata = ItemMetadata.empty(log.n_items)
        return make_dataset("random", log, metadata, ProtocolConfig(filter="none", **protocol)).fingerprint()

    assert fingerprint(0) == fingerprint(0)
    assert len({fingerprint(0), fingerprint(1), fingerprint(0, split_seed=1), fingerprint(0, test_share=0.2)}) == 4


def test_metadata_of_another_log_is_refused():
    with pytest.raises(ValueError, match="metadata must describe"):
        make_dataset("random", random_log(0), ItemMetadata.empty(3), ProtocolConfig())
