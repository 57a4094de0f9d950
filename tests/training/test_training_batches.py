"""Training examples against a slow twin: true prefixes with the item that followed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from scipy import stats

from baselines.errors import BadInput
from baselines.sequences import Sequences
from experiments.training.batches import TrainingBatches
from experiments.training.config import Positions

USERS = [[1, 2, 3, 4, 5, 6, 7], [8, 9], [10], [], [11, 12, 13], [14, 15, 14, 15], list(range(16, 40))]


both = pytest.mark.parametrize("positions", ["one", "every"])


def batches(
    min_history: int = 1, max_history: int = 5, batch_size: int = 64, seed: int = 0, positions: Positions = "one"
) -> TrainingBatches:
    offsets = np.cumsum([0, *map(len, USERS)]).astype(np.int64)
    train = Sequences(np.array([item for user in USERS for item in user], np.int32), offsets, 40)
    rng = np.random.default_rng(seed)
    return TrainingBatches(train, batch_size, max_history, min_history, rng, positions=positions)


def examples(min_history: int, max_history: int) -> set[tuple[int, tuple[int, ...], int]]:
    """Every (user, history, target) there is, one at a time."""
    return {
        (u, tuple(user[max(0, t - max_history) : t]), user[t])
        for u, user in enumerate(USERS)
        for t in range(min_history, len(user))
    }


@pytest.mark.parametrize("min_history", [1, 2, 4])
@pytest.mark.parametrize("max_history", [1, 3, 100])
def test_the_stream_holds_exactly_the_true_prefixes_with_their_targets(min_history: int, max_history: int) -> None:
    stream, seen = batches(min_history, max_history), set()
    for _ in range(40):
        batch = stream.next()
        assert batch.targets.shape == (64, 1)
        assert batch.targets_mask.all()
        assert (batch.history_mask == (batch.history > 0)).all()
        assert not (batch.history_mask[:, 1:] & ~batch.history_mask[:, :-1]).any(), "left-aligned"
        for user, history, target in zip(batch.user, batch.history, batch.targets, strict=True):
            seen.add((int(user), tuple(history[history > 0].tolist()), int(target)))
    assert seen == examples(min_history, max_history)


def test_users_are_drawn_alike_and_then_positions_alike() -> None:
    stream = batches(min_history=1)
    drawn = [stream.next() for _ in range(300)]
    users = np.concatenate([batch.user.numpy() for batch in drawn])
    eligible, counts = np.unique(users, return_counts=True)
    assert eligible.tolist() == [0, 1, 4, 5, 6]
    assert stats.chisquare(counts).pvalue > 1e-3
    targets = np.concatenate([batch.targets[:, 0].numpy() for batch in drawn])
    _, per_position = np.unique(targets[users == 6], return_counts=True)
    assert len(per_position) == len(USERS[6]) - 1
    assert stats.chisquare(per_position).pvalue > 1e-3


def windows(user: list[int], min_history: int, max_history: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """What `every` can draw of a user, one window at a time: (history, targets), 0 where there is no target."""
    n, found = len(user), []
    tiles = range(min_history - max_history + 1, n) if n - min_history > max_history else [min_history]
    for tile in tiles:
        end = min(tile + max_history, n)
        read = range(max(0, end - max_history - 1), end)
        wanted = [user[t] if t >= max(tile, min_history) else 0 for t in read]
        found.append((tuple(user[t] for t in read[:-1]), tuple(wanted[1:])))
    return found


@pytest.mark.parametrize("min_history", [1, 2, 4])
@pytest.mark.parametrize("max_history", [1, 3, 5, 23, 100])
def test_at_every_position_the_stream_holds_exactly_the_windows_there_are(min_history: int, max_history: int) -> None:
    stream, seen = batches(min_history, max_history, positions="every"), set()
    for _ in range(60):
        batch = stream.next()
        assert batch.targets.shape == batch.history.shape
        assert torch.equal(batch.history_mask, batch.history > 0)
        assert torch.equal(batch.targets_mask, batch.targets > 0)
        assert batch.targets_mask.any(1).all(), "every user has a target"
        for user, history, targets in zip(batch.user, batch.history, batch.targets, strict=True):
            n = int((history > 0).sum())
            assert not history[n:].any(), "left-aligned"
            assert not targets[n:].any(), "no target after padding"
            seen.add((int(user), tuple(history[:n].tolist()), tuple(targets[:n].tolist())))
    eligible = {u: user for u, user in enumerate(USERS) if len(user) > min_history}
    assert seen == {(u, *window) for u, user in eligible.items() for window in windows(user, min_history, max_history)}


@pytest.mark.parametrize("min_history", [1, 3])
def test_each_target_of_a_user_is_in_as_many_windows_as_any_other(min_history: int) -> None:
    for max_history in range(1, 24):
        for user in USERS:
            places = list(range(1, len(user) + 1))  # in place of its items, which may repeat
            drawn = windows(places, min_history, max_history) if len(user) > min_history else []
            times = Counter(target for _, targets in drawn for target in targets if target)
            assert sorted(times) == places[min_history:]
            assert len(set(times.values())) <= 1, f"{times} of {len(user)} behaviours read {max_history} at a time"


def test_windows_of_a_user_are_drawn_alike() -> None:
    stream = batches(positions="every")
    drawn = [stream.next() for _ in range(300)]
    of_long = [tuple(row[row > 0].tolist()) for b in drawn for row in b.targets[b.user == 6]]
    counts = Counter(of_long)
    assert len(counts) == len(windows(USERS[6], 1, 5))
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


def test_what_is_read_of_a_long_user_is_as_long_as_it_can_be() -> None:
    """A target is after max_history behaviours where its window leaves room, the last of all always."""
    for history, targets in windows(USERS[6], 1, 5):
        assert len(history) == 5 or history[0] == USERS[6][0]
        if targets[-1] == USERS[6][-1]:
            assert len(history) == 5


@both
def test_a_batch_is_no_wider_than_its_longest_history(positions: Positions) -> None:
    stream = batches(max_history=100, batch_size=2, positions=positions)
    for _ in range(20):
        batch = stream.next()
        assert batch.history.shape[1] == batch.history_mask.sum(1).max()


@both
def test_the_state_of_the_generator_is_the_state_of_the_stream(positions: Positions) -> None:
    stream, other = batches(seed=3, positions=positions), batches(seed=99, positions=positions)
    stream.next()
    other.rng.bit_generator.state = stream.rng.bit_generator.state
    for _ in range(3):
        one, two = stream.next(), other.next()
        assert one.history.equal(two.history)
        assert one.targets.equal(two.targets)


def test_a_log_without_long_enough_users_is_refused() -> None:
    with pytest.raises(BadInput, match=r"more than training.min_history=24 behaviours; lower it"):
        batches(min_history=24)
