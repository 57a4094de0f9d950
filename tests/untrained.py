"""A recommender as it begins, under either similarity: N items, width D, longest history L, K interests."""

from __future__ import annotations

import pytest
import torch

from baselines.config import LossConfig, ScoringConfig
from baselines.extractors.comirec import ComiRecSA
from baselines.recommender import Recommender

N, D, L, K = 60, 64, 6, 3


@pytest.fixture(params=["cosine", "dot"])
def untrained(request: pytest.FixtureRequest) -> Recommender:
    torch.manual_seed(0)
    scoring = ScoringConfig(width=D, max_history=L, similarity=request.param)
    return Recommender(N, ComiRecSA(D, L, n_interests=K), scoring, LossConfig()).eval()
