"""The network: slots without order, padding unseen, a history that can be hidden, and its life on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from baselines.errors import BadInput
from diffusion_mi.denoiser import Context, SetDenoiser
from diffusion_mi.diffusion import Diffusion, Prediction, Sampling, make_scheduler
from diffusion_mi.pipeline import InterestPipeline

B, L, K, D = 5, 6, 4, 16


def of_some_age(denoiser: SetDenoiser, seed: int = 0) -> SetDenoiser:
    """As if trained: nothing in it is 0."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in denoiser.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2
    return denoiser.eval()


@pytest.fixture(params=[True, False], ids=["interacting", "apart"])
def denoiser(request: pytest.FixtureRequest) -> SetDenoiser:
    return of_some_age(SetDenoiser(D, L, 24, D**0.5, n_heads=4, interacting=request.param))


@pytest.fixture
def users() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Histories, their mask, noisy slots, and t."""
    generator = torch.Generator().manual_seed(1)
    history, slots = torch.randn(B, L, D, generator=generator), torch.randn(B, K, D, generator=generator)
    return (
        history,
        torch.arange(L) < torch.tensor([1, 2, 3, 6, 4])[:, None],
        slots,
        torch.tensor([0, 10, 500, 998, 999]),
    )


Users = tuple[Tensor, Tensor, Tensor, Tensor]


def test_whoever_permutes_the_slots_permutes_the_answer(denoiser: SetDenoiser, users: Users) -> None:
    history, mask, slots, t = users
    context, order = denoiser.encode(history, mask), torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(denoiser(slots[:, order], t, context), denoiser(slots, t, context)[:, order])


def test_a_slot_minds_the_others_only_where_they_interact(denoiser: SetDenoiser, users: Users) -> None:
    history, mask, slots, t = users
    context = denoiser.encode(history, mask)
    others = torch.cat([slots[:, :1], slots[:, 1:] + 1], 1)
    change = (denoiser(others, t, context) - denoiser(slots, t, context))[:, 0].abs().max()
    assert change > 1e-3 if denoiser.config.interacting else change < 1e-5


def test_padding_is_not_seen(denoiser: SetDenoiser, users: Users) -> None:
    history, mask, slots, t = users
    plain = denoiser(slots, t, denoiser.encode(history, mask))
    for rubbish in (1e6, float("nan"), float("inf")):
        spoilt = torch.where(mask[..., None], history, rubbish)
        assert torch.equal(denoiser(slots, t, denoiser.encode(spoilt, mask)), plain)


def test_the_history_and_the_time_are_read_unless_the_history_is_hidden(denoiser: SetDenoiser, users: Users) -> None:
    history, mask, slots, t = users
    one, other = denoiser.encode(history, mask), denoiser.encode(history.flip(0), mask)
    hidden = torch.ones(B, dtype=torch.bool)
    assert (denoiser(slots, t, one) - denoiser(slots, t, other)).abs().amin((1, 2)).max() > 1e-3
    assert torch.equal(denoiser(slots, t, one.without(hidden)), denoiser(slots, t, other.without(hidden)))
    assert torch.equal(denoiser(slots, t, one.without(~hidden)), denoiser(slots, t, one))
    assert not torch.allclose(denoiser(slots, t, one), denoiser(slots, t.flip(0), one))


def test_one_t_for_all_is_that_t_for_each(denoiser: SetDenoiser, users: Users) -> None:
    history, mask, slots, _ = users
    context = denoiser.encode(history, mask)
    torch.testing.assert_close(
        denoiser(slots, torch.tensor(700), context), denoiser(slots, torch.full((B,), 700), context)
    )


def test_training_starts_from_the_mean_of_the_history(users: Users) -> None:
    history, mask, slots, t = users
    fresh = SetDenoiser(D, L, 24, D**0.5)
    mean = (history * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    torch.testing.assert_close(fresh(slots, t, fresh.encode(history, mask)), mean[:, None].expand(-1, K, -1))


@pytest.mark.parametrize("prediction", ["sample", "v_prediction"])
def test_guidance_0_is_the_null_condition_and_1_the_history(
    denoiser: SetDenoiser, users: Users, prediction: Prediction
) -> None:
    history, mask, slots, t = users
    diffusion, context = Diffusion(make_scheduler(prediction)), denoiser.encode(history, mask)
    sign = -1 if prediction == "v_prediction" else 1
    null = sign * denoiser(slots, t, context.without(torch.ones(B, dtype=torch.bool)))
    known = sign * denoiser(slots, t, context)
    assert torch.equal(diffusion.ask(denoiser, context, 0.0)(slots, t), null)
    assert torch.equal(diffusion.ask(denoiser, context, 1.0)(slots, t), known)
    torch.testing.assert_close(diffusion.ask(denoiser, context, 3.0)(slots, t), null + 3 * (known - null))


def settings(denoiser: SetDenoiser) -> dict[str, object]:
    return {name: value for name, value in denoiser.config.items() if not name.startswith("_")}


def test_noisy_slots_are_heard_as_loud_as_is_said_also_when_saved(users: Users, tmp_path: Path) -> None:
    history, mask, slots, t = users
    torch.manual_seed(0)
    quiet = of_some_age(SetDenoiser(D, L, 24, D**0.5, heard=0.25))
    usual = SetDenoiser(D, L, 24, D**0.5)
    usual.load_state_dict(quiet.state_dict())
    context = usual.encode(history, mask)
    torch.testing.assert_close(quiet(slots, t, context), usual(0.25 * slots, t, context))
    assert not torch.allclose(quiet(slots, t, context), usual(slots, t, context))
    InterestPipeline(quiet, make_scheduler()).save_pretrained(tmp_path)
    assert InterestPipeline.from_pretrained(tmp_path).denoiser.heard == 0.25


@pytest.fixture
def pipeline(denoiser: SetDenoiser) -> InterestPipeline:
    return InterestPipeline(denoiser, make_scheduler("v_prediction", 200))


def test_a_pipeline_comes_back_as_it_was_saved(pipeline: InterestPipeline, users: Users, tmp_path: Path) -> None:
    history, mask, slots, _ = users
    pipeline.save_pretrained(tmp_path / "deep" / "folder")
    loaded = InterestPipeline.from_pretrained(tmp_path / "deep" / "folder")
    assert settings(loaded.denoiser) == settings(pipeline.denoiser)
    assert loaded.diffusion.n_diffusion_steps == 200
    assert loaded.denoiser.scaling_factor == D**0.5
    for sampling in (Sampling(), Sampling(sampler="unipc", guidance=2.0)):
        found = loaded(history, mask, slots[0], sampling)
        torch.testing.assert_close(found, pipeline(history, mask, slots[0], sampling), rtol=0, atol=1e-5)
        torch.testing.assert_close(found.norm(dim=-1), torch.ones(B, K))


def test_weights_too_few_or_too_many_are_an_error(pipeline: InterestPipeline, tmp_path: Path) -> None:
    pipeline.save_pretrained(tmp_path)
    path = tmp_path / "denoiser" / "diffusion_pytorch_model.safetensors"
    whole = load_file(path)
    save_file({name: tensor for name, tensor in whole.items() if name != "read.bias"}, path)
    with pytest.raises(BadInput, match=r"missing keys: read\.bias"):
        InterestPipeline.from_pretrained(tmp_path)
    save_file({**whole, "more": torch.zeros(1)}, path)
    with pytest.raises(BadInput, match="unexpected keys: more"):
        InterestPipeline.from_pretrained(tmp_path)
    save_file({**whole, "read.bias": torch.zeros(2)}, path)
    with pytest.raises(BadInput, match=r"read\.bias"):
        InterestPipeline.from_pretrained(tmp_path)


def test_a_mistyped_path_is_an_error_and_no_hub_is_asked(
    pipeline: InterestPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("somebody was called"))
    pipeline.save_pretrained(tmp_path / "right")
    for wrong in ("rihgt", "right/denoiser"):
        with pytest.raises(BadInput, match="check the path"):
            InterestPipeline.from_pretrained(tmp_path / wrong)
    (tmp_path / "right/denoiser/config.json").write_text("{}")
    with pytest.raises(BadInput, match="cannot be read"):
        InterestPipeline.from_pretrained(tmp_path / "right")


def test_hiding_takes_one_user_at_a_time() -> None:
    mask = torch.tensor([[False, True, True], [False, True, False]])
    context = Context((), torch.zeros(2, 3, 1), torch.zeros(2, 3, 1), mask)
    hidden = context.without(torch.tensor([False, True])).mask
    assert hidden.tolist() == [[False, True, True], [True, False, False]]
