"""What is generated: as many interests as the density of what comes next has modes, a user's own in any company."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from adaptive_mi.linkage import average_linkage
from baselines.errors import BadInput
from baselines.interests import Interests
from diffusion_mi.clean_sets import clean_sets
from diffusion_mi.extractor import InterestSet, Posterior
from diffusion_mi.modes import find_modes
from diffusion_mi.pipeline import InterestPipeline

B, L, D = 6, 7, 16
both = pytest.mark.parametrize("generator", [Posterior, InterestSet])


PLAIN = {"ranked": "samples", "whole_share": 0.0, "contrast": 1.0, "guidance": 1.0, "start": 1.0}
"""Samples from noise alone, and nothing beside their modes."""


def of_some_age(generator: type[Posterior], **knobs: object) -> Posterior:
    """As if trained: nothing in it is 0."""
    torch.manual_seed(0)
    made = generator(D, L, average_linkage, n_samples=8, **{**PLAIN, **knobs})  # type: ignore[arg-type]
    for parameter in made.parameters():
        parameter.data = torch.randn(parameter.shape) * 0.2
    return made.eval()


@pytest.fixture
def users() -> tuple[Tensor, Tensor]:
    history = torch.randn(B, L, D, generator=torch.Generator().manual_seed(1))
    return history, torch.arange(L) < torch.tensor([1, 2, 3, 7, 4, 7])[:, None]


Users = tuple[Tensor, Tensor]


def assert_same_interests(one: Interests, other: Interests) -> None:
    assert torch.equal(one.mask, other.mask)
    torch.testing.assert_close(one.vectors, other.vectors, rtol=0, atol=1e-4)
    assert torch.equal(one.log_weight, other.log_weight)


@both
@pytest.mark.parametrize("start", [0.4, 1.0])
@pytest.mark.parametrize("sampler", ["ddim", "dpm_solver", "unipc"])
def test_a_users_samples_depend_on_nobody_else(
    generator: type[Posterior], sampler: str, start: float, users: Users
) -> None:
    extractor = of_some_age(generator, sampler=sampler, guidance=1.5, start=start, max_distance=0.0)
    history, mask = users
    together = extractor(history, mask)
    assert together.mask.shape == (B, 8), "at distance 0 each sample is an interest"
    for user in range(B):
        n = int(mask[user].sum())
        alone = extractor(history[user : user + 1, :n], mask[user : user + 1, :n])
        torch.testing.assert_close(alone.vectors[0], together.vectors[user], rtol=0, atol=1e-4)
    assert (together.vectors[3] - together.vectors[5]).abs().max() > 0.01, "yet on the history"


@both
def test_serving_draws_nothing_and_training_does(generator: type[Posterior], users: Users) -> None:
    extractor = of_some_age(generator, max_distance=0.0)
    before = torch.random.get_rng_state()
    assert_same_interests(extractor(*users), extractor(*users))
    assert torch.equal(torch.random.get_rng_state(), before)
    extractor.train()
    assert not torch.equal(extractor(*users).vectors, extractor(*users).vectors)


@both
def test_without_noise_there_is_one_interest_and_the_noise_does_not_count(
    generator: type[Posterior], users: Users
) -> None:
    extractor = of_some_age(generator, temperature=0.0, max_distance=1e-3)
    found = extractor(*users)
    assert found.mask.shape == (B, 1)
    assert (found.log_weight == 0).all()
    extractor.noise.seed.add_(1)
    assert_same_interests(extractor(*users), found)


@both
def test_the_denoising_loss_is_there_in_training_and_absent_in_evaluation(
    generator: type[Posterior], users: Users
) -> None:
    extractor, target = of_some_age(generator), torch.randn(B, D)
    assert not extractor(*users, target=target).penalties
    extractor.train()
    assert not extractor(*users).penalties
    target.requires_grad_()
    found = extractor(*users, target=target)
    assert list(found.penalties) == ["denoising"]
    found.penalties["denoising"].backward()
    assert target.grad is None, "the table is not moved to be easily denoised"
    assert (found.assignment == 0).all()


@both
def test_in_training_every_sample_is_an_interest_of_its_own(generator: type[Posterior], users: Users) -> None:
    found = of_some_age(generator, max_distance=2.0).train()(*users)
    assert found.mask.shape == (B, 8)
    assert found.mask.all()
    torch.testing.assert_close(found.log_weight.exp(), torch.full((B, 8), 1 / 8))
    assert of_some_age(generator, max_distance=2.0)(*users).mask.shape == (B, 1), "in serving all are joined"


@both
@pytest.mark.parametrize("ranked", ["samples", "whole", "denoised"])
def test_the_target_enters_an_interest_only_where_it_is_what_is_denoised(
    generator: type[Posterior], ranked: str, users: Users
) -> None:
    extractor = of_some_age(generator, ranked=ranked).train()
    target = torch.ones(B, D, requires_grad=True)
    torch.manual_seed(0)
    unknown = extractor(*users)
    torch.manual_seed(0)
    found = extractor(*users, target=target)
    entered = unknown.vectors.shape != found.vectors.shape or not torch.equal(found.vectors, unknown.vectors)
    assert entered == (ranked == "denoised")
    found.vectors.sum().backward()
    assert target.grad is None, "yet no gradient reaches it"


@both
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_whole_has_its_share_beside_the_modes(generator: type[Posterior], users: Users, share: float) -> None:
    alone = of_some_age(generator, whole_share=1.0)(*users)
    found = of_some_age(generator, whole_share=share, max_distance=0.1)(*users)
    modes = of_some_age(generator, max_distance=0.1)(*users)
    assert alone.mask.shape == (B, 1)
    K = modes.mask.shape[1] if share < 1 else 0
    torch.testing.assert_close(F.normalize(found.vectors[:, :K], dim=-1), F.normalize(modes.vectors[:, :K], dim=-1))
    if share:
        torch.testing.assert_close(found.vectors[:, -1:], alone.vectors)
        assert found.mask[:, -1].all()
        weight = found.log_weight.masked_fill(~found.mask, -torch.inf).softmax(1)
        torch.testing.assert_close(weight[:, -1], torch.full((B,), share))


@both
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_contrast_adds_a_guided_whole_that_has_half_the_share(
    generator: type[Posterior], users: Users, share: float
) -> None:
    found = of_some_age(generator, whole_share=share, contrast=2.5)(*users)
    unguided = of_some_age(generator, whole_share=1.0)(*users)
    guided = of_some_age(generator, temperature=0.0, n_steps=1, guidance=2.5, max_distance=1e-3)(*users)
    torch.testing.assert_close(found.vectors[:, -2:-1], unguided.vectors)
    torch.testing.assert_close(F.normalize(found.vectors[:, -1:], dim=-1), F.normalize(guided.vectors, dim=-1))
    weight = found.log_weight.masked_fill(~found.mask, -torch.inf).softmax(1)
    torch.testing.assert_close(weight[:, -2:], torch.full((B, 2), share / 2))


def test_the_whole_knows_no_noise_and_training_on_it_no_chance(users: Users) -> None:
    extractor = of_some_age(Posterior, ranked="whole", whole_share=1.0)
    served = extractor(*users)
    unnoised = of_some_age(Posterior, temperature=0.0, n_steps=1)(*users)
    torch.testing.assert_close(served.vectors, unnoised.vectors)
    torch.testing.assert_close(extractor.train()(*users).vectors, served.vectors)


@both
def test_a_way_that_begins_near_its_end_leaves_the_behaviours_as_they_are(
    generator: type[Posterior], users: Users
) -> None:
    history, mask = users
    extractor = of_some_age(generator, start=0.002, n_steps=1, prediction="v_prediction", max_distance=0.0)
    samples = extractor.draw(extractor.denoiser.encode(history, mask), history, mask)
    for user in range(B):
        n = int(mask[user].sum())
        for s in range(8):
            cosine = F.cosine_similarity(samples[user, s], history[user, n - 1 - s % n], dim=0)
            assert cosine > 0.9


def test_noise_is_a_users_own_and_of_more_samples_the_first_are_the_same(users: Users) -> None:
    noise = of_some_age(Posterior).noise
    of_eight = noise(*users, 8)
    assert torch.equal(noise(*users, 20)[:, :8], of_eight)
    torch.testing.assert_close(of_eight.norm(dim=-1), torch.full((B, 8), D**0.5))
    assert not torch.isclose(of_eight[0], of_eight[1]).all(-1).any()
    many = noise(torch.randn(4000, 1, D, generator=torch.Generator().manual_seed(3)), torch.ones(4000, 1).bool(), 3)
    torch.testing.assert_close(many.mean(0), torch.zeros(3, D), atol=0.1, rtol=0)
    torch.testing.assert_close(many.std(0), torch.ones(3, D), atol=0.1, rtol=0)


@both
@pytest.mark.parametrize("start", [0.5, 1.0])
def test_a_saved_pipeline_draws_the_samples_that_the_interests_are_made_of(
    generator: type[Posterior], users: Users, tmp_path: Path, start: float
) -> None:
    extractor = of_some_age(generator, max_distance=0.0, guidance=1.5, start=start)
    extractor.pipeline().save_pretrained(tmp_path)
    noise = extractor.noise(*users, 8)
    samples = InterestPipeline.from_pretrained(tmp_path)(*users, noise, extractor.sampling)
    latest_first = samples.flip(1) * D**0.5  # as the linkage numbers what it leaves apart
    torch.testing.assert_close(extractor(*users).vectors, latest_first, rtol=0, atol=1e-4)


def learnt(next_of: Callable[[Tensor], Tensor], n_steps: int, n_users: int, **knobs: object) -> Posterior:
    """A posterior after training on its denoising loss alone; `next_of` draws what follows a user's kind, 0 or 1."""
    torch.manual_seed(0)
    extractor = Posterior(D, 1, average_linkage, n_samples=24, n_steps=6, **{**PLAIN, **knobs}).train()  # type: ignore[arg-type]
    optimiser = torch.optim.Adam(extractor.parameters(), lr=3e-3)
    for _ in range(n_steps):
        kind = torch.randint(2, (n_users,))
        history = F.one_hot(kind, D)[:, None].float() * D**0.5
        mask = torch.ones(n_users, 1, dtype=torch.bool)
        clean, noise = next_of(kind)[:, None], torch.randn(n_users, 1, D)
        answer = extractor.diffusion.ask(extractor.denoiser, extractor.denoiser.encode(history, mask))
        t = torch.randint(1000, (n_users,))
        optimiser.zero_grad()
        extractor.diffusion.loss(answer, clean * D**0.5, noise, t).backward()
        optimiser.step()
    return extractor.eval()


