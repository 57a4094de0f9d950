"""The fused loss is `soft_scores` followed by `sampled_softmax`, value and gradient, whatever the sizes and draws."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from baselines import fused_softmax, losses
from baselines.fused_softmax import fused_sampled_softmax
from baselines.soft_scores import soft_scores

NAMES = ("vectors", "offset", "targets", "negatives")


def by_the_long_way(
    vectors: Tensor, offset: Tensor, targets: Tensor, negatives: Tensor, ids: tuple[Tensor, Tensor], **known: object
) -> Tensor:
    of_target = ((vectors @ targets[..., None]).squeeze(-1) + offset).logsumexp(1)
    scores = of_target, soft_scores(vectors, offset, negatives)
    return losses.sampled_softmax(*scores, *ids, **known)  # type: ignore[arg-type]


def draw(B: int, K: int, S: int, N: int, scale: float, seed: int) -> tuple[list[Tensor], tuple[Tensor, Tensor]]:
    of = torch.Generator().manual_seed(seed)
    vectors = F.normalize(torch.randn(B, K, 8, generator=of), dim=-1) * scale
    offset = torch.randn(B, K, generator=of)
    dead = torch.rand(B, K, generator=of) < 0.3
    dead[:, 0] = False
    offset = offset.masked_fill(dead, -torch.inf)
    items = F.normalize(torch.randn(N + 1, 8, generator=of), dim=-1)
    ids = torch.randint(1, N + 1, (B,), generator=of), torch.randint(1, N + 1, (S,), generator=of)
    return [vectors, offset, items[ids[0]], items[ids[1]]], ids


def value_and_gradients(loss: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    return [loss.detach(), *torch.autograd.grad(3.0 * loss, inputs)]


@settings(max_examples=30, deadline=None)
@given(
    B=st.integers(1, 7),
    K=st.integers(1, 5),
    S=st.integers(1, 70),
    N=st.integers(2, 40),
    scale=st.sampled_from([0.1, 1.0, 14.0, 60.0]),
    correct=st.booleans(),
    remove=st.booleans(),
    hardness=st.sampled_from([0.0, 0.01, 1.0, 10.0]),
    with_own=st.booleans(),
    seed=st.integers(0, 99),
)
def test_it_is_the_plain_loss_and_so_is_its_gradient(
    B: int,
    K: int,
    S: int,
    N: int,
    scale: float,
    correct: bool,
    remove: bool,
    hardness: float,
    with_own: bool,
    seed: int,
) -> None:
    inputs, ids = draw(B, K, S, N, scale, seed)
    of = torch.Generator().manual_seed(seed)
    inputs = [*inputs, torch.randn(B, generator=of), scale * torch.randn(B, generator=of)]
    inputs = [x.requires_grad_() for x in inputs]
    own_ids = torch.stack([torch.randperm(N + 1, generator=of)[:2] for _ in range(B)])
    hit = (own_ids == ids[0][:, None]).any(1)
    own = losses.OwnScores(own_ids, inputs[5], hit, inputs[4]) if with_own else None
    log_q = torch.randn(N + 1, generator=of)
    known = {
        "own": own,
        "log_q_target": log_q[ids[0]] if correct else None,
        "log_q_negatives": log_q[ids[1]] if correct else None,
        "remove_accidental_hits": remove,
        "hardness": hardness,
    }
    asked = inputs if with_own else inputs[:4]
    plain = value_and_gradients(by_the_long_way(*inputs[:4], ids, **known), asked)
    fused = value_and_gradients(fused_sampled_softmax(*inputs[:4], *ids, **known), asked)  # type: ignore[arg-type]
    for name, one, other in zip(("loss", *NAMES, "bonus", "beside"), fused, plain, strict=False):
        size = max(1.0, scale, float(other.abs().max())) * (1 + hardness)  # terms so much larger cancel
        torch.testing.assert_close(one, other, rtol=1e-4, atol=3e-6 * size, msg=lambda m, name=name: f"{name}: {m}")


def test_the_size_of_a_chunk_changes_nothing_but_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, ids = draw(B=9, K=3, S=50, N=30, scale=10.0, seed=0)
    inputs = [x.requires_grad_() for x in inputs]
    whole = value_and_gradients(fused_sampled_softmax(*inputs, *ids), inputs)
    monkeypatch.setattr(fused_softmax, "_CELLS", 2 * 3 * 50)
    for one, other in zip(value_and_gradients(fused_sampled_softmax(*inputs, *ids), inputs), whole, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("hardness", [0.0, 1.0])
def test_where_every_negative_is_a_hit_there_is_nothing_to_lose(hardness: float) -> None:
    inputs, (target, _) = draw(B=1, K=2, S=4, N=9, scale=5.0, seed=1)
    inputs = [x.requires_grad_() for x in inputs]
    found = value_and_gradients(fused_sampled_softmax(*inputs, target, target.expand(4), hardness=hardness), inputs)
    for value in found:
        torch.testing.assert_close(value, torch.zeros_like(value))


@pytest.mark.parametrize("n_interests", [1, 4])
@pytest.mark.parametrize("S", [1, 7, 64, 1280])
@pytest.mark.parametrize("remove", [True, False])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("hardness", [0.0, 0.5])
def test_a_nan_anywhere_is_seen_in_the_loss(hardness: float, name: str, remove: bool, S: int, n_interests: int) -> None:
    """The kernel is compiled as if there were none; that training has diverged must not be hidden by it."""
    for place in {0, S // 3, S // 2, S - 1}:
        inputs, ids = draw(B=3, K=n_interests, S=S, N=2 * S + 9, scale=5.0, seed=place)
        inputs[1][place % 3, -1] = 0.0  # of a dead interest nothing is read
        broken = inputs[NAMES.index(name)]
        broken[place % len(broken), -1] = torch.nan
        assert torch.isnan(fused_sampled_softmax(*inputs, *ids, remove_accidental_hits=remove, hardness=hardness)), (
            f"at {place}"
        )
