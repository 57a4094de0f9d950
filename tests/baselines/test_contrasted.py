"""Guidance of extracted interests: the formula, and what it does to what is popular."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from untrained import K, L, N

from baselines.batch import Batch
from baselines.config import ServingConfig
from baselines.contrasted import Contrasted
from baselines.errors import BadInput
from baselines.recommender import Recommender

COUNTS = np.array([0, *range(N, 0, -1)])


@pytest.fixture
def users() -> Batch:
    return Batch.of(torch.randint(1, N + 1, (50, L), generator=torch.Generator().manual_seed(1)))


def test_the_second_interest_is_the_first_led_away_and_as_long(untrained: Recommender, users: Batch) -> None:
    plain, found = untrained.interests(users), Contrasted(untrained, 2.5, COUNTS).interests(users)
    items = F.normalize(untrained.item_vectors().detach()[1:].double(), dim=1).numpy()
    popular = (COUNTS[1:, None] * items).sum(0)
    popular /= np.linalg.norm(popular)
    for user in range(3):
        for k in range(K):
            v = plain.vectors[user, k].double().numpy()
            np.testing.assert_array_equal(found.vectors[user, k], plain.vectors[user, k])
            away = 2.5 * v - 1.5 * np.linalg.norm(v) * popular
            away *= np.linalg.norm(v) / np.linalg.norm(away)
            np.testing.assert_allclose(found.vectors[user, K + k], away, rtol=1e-4, atol=1e-5)


def test_both_share_importance_and_behaviours(untrained: Recommender, users: Batch) -> None:
    plain, found = untrained.interests(users), Contrasted(untrained, 3.0, COUNTS, share=0.8).interests(users)
    assert found.mask.shape == (50, 2 * K)
    torch.testing.assert_close(found.log_weight[:, K:] - found.log_weight[:, :K], torch.full((50, K), math.log(4)))
    torch.testing.assert_close(found.log_weight.logsumexp(1), plain.log_weight.logsumexp(1))
    torch.testing.assert_close(found.assignment[..., :K] + found.assignment[..., K:], plain.assignment)
    torch.testing.assert_close(found.assignment[..., K:], 0.8 * plain.assignment)


def test_it_turns_away_from_what_is_popular_the_farther_the_larger_it_is(untrained: Recommender, users: Batch) -> None:
    served = [Contrasted(untrained, contrast, COUNTS) for contrast in (1.0, 2.0, 5.0)]
    towards = [
        F.cosine_similarity(one.interests(users).vectors[:, K:], torch.from_numpy(one.popular), dim=-1)
        for one in served
    ]
    assert (towards[0] > towards[1]).all()
    assert (towards[1] > towards[2]).all()


def test_contrast_and_jitter_are_asked_for_one_at_a_time() -> None:
    with pytest.raises(BadInput, match="ask for one"):
        ServingConfig(contrast=2.0, jitter=0.1)
