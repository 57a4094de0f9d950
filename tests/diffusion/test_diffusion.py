"""The way from noise back to clean vectors, for networks that always know the answer and for one that knows nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import get_args

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from baselines.errors import BadInput
from diffusion_mi.diffusion import Answer, Diffusion, Prediction, Sampler, Sampling, make_scheduler

every_sampler = pytest.mark.parametrize("sampler", get_args(Sampler))
every_prediction = pytest.mark.parametrize("prediction", get_args(Prediction))


def perfect(diffusion: Diffusion, clean: Tensor, seen: list[tuple[int, Tensor]]) -> Answer:
    """What is asked for, of one who knows `clean`; x_t is noted in `seen`."""
    left = diffusion.scheduler.alphas_cumprod

    def answer(x_t: Tensor, t: Tensor) -> Tensor:
        seen.append((int(t), x_t))
        if not diffusion.asks_for_v:
            return clean
        a, b = left[t].sqrt(), (1 - left[t]).sqrt()
        return a * (x_t - a * clean) / b - b * clean

    return answer


@every_sampler
@every_prediction
def test_who_knows_the_answer_arrives_at_it_by_every_way(sampler: Sampler, prediction: Prediction) -> None:
    diffusion, generator = Diffusion(make_scheduler(prediction)), torch.Generator().manual_seed(0)
    length = torch.tensor([1.0, 8.0, 40.0])[:, None, None]  # that of unit variance is 8
    clean = torch.nn.functional.normalize(torch.randn(3, 4, 64, generator=generator), dim=-1) * length
    noise = torch.randn(clean.shape, generator=generator)
    for n_steps in range(1, 51):
        seen: list[tuple[int, Tensor]] = []
        answer = perfect(diffusion, clean, seen)
        found = diffusion.sample(answer, noise, Sampling(sampler=sampler, n_steps=n_steps))
        torch.testing.assert_close(found, clean, atol=1e-4, rtol=1e-4)
        assert len(seen) == n_steps
        assert seen[0][0] == diffusion.n_diffusion_steps - 1, "the first step is from pure noise"


@every_sampler
@every_prediction
def test_on_its_way_it_passes_through_what_training_shows(sampler: Sampler, prediction: Prediction) -> None:
    diffusion, generator = Diffusion(make_scheduler(prediction)), torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 3, 5, 16, generator=generator).mul_(3)
    for n_steps in (2, 5, 20, 48):
        seen: list[tuple[int, Tensor]] = []
        diffusion.sample(perfect(diffusion, clean, seen), noise, Sampling(sampler=sampler, n_steps=n_steps))
        for t, x_t in seen:
            expected = diffusion.noised(clean, noise, torch.full((3,), t))
            torch.testing.assert_close(x_t, expected, atol=0.01, rtol=0.01)


@every_sampler
@every_prediction
def test_a_way_that_begins_at_what_is_known_passes_through_it(sampler: Sampler, prediction: Prediction) -> None:
    diffusion, generator = Diffusion(make_scheduler(prediction)), torch.Generator().manual_seed(0)
    clean, known, noise = torch.randn(3, 3, 5, 16, generator=generator)
    for start, n_steps in ((0.5, 4), (0.1, 1), (0.25, 10)):
        seen: list[tuple[int, Tensor]] = []
        sampling = Sampling(sampler=sampler, n_steps=n_steps, start=start)
        found = diffusion.sample(perfect(diffusion, clean, seen), noise, sampling, known)
        assert len(seen) == n_steps
        assert seen[0][0] == pytest.approx(1000 * start - 1, abs=1)
        torch.testing.assert_close(seen[0][1], diffusion.noised(known, noise, torch.full((3,), seen[0][0])))
        torch.testing.assert_close(found, clean, atol=1e-4, rtol=1e-4)


@every_prediction
def test_ddim_is_that_of_diffusers_where_steps_divide_t(prediction: Prediction) -> None:
    diffusion, generator = Diffusion(make_scheduler(prediction)), torch.Generator().manual_seed(0)
    noise, mixing = torch.randn(2, 3, 8, generator=generator), torch.randn(8, 8, generator=generator) / 4
    theirs = DDIMScheduler.from_config(diffusion.scheduler.config)

    def answer(x_t: Tensor, t: Tensor) -> Tensor:
        return torch.tanh(x_t @ mixing + t / 1000)

    for n_steps in (1, 2, 4, 5, 10, 50):
        theirs.set_timesteps(n_steps)
        x_t = noise
        for t in theirs.timesteps:
            x_t = theirs.step(answer(x_t, t), t, x_t).prev_sample
        found = diffusion.sample(answer, noise, Sampling(sampler="ddim", n_steps=n_steps))
        torch.testing.assert_close(found, x_t, atol=2e-3, rtol=1e-3)


@every_prediction
def test_who_knows_the_answer_has_no_loss_and_who_says_nothing_has_that_of_unit_variance(
    prediction: Prediction,
) -> None:
    diffusion, generator = Diffusion(make_scheduler(prediction)), torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 4000, 1, 4, generator=generator)
    t = torch.randint(1000, (4000,), generator=generator)

    def knows(x_t: Tensor, t: Tensor) -> Tensor:
        return diffusion.scheduler.get_velocity(clean, noise, t) if prediction == "v_prediction" else clean

    assert diffusion.loss(knows, clean, noise, t) == 0
    torch.testing.assert_close(
        diffusion.loss(lambda x_t, _: 0 * x_t, clean, noise, t), torch.tensor(1.0), atol=0.05, rtol=0
    )


def test_at_the_last_t_nothing_is_left_of_what_was_clean() -> None:
    diffusion = Diffusion(make_scheduler())
    noise = torch.randn(1, 1, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        diffusion.noised(torch.full((1, 1, 8), 8.0), noise, torch.tensor([999])), noise, atol=1e-3, rtol=0
    )


@every_sampler
def test_without_noise_the_way_starts_at_nought(sampler: Sampler) -> None:
    diffusion = Diffusion(make_scheduler())
    seen: list[Tensor] = []
    noise = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))

    def answer(x_t: Tensor, t: Tensor) -> Tensor:
        seen.append(x_t)
        return x_t + 1

    found = diffusion.sample(answer, noise, Sampling(sampler=sampler, temperature=0.0))
    assert (seen[0] == 0).all()
    assert torch.equal(found, found[:1, :1].expand_as(found)), "and chance has no part in it"


@every_sampler
def test_the_gradient_runs_through_the_last_answer_alone(sampler: Sampler) -> None:
    scale = torch.ones((), requires_grad=True)
    asked: list[Tensor] = []

    def answer(x_t: Tensor, t: Tensor) -> Tensor:
        asked.append(x_t)
        return scale * x_t

    noise = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))
    found = Diffusion(make_scheduler()).sample(answer, noise, Sampling(sampler=sampler))
    (slope,) = torch.autograd.grad(found.sum(), scale)
    torch.testing.assert_close(slope, asked[-1].sum(), atol=1e-4, rtol=1e-4)


def test_a_guided_answer_asks_once_with_the_history_and_once_without() -> None:
    asked = []

    def denoiser(x_t: torch.Tensor, t: torch.Tensor, context: object) -> torch.Tensor:
        asked.append(context)
        return x_t

    for guidance, expected in ((1.0, ["history"]), (3.0, ["history", "none"]), (0.0, ["none"])):
        context = SimpleNamespace(null="none")
        answer = Diffusion(make_scheduler()).ask(denoiser, context, guidance)  # type: ignore[arg-type]
        answer(torch.randn(3, 2, 4), torch.tensor(5))
        assert [of if of == "none" else "history" for of in asked] == expected
        asked.clear()


def test_settings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(BadInput, match="did you mean 'ddim'"):
        Sampling(sampler="dim")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=r"unknown model\.prediction"):
        make_scheduler("epsilon")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=r"at most 10, .* got 11"):
        Diffusion(make_scheduler(n_diffusion_steps=10)).sampler(Sampling(n_steps=11))
    for wrong in ({"n_steps": 0}, {"guidance": -1.0}, {"temperature": float("nan")}, {"start": 0.0}, {"start": 1.1}):
        with pytest.raises(BadInput, match=next(iter(wrong))):
            Sampling(**wrong)  # type: ignore[arg-type]
