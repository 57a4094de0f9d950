"""Serving fewer interests: which are kept by a share and by a number, worked by hand, and that scores stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from untrained import K, L, N

from baselines.batch import Batch
from baselines.config import ServingConfig
from baselines.errors import BadInput
from baselines.fewer_interests import FewerInterests
from baselines.interests import Interests
from baselines.recommender import Recommender

SHARES = [[0.5, 0.3, 0.2], [0.15, 0.35, 0.5], [1 / 3, 1 / 3, 1 / 3]]  # .5 and .15 + .5 in float32 are no more


@pytest.fixture
def users() -> Batch:
    return Batch.of(torch.randint(1, N + 1, (len(SHARES), L), generator=torch.Generator().manual_seed(1)))


@pytest.fixture
def weighing(untrained: Recommender, monkeypatch: pytest.MonkeyPatch) -> Recommender:
    """Its interests have the shares above, up to a factor; of the last user the first is dead."""
    inner = untrained.extractor.forward

    def forward(history: Tensor, history_mask: Tensor) -> Interests:
        found = inner(history, history_mask)
        n = len(history)  # rows of a batch are filled up to a fixed number of users
        shares = torch.tensor(SHARES).repeat(-(-n // len(SHARES)), 1)[:n]
        mask = found.mask.clone()
        mask[len(SHARES) - 1, 0] = False
        return replace(found, log_weight=shares.log() + 2, mask=mask)

    monkeypatch.setattr(untrained.extractor, "forward", forward)
    return untrained


@pytest.mark.parametrize(
    ("share", "n_kept", "kept"),
    [
        (0.5, 0, [[1, 0, 0], [0, 0, 1], [0, 1, 0]]),
        (0.75, 0, [[1, 1, 0], [0, 1, 1], [0, 1, 1]]),
        (0.8, 0, [[1, 1, 0], [0, 1, 1], [0, 1, 1]]),
        (0.85, 0, [[1, 1, 1], [0, 1, 1], [0, 1, 1]]),
        (0.95, 0, [[1, 1, 1], [1, 1, 1], [0, 1, 1]]),
        (0.01, 0, [[1, 0, 0], [0, 0, 1], [0, 1, 0]]),
        (1.0, 2, [[1, 1, 0], [0, 1, 1], [0, 1, 1]]),
        (0.75, 1, [[1, 0, 0], [0, 0, 1], [0, 1, 0]]),
        (1.0, 9, [[1, 1, 1], [1, 1, 1], [0, 1, 1]]),
    ],
)
def test_the_most_important_are_kept_until_they_have_the_share(
    weighing: Recommender, users: Batch, share: float, n_kept: int, kept: list[list[int]]
) -> None:
    assert FewerInterests(weighing, share, n_kept).interests(users).mask.int().tolist() == kept


def test_shares_that_make_up_what_is_kept_but_for_rounding_are_enough(untrained: Recommender) -> None:
    """A whole with half of the importance, beside clusters that have the other half."""
    users = Batch.of(torch.randint(1, N + 1, (200, L), generator=torch.Generator().manual_seed(2)))
    found = untrained.interests(users)
    weight = torch.randn(200, K - 1, generator=torch.Generator().manual_seed(3)).log_softmax(1)
    halves = replace(found, log_weight=torch.cat([weight, torch.zeros(200, 1)], 1))
    served = FewerInterests(untrained, 0.5, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(untrained, "interests", lambda _: halves)
        assert served.interests(users).mask.int().tolist() == [[0] * (K - 1) + [1]] * 200


def test_what_is_kept_is_as_it_was_and_what_is_not_has_no_behaviours(weighing: Recommender, users: Batch) -> None:
    plain, found = weighing.interests(users), FewerInterests(weighing, 0.75, 0).interests(users)
    assert torch.equal(found.vectors[found.mask], plain.vectors[found.mask])
    assert torch.equal(found.log_weight[found.mask], plain.log_weight[found.mask])
    torch.testing.assert_close(found.assignment, plain.assignment * found.mask[:, None])  # attention gives to one alone


def test_scores_are_those_of_the_interests_that_are_left(weighing: Recommender, users: Batch) -> None:
    served = FewerInterests(weighing, 1.0, 1)
    ranking, found = served.rank(users, N), served.interests(users)
    best = found.vectors[found.mask].numpy()  # one a user
    items = weighing.item_vectors().detach().numpy()
    expected = (best[:, None] * items[ranking.items]).sum(-1) + found.log_weight[found.mask].numpy()[:, None]
    np.testing.assert_allclose(ranking.scores, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("other", [{"contrast": 2.0}, {"jitter": 0.1}])
def test_another_control_is_not_asked_for_beside_it(other: dict[str, float]) -> None:
    with pytest.raises(BadInput, match=r"serving.kept_share or n_kept are each a control"):
        ServingConfig(kept_share=0.5, **other)
