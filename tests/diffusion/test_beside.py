"""Generated interests beside extracted ones: both there, with the shares that are said, in training and in serving."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from adaptive_mi.extractor import AdaptiveExtractor
from adaptive_mi.linkage import average_linkage
from baselines.errors import BadInput
from diffusion_mi.beside import GeneratedBeside

D, L = 8, 6


def made(**knobs: Any) -> GeneratedBeside:
    torch.manual_seed(0)
    beside = GeneratedBeside(D, L, average_linkage, AdaptiveExtractor, **knobs)
    with torch.no_grad():
        for name, parameter in beside.named_parameters():
            if name.endswith(("write.weight", "transition.out.weight")):  # 0 at the start
                parameter.copy_(torch.randn(parameter.shape) * 0.3)
    return beside


@pytest.fixture
def users() -> tuple[Tensor, Tensor]:
    """Histories of 1 to 6 behaviours."""
    history = torch.randn(6, L, D, generator=torch.Generator().manual_seed(1))
    return history, torch.arange(L) <= torch.arange(6)[:, None]


def share(log_weight: Tensor, mask: Tensor) -> Tensor:
    return log_weight.exp().masked_fill(~mask, 0).sum(1)


@pytest.mark.parametrize("knobs", [{}, {"extracted": {"whole": "sequence"}}, {"whole_share": 1.0}])
def test_extracted_interests_stay_and_shares_are_as_said(users: tuple[Tensor, Tensor], knobs: dict[str, Any]) -> None:
    beside = made(generated_share=0.6, **knobs).eval()
    alone, found = beside.extractor(*users), beside(*users)
    K = alone.mask.shape[1]
    torch.testing.assert_close(found.vectors[:, :K], alone.vectors)
    assert torch.equal(found.mask[:, :K], alone.mask)
    torch.testing.assert_close(found.assignment[..., :K], alone.assignment)
    assert not found.assignment[..., K:].any()
    assert found.mask[:, K:].any(1).all()
    torch.testing.assert_close(share(found.log_weight[:, :K], found.mask[:, :K]), torch.full((6,), 0.4))
    torch.testing.assert_close(share(found.log_weight[:, K:], found.mask[:, K:]), torch.full((6,), 0.6))
    assert not found.penalties


def test_among_themselves_extracted_interests_weigh_as_they_do_alone(users: tuple[Tensor, Tensor]) -> None:
    beside = made().eval()
    alone, found = beside.extractor(*users), beside(*users)
    K = alone.mask.shape[1]
    apart = (found.log_weight[:, :K] - alone.log_weight).masked_fill(~alone.mask, torch.nan)
    torch.testing.assert_close(apart.nan_to_num(-math.inf).amax(1), apart.nan_to_num(math.inf).amin(1))


def test_in_training_the_generators_whole_alone_is_ranked_beside_them_with_its_own_share(
    users: tuple[Tensor, Tensor],
) -> None:
    beside = made(generated_share=0.6, trained_share=0.2)
    target = torch.randn(6, D, generator=torch.Generator().manual_seed(2))
    found = beside(*users, target=target)
    assert found.penalties.keys() == {"denoising"}
    torch.testing.assert_close(found.log_weight[:, -1], torch.full((6,), math.log(0.2)))
    whole = beside.generator._whole(beside.generator.denoiser.encode(*users))[:, 0]
    torch.testing.assert_close(torch.nn.functional.normalize(found.vectors[:, -1], dim=1), whole)


def test_both_parts_learn(users: tuple[Tensor, Tensor]) -> None:
    beside = made()
    found = beside(*users, target=torch.ones(6, D))
    scores = found.vectors[found.mask].sum(1) * found.log_weight[found.mask]
    (scores.square().sum() + found.penalties["denoising"]).backward()
    reached = {name for name, p in beside.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert {"extractor.transition.out.weight", "generator.denoiser.write.weight"} <= reached


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"generated_share": 1.0}, "generated_share must be"),
        ({"trained_share": 0.0}, "trained_share must be"),
        ({"extracted": {"whol": "sequence"}}, "did you mean 'whole'"),
    ],
)
def test_what_cannot_be_is_refused(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        made(**knobs)
