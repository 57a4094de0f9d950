"""Noise in serving: of the size that is said, a user's own, and without a share in anything but directions."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional as F
from untrained import D, K, L, N

from baselines.batch import Batch
from baselines.config import ServingConfig
from baselines.errors import BadInput
from baselines.recommender import Recommender
from baselines.serving_noise import DropoutEnsemble, Jittered


@pytest.fixture
def users() -> Batch:
    history = torch.randint(1, N + 1, (200, L), generator=torch.Generator().manual_seed(1))
    history[:, 4:] *= torch.randint(2, (200, 1), generator=torch.Generator().manual_seed(2))
    return Batch.of(history)


@pytest.mark.parametrize("jitter", [0.3, 1.0, 3.0])
def test_jitter_turns_an_interest_by_its_size_and_leaves_its_length(
    untrained: Recommender, users: Batch, jitter: float
) -> None:
    plain, moved = (
        untrained.interests(users).vectors,
        Jittered(untrained, jitter, 1, seed=0).interests(users).vectors,
    )
    torch.testing.assert_close(moved.norm(dim=-1), plain.norm(dim=-1))
    cosine = F.cosine_similarity(moved, plain, dim=-1).mean().item()
    assert cosine == pytest.approx((1 + jitter**2) ** -0.5, abs=0.01)


def test_copies_share_the_importance_and_the_behaviours(untrained: Recommender, users: Batch) -> None:
    plain, moved = untrained.interests(users), Jittered(untrained, 0.5, 4, seed=0).interests(users)
    assert moved.mask.shape == (200, 4 * K)
    torch.testing.assert_close(moved.log_weight.logsumexp(1), plain.log_weight.logsumexp(1))
    torch.testing.assert_close(moved.assignment.view(200, L, K, 4).sum(-1), plain.assignment)


def test_noise_follows_from_seed_and_history(untrained: Recommender, users: Batch) -> None:
    def moved(seed: int, batch: Batch) -> torch.Tensor:
        return Jittered(untrained, 0.5, 2, seed).interests(batch).vectors

    assert torch.equal(moved(0, users), moved(0, users))
    assert not torch.isclose(moved(0, users), moved(1, users)).any(-1).all(-1).any()
    longer = Batch.of(torch.cat([torch.full((200, 1), 7), users.history], 1)[users.history_mask.all(1)])
    same = Batch.of(users.history[users.history_mask.all(1)])
    assert torch.equal(moved(0, longer), moved(0, same)), "what is not read draws nothing"
    twins = Batch.of(users.history[:1].expand(2, -1))
    assert torch.equal(*moved(0, twins))


def test_what_a_pass_drops_is_a_share_of_all_coordinates_and_the_users_own(untrained: Recommender) -> None:
    ensemble = DropoutEnsemble(untrained.extractor, 0.25, 3, seed=0)
    history = torch.randn(100, L, D)
    history[1] = history[0]
    mask = torch.ones(100, L, dtype=torch.bool)
    mask[:, 4:] = torch.rand(100, 1) < 0.5
    mask[:2] = True
    for kept in ensemble.kept(history, mask):
        assert (kept[~mask] == 0).all()
        assert (kept[mask] == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
        assert kept[mask].mean().item() == pytest.approx(1, abs=0.02)
        assert torch.equal(kept[0], kept[1])
        assert not torch.equal(kept[1], kept[2])
    first, second, _ = ensemble.kept(history, mask)
    assert not torch.equal(first, second), "each pass drops others"
    again, other = (next(DropoutEnsemble(ensemble.inner, 0.25, 1, seed).kept(history, mask)) for seed in (0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_passes_find_interests_of_their_own_about_those_of_the_whole(untrained: Recommender, users: Batch) -> None:
    ensemble = copy.deepcopy(untrained)
    ensemble.extractor = DropoutEnsemble(ensemble.extractor, 0.2, 5, seed=0)
    plain, found = untrained.interests(users), ensemble.eval().interests(users)
    assert found.mask.shape == (200, 5 * K)
    torch.testing.assert_close(found.log_weight.logsumexp(1), plain.log_weight.logsumexp(1))
    torch.testing.assert_close(found.assignment.sum(-1), plain.assignment.sum(-1))
    cosine = F.cosine_similarity(found.vectors.view(200, 5, K, D), plain.vectors[:, None], dim=-1)
    assert 0.5 < cosine.mean() < 0.99
    assert not torch.isclose(found.vectors[:, 0], found.vectors[:, K]).all(-1).any()


def test_settings_that_mean_nothing_are_refused() -> None:
    for wrong in ({"jitter": -1.0}, {"n_copies": 0}, {"dropout": 1.0}, {"n_passes": 0}):
        with pytest.raises(BadInput, match=f"serving.{next(iter(wrong))}"):
            ServingConfig(**wrong)  # type: ignore[arg-type]
