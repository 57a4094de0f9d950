"""What tests of serving share: a recommender as it begins, under either similarity."""

from __future__ import annotations

import pytest
import torch
from untrained import D, K, L, N

from baselines.config import LossConfig, ScoringConfig
from baselines.extractors.comirec import ComiRecSA
from baselines.recommender import Recommender


@pytest.fixture(params=["cosine", "dot"])
def untrained(request: pytest.FixtureRequest) -> Recommender:
    torch.manual_seed(0)
    scoring = ScoringConfig(width=D, max_history=L, similarity=request.param)
    return Recommender(N, ComiRecSA(D, L, n_interests=K), scoring, LossConfig()).eval()
