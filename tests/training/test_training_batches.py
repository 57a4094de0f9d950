"""Training examples against a slow twin: true prefixes with the item that followed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from baselines.errors import BadInput
from baselines.sequences import Sequences
from experiments.training.batches import TrainingBatches

USERS = [[1, 2, 3, 4, 5, 6, 7], [8, 9], [10], [], [11, 12, 13], [14, 15, 14, 15], list(range(16, 40))]


def batches(min_history: int = 1, max_history: int = 5, batch_size: int = 64, seed: int = 0) -> TrainingBatches:
    offsets = np.cumsum([0, *map(len, USERS)]).astype(np.int64)
    train = Sequences(np.array([item for user in USERS for item in user], np.int32), offsets, 40)
    return TrainingBatches(train, batch_size, max_history, min_history, np.random.default_rng(seed))


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


def test_a_batch_is_no_wider_than_its_longest_history() -> None:
    stream = batches(max_history=100, batch_size=2)
    for _ in range(20):
        batch = stream.next()
        assert batch.history.shape[1] == batch.history_mask.sum(1).max()


def test_the_state_of_the_generator_is_the_state_of_the_stream() -> None:
    stream, other = batches(seed=3), batches(seed=99)
    stream.next()
    other.rng.bit_generator.state = stream.rng.bit_generator.state
    for _ in range(3):
        one, two = stream.next(), other.next()
        assert one.history.equal(two.history)
        assert one.targets.equal(two.targets)


def test_a_log_without_long_enough_users_is_refused() -> None:
    with pytest.raises(BadInput, match=r"more than training.min_history=24 behaviours; lower it"):
        batches(min_history=24)
