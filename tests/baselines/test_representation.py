"""Interests merged or moved: by hand, against slow twins, and blind to what dead slots hold."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from baselines.errors import BadInput
from baselines.interests import Interests
from baselines.representation import BaseInterestAttention, ConcatMLP, StepInContext, make_representation

B, L, K, D = 6, 5, 3, 4
BOTH = ["concat_mlp", "base_attention"]
every_merger = pytest.mark.parametrize("kind", BOTH)
every_kind = pytest.mark.parametrize("kind", [*BOTH, "in_context"])


def some(filler: float = 0.0) -> Interests:
    """Users with 1 to K live interests; `filler` in dead slots; the last behaviour is padding."""
    generator = torch.Generator().manual_seed(0)
    mask = torch.rand(B, K, generator=generator).argsort(-1) < torch.tensor([1, 1, 2, 2, 3, 3])[:, None]
    vectors = torch.randn(B, K, D, generator=generator, dtype=torch.float64)
    log_weight = torch.randn(B, K, generator=generator, dtype=torch.float64)
    shares = torch.rand(B, L, K, generator=generator, dtype=torch.float64).masked_fill(~mask[:, None], 0)
    shares = shares / shares.sum(-1, keepdim=True)
    shares[:, -1] = 0
    return Interests(
        vectors.masked_fill(~mask[..., None], filler),
        mask,
        log_weight.masked_fill(~mask, filler),
        shares.masked_fill(~mask[:, None], filler),
        {"term": torch.tensor(2.0)},
        shares,
    )


def merger(kind: str) -> nn.Module:
    torch.manual_seed(1)
    made = make_representation(kind, D, K)  # type: ignore[arg-type]
    assert made is not None
    if isinstance(made, StepInContext):  # a step that is none at the start
        nn.init.normal_(made.transition.out.weight)
        nn.init.normal_(made.transition.out.bias)
    return made.double()


def merge(module: nn.Module, interests: Interests) -> Interests:
    merged = module(interests)
    assert isinstance(merged, Interests)
    return merged


def array(tensor: Tensor) -> NDArray[np.float64]:
    return tensor.detach().numpy()


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = np.exp(logits)
    return np.asarray(weights / weights.sum())


def test_concat_mlp_equals_its_slow_twin() -> None:
    module, interests = merger("concat_mlp"), some(math.nan)
    assert isinstance(module, ConcatMLP)
    W1, b1, W2, b2 = (array(p) for p in module.layers.parameters())
    for b in range(B):
        slots = [array(interests.vectors[b, k]) if interests.mask[b, k] else np.zeros(D) for k in range(K)]
        hidden = np.maximum(W1 @ np.concatenate(slots) + b1, 0)
        np.testing.assert_allclose(array(merge(module, interests).vectors[b, 0]), W2 @ hidden + b2)


def test_base_attention_equals_its_slow_twin() -> None:
    module, interests = merger("base_attention"), some(math.nan)
    assert isinstance(module, BaseInterestAttention)
    W = array(module.query.weight)
    for b in range(B):
        live = interests.mask[b]
        vectors, log_weight = array(interests.vectors[b, live]), array(interests.log_weight[b, live])
        base = sum(share * h for share, h in zip(softmax(log_weight), vectors, strict=True))
        logits = np.array([(W @ base) @ h / math.sqrt(D) for h in vectors]) + log_weight
        expected = sum(share * h for share, h in zip(softmax(logits), vectors, strict=True))
        np.testing.assert_allclose(array(merge(module, interests).vectors[b, 0]), expected)


def test_base_attention_by_hand() -> None:
    """Interests (2, 0) and (0, 0), a dead one; base (1, 0), W = sqrt 2 * identity: logits 2 and 0."""
    module = BaseInterestAttention(2)
    with torch.no_grad():
        module.query.weight.copy_(math.sqrt(2) * torch.eye(2))
    vectors = torch.tensor([[[2.0, 0.0], [0.0, 0.0], [math.nan, 5.0]]])
    held = Interests(vectors, torch.tensor([[True, True, False]]), torch.zeros(1, 3), torch.zeros(1, 1, 3))
    torch.testing.assert_close(merge(module, held).vectors, torch.tensor([[[2 / (1 + math.exp(-2.0)), 0.0]]]))


@every_merger
def test_one_live_interest_comes_of_it_that_holds_what_all_held(kind: str) -> None:
    interests = some()
    merged = merge(merger(kind), interests)
    assert merged.vectors.shape == (B, 1, D)
    assert merged.mask.shape == (B, 1)
    assert merged.mask.all()
    assert torch.equal(merged.log_weight, torch.zeros(B, 1, dtype=torch.float64))
    torch.testing.assert_close(merged.assignment, interests.assignment.sum(-1, keepdim=True))
    assert (merged.assignment[:, -1] == 0).all(), "padding is held by none"
    assert merged.penalties is interests.penalties
    assert merged.routing is interests.routing


@every_kind
@pytest.mark.parametrize("garbage", [1e30, math.nan, math.inf])
def test_what_dead_slots_hold_changes_no_value_and_no_gradient(kind: str, garbage: float) -> None:
    found = []
    for filler in (0.0, garbage):
        module, interests = merger(kind), some(filler)
        vectors, log_weight = (t.requires_grad_() for t in (interests.vectors, interests.log_weight))
        merged = merge(module, replace(interests, vectors=vectors, log_weight=log_weight))
        merged.vectors.square().sum().backward()  # type: ignore[no-untyped-call]
        slopes = [t.grad for t in (vectors, log_weight, *module.parameters()) if t.grad is not None]
        held = merged.assignment.masked_fill(~merged.mask[:, None], 0)
        found.append([merged.vectors, held, *slopes])
    for clean, disturbed in zip(*found, strict=True):
        assert torch.isfinite(clean).all()
        assert torch.equal(clean, disturbed)


@every_kind
def test_gradients_reach_every_parameter_and_stay_finite_at_zero_vectors(kind: str) -> None:
    for interests in (some(), replace(some(), vectors=torch.zeros(B, K, D, dtype=torch.float64))):
        module = merger(kind)
        merge(module, interests).vectors.sum().backward()  # type: ignore[no-untyped-call]
        for parameter in module.parameters():
            assert parameter.grad is not None
            assert torch.isfinite(parameter.grad).all()
    module = merger(kind)
    merge(module, some()).vectors.sum().backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.abs().max() > 1e-7 for p in module.parameters())


def normal(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((x - x.mean()) / np.sqrt(x.var() + 1e-5))  # LayerNorm, untrained


def test_the_step_in_context_equals_its_slow_twin_and_leaves_all_but_the_vectors() -> None:
    module, interests = merger("in_context"), some(math.nan)
    W1, b1, W2, b2 = (array(p) for name, p in module.named_parameters() if "norm" not in name)
    moved = merge(module, interests)
    for b in range(B):
        live = interests.mask[b]
        vectors = array(interests.vectors[b, live])
        base = softmax(array(interests.log_weight[b, live])) @ vectors
        expected = [h + W2 @ np.maximum(W1 @ np.concatenate([normal(h), normal(base)]) + b1, 0) + b2 for h in vectors]
        np.testing.assert_allclose(array(moved.vectors[b, live]), np.array(expected))
    for name in ("mask", "log_weight", "assignment", "penalties", "routing"):
        assert getattr(moved, name) is getattr(interests, name)


def test_the_step_in_context_is_none_at_the_start() -> None:
    interests = some()
    torch.testing.assert_close(merge(StepInContext(D).double(), interests).vectors, interests.vectors)


@pytest.mark.parametrize("kind", ["base_attention", "in_context"])
def test_where_k_may_vary_the_order_of_interests_counts_as_little_as_more_dead_slots(kind: str) -> None:
    module, interests = merger(kind), some()
    usual = merge(module, interests).vectors
    turned = Interests(
        interests.vectors.flip(1), interests.mask.flip(1), interests.log_weight.flip(1), interests.assignment.flip(2)
    )
    pad = nn.functional.pad
    wider = Interests(
        pad(interests.vectors, (0, 0, 0, 2)), pad(interests.mask, (0, 2)), pad(interests.log_weight, (0, 2)),
        pad(interests.assignment, (0, 2)),
    )  # fmt: skip
    back = usual.shape[1]  # interests; or 1, merged
    torch.testing.assert_close(merge(module, turned).vectors.flip(1), usual)
    torch.testing.assert_close(merge(module, wider).vectors[:, :back], usual)


def test_base_attention_returns_a_single_live_interest_as_it_is() -> None:
    interests = some()
    merged = merge(merger("base_attention"), interests)
    lonely = interests.n_live == 1
    assert lonely.any()
    torch.testing.assert_close(merged.vectors[lonely, 0], interests.vectors[lonely][interests.mask[lonely]])


def test_equally_important_interests_that_agree_are_averaged() -> None:
    same = torch.ones(1, 2, D, dtype=torch.float64)
    held = Interests(same, torch.ones(1, 2, dtype=torch.bool), same.new_zeros(1, 2), same.new_zeros(1, 1, 2))
    torch.testing.assert_close(merge(merger("base_attention"), held).vectors, same[:, :1])


def test_separate_interests_are_not_merged() -> None:
    assert make_representation("separate", D, None) is None


def test_concat_mlp_wants_one_k_for_all_and_says_so() -> None:
    with pytest.raises(BadInput, match="base_attention"):
        make_representation("concat_mlp", D, None)
    with pytest.raises(BadInput, match=r"made for 5 interests a user and got 3"):
        ConcatMLP(D, 5)(some())


def test_an_unknown_representation_is_refused() -> None:
    with pytest.raises(BadInput, match="did you mean 'concat_mlp'"):
        make_representation("concat_mpl", D, K)  # type: ignore[arg-type]