@pytest.mark.parametrize("prediction", ["sample", "v_prediction"])
def test_who_may_go_two_ways_has_two_interests_and_who_goes_one_has_one(prediction: str) -> None:
    def next_of(kind: Tensor) -> Tensor:
        """Kind 0 takes item 4; kind 1 takes item 5 or, half as often, item 6; each a little off."""
        item = torch.where(kind == 0, 4, torch.where(torch.rand(len(kind)) < 2 / 3, 5, 6))
        return F.normalize(F.one_hot(item, D) + 0.05 * torch.randn(len(kind), D), dim=-1)

    extractor = learnt(next_of, n_steps=300, n_users=160, prediction=prediction)
    history = torch.eye(2, D)[:, None] * D**0.5
    found = extractor(history, torch.ones(2, 1, dtype=torch.bool))
    assert found.n_live.tolist() == [1, 2]
    towards = F.normalize(found.vectors, dim=-1)
    assert towards[0, 0, 4] > 0.9
    shares = {int(towards[1, k].argmax()): float(found.log_weight[1, k].exp()) for k in range(2)}
    assert set(shares) == {5, 6}
    assert (towards[1].amax(-1) > 0.9).all()
    assert shares[5] > shares[6] > 0.1


def test_modes_are_means_and_shares_by_hand() -> None:
    east, north = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    samples = torch.stack([torch.stack([east, north, north, north]), torch.stack([east] * 4)])
    means, mask, log_share = find_modes(samples, average_linkage, 0.5)
    assert mask.tolist() == [[True, True], [True, False]]
    found = {
        tuple(mean): round(share.exp().item(), 3) for mean, share in zip(means[0].tolist(), log_share[0], strict=True)
    }
    assert found == {(1.0, 0.0): 0.25, (0.0, 1.0): 0.75}
    assert means[1, 0].tolist() == [1.0, 0.0]
    assert log_share[1].tolist() == [0.0, 0.0]


