"""Mean pooling: an average, and a weighted one."""

from __future__ import annotations

import math

import torch

from baselines.extractors.mean_pooling import MeanPooling

HISTORY = torch.tensor([[[1.0, 0.0], [2.0, 6.0], [6.0, 3.0]], [[5.0, 7.0], [99.0, 99.0], [99.0, 99.0]]])
MASK = torch.tensor([[True, True, True], [True, False, False]])


def test_at_the_start_it_is_the_plain_mean() -> None:
    for recency_weights in (True, False):
        found = MeanPooling(2, 3, recency_weights=recency_weights)(HISTORY, MASK)
        torch.testing.assert_close(found.vectors, torch.tensor([[[3.0, 3.0]], [[5.0, 7.0]]]))
        assert found.mask.tolist() == [[True], [True]]
        assert found.assignment[..., 0].tolist() == MASK.tolist()


def test_a_recency_weight_belongs_to_a_distance_from_the_end() -> None:
    model = MeanPooling(2, 3)
    with torch.no_grad():
        model.log_recency.copy_(torch.tensor([4.0, 2.0, 1.0]).log())  # the latest counts 4, the one before it 2
    expected = torch.tensor([(1 + 2 * 2 + 4 * 6) / 7, (0 + 2 * 6 + 4 * 3) / 7])
    found = model(HISTORY, MASK).vectors
    torch.testing.assert_close(found[0, 0], expected)
    torch.testing.assert_close(found[1, 0], HISTORY[1, 0])  # a single behaviour takes all


def test_order_counts_only_once_recency_does() -> None:
    model, turned = MeanPooling(2, 3), HISTORY[:1].flip(1)
    torch.testing.assert_close(model(turned, MASK[:1]).vectors, model(HISTORY[:1], MASK[:1]).vectors)
    with torch.no_grad():
        model.log_recency[0] = math.log(3)
    assert not torch.allclose(model(turned, MASK[:1]).vectors, model(HISTORY[:1], MASK[:1]).vectors)


def test_recency_weights_are_learnt_only_where_asked_for() -> None:
    for learn in (True, False):
        assert MeanPooling(2, 3, recency_weights=learn).log_recency.requires_grad == learn