def test_a_clean_set_holds_every_cluster_and_the_future_in_the_nearest() -> None:
    K, items = 6, torch.eye(4)
    history = torch.stack([items[[0, 0, 1, 2]], items[[3, 3, 3, 0]]]) * 5
    mask = torch.tensor([[True, True, True, True], [True, True, True, False]])
    target = F.normalize(items[1] * 0.8 + items[3] * 0.6, dim=0).expand(2, -1)
    noise = torch.randn(2, K, 4, generator=torch.Generator().manual_seed(0))
    sets = clean_sets(history, mask, target, noise, average_linkage)
    with_future = F.normalize(items[1] + target[0], dim=0)
    counts = [int(torch.isclose(sets[0], v, atol=1e-5).all(-1).sum()) for v in (items[0], with_future, items[2])]
    assert counts == [2, 2, 2] or counts == [3, 2, 1]
    torch.testing.assert_close(sets[1], F.normalize(items[3] + target[1], dim=0).expand(K, -1))
    fit = (sets * noise).sum()
    for seed in range(20):
        order = torch.from_numpy(np.random.default_rng(seed).permutation(K))
        assert (sets[:, order] * noise).sum() <= fit + 1e-5, "no other assignment fits the noise better"


def test_settings_that_mean_nothing_are_refused() -> None:
    for wrong in ({"n_samples": 0}, {"n_heads": 3}, {"max_distance": -0.1}, {"hide_history": 1.0}, {"n_steps": 1001}):
        with pytest.raises(BadInput, match=next(iter(wrong))):
            Posterior(D, L, average_linkage, **wrong)  # type: ignore[arg-type]
