"""SASRec: the paper's equations by hand and against a NumPy twin, causality, and what its positions mean."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from baselines.errors import BadInput
from baselines.extractors.sasrec import SASRec

Array = NDArray[np.float64]


def mask_of(lengths: list[int], L: int) -> Tensor:
    return torch.arange(L) < torch.tensor(lengths)[:, None]


def random_history(B: int = 3, L: int = 6, D: int = 4) -> Tensor:
    return torch.randn(B, L, D, generator=torch.Generator().manual_seed(0))


def random_model(D: int = 4, max_history: int = 6, **knobs: int) -> SASRec:
    """A model in eval mode with no parameter at a value that hides it: gains are not 1, biases not 0."""
    torch.manual_seed(0)
    model = SASRec(D, max_history, **knobs).eval()
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return model


def numbers(parameter: Tensor) -> Array:
    return parameter.detach().double().numpy()


def layer_norm(x: Array, norm: nn.LayerNorm) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    gain, bias = numbers(norm.weight), numbers(norm.bias)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + norm.eps) * gain + bias


def slow_states(model: SASRec, history: Array) -> Array:
    """The states [n, D] of one user's n behaviours, one behaviour and one head at a time."""
    x = history + numbers(model.position)[: len(history)]
    D = x.shape[1]
    for block in model.blocks:
        y = layer_norm(x, block.norm_attention)
        W_Q, W_K, W_V = np.split(numbers(block.queries_keys_values.weight), 3)
        increment = np.zeros_like(x)
        for head in np.split(np.arange(D), block.n_heads):
            for l in range(len(x)):
                q, keys, values = W_Q[head] @ y[l], y[: l + 1] @ W_K[head].T, y[: l + 1] @ W_V[head].T
                weight = np.exp(keys @ q / math.sqrt(len(head)))
                increment[l, head] = weight @ values / weight.sum()
        x = x + increment
        first, _, second = block.feed_forward
        hidden = np.maximum(layer_norm(x, block.norm_feed_forward) @ numbers(first.weight).T + numbers(first.bias), 0)
        x = x + hidden @ numbers(second.weight).T + numbers(second.bias)
    return layer_norm(x, model.norm)


@pytest.mark.parametrize(
    "knobs", [{}, {"n_layers": 1}, {"n_heads": 2}, {"feed_forward_width": 7}], ids=lambda knobs: str(knobs)
)
def test_it_agrees_with_a_numpy_twin_user_by_user(knobs: dict[str, int]) -> None:
    model, history, lengths = random_model(**knobs), random_history(), [6, 1, 4]
    with torch.no_grad():
        states = model.states(history, mask_of(lengths, 6))
        found = model(history, mask_of(lengths, 6))
    assert found.vectors.shape == (3, 1, 4)
    assert found.assignment[..., 0].tolist() == mask_of(lengths, 6).tolist()
    for b, n in enumerate(lengths):
        expected = slow_states(model, history[b, :n].double().numpy())
        np.testing.assert_allclose(states[b, :n].numpy(), expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.vectors[b, 0].numpy(), expected[-1], rtol=1e-4, atol=1e-5)


def test_three_items_by_hand() -> None:
    """The block's increment alone: query and key weigh the first coordinate, the value is what was normalised.

    Items (1, -1), (-1, 1), (1, -1) are their own LayerNorm. The score of two of them is c q1 k1 = log 2 if they agree,
    -log 2 if not, for c = log 2; so agreement weighs 4 times as much. State 0 sees itself, 1 (4) sees the 0th (1): its
    mean is (4 - 1) / 5 away from the middle, towards itself; state 2 has two (4 + 4) against one (1).
    """
    block = SASRec(2, 3, n_layers=1).eval().blocks[0]
    with torch.no_grad():
        W_Q, W_K, W_V = block.queries_keys_values.weight.split(2)
        W_Q.zero_()[0, 0] = math.log(2) * math.sqrt(2)  # the root undoes the one that scores are divided by
        W_K.zero_()[0, 0] = 1
        W_V.copy_(torch.eye(2))
        block.norm_attention.eps = 0.0
        items = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [1.0, -1.0]])
        seen = block._attend(block.norm_attention(items), torch.ones(1, 3, dtype=torch.bool))
    expected = torch.tensor([1, -(4 - 1) / 5, (4 + 4 - 1) / 9])[:, None] * torch.tensor([1.0, -1.0])
    torch.testing.assert_close(seen, expected)


@pytest.mark.parametrize("training", [False, True])
def test_a_later_behaviour_changes_no_earlier_state(training: bool) -> None:
    model, history, mask = random_model(n_heads=2).train(training), random_history(), mask_of([6, 6, 5], 6)
    changed = history.clone()
    changed[:, 4] += torch.tensor([3.0, 0.0, -1.0, 2.0])  # LayerNorm would hide a shift of all coordinates
    with torch.no_grad():
        torch.manual_seed(1)
        before = model.states(history, mask)
        torch.manual_seed(1)
        after = model.states(changed, mask)
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.isclose(before[:, 4], after[:, 4]).all(-1).any()


def test_no_gradient_flows_back_from_a_state_to_a_later_behaviour() -> None:
    history = random_history().requires_grad_()
    random_model().states(history, mask_of([6, 6, 6], 6))[:, 2, 0].sum().backward()
    assert history.grad is not None
    reached = history.grad.abs().sum(-1) > 0
    assert reached[:, :3].all()
    assert not reached[:, 3:].any()


def test_a_prefix_has_the_state_that_it_has_as_a_whole_history() -> None:
    """So that training at every position, training at one and evaluation are the same function."""
    model, history = random_model(), random_history()
    with torch.no_grad():
        states = model.states(history, mask_of([6, 6, 6], 6))
        for n in range(1, 7):
            alone = model(history[:, :n], mask_of([n] * 3, n)).vectors[:, 0]
            torch.testing.assert_close(alone, states[:, n - 1], rtol=1e-5, atol=1e-6)


def test_without_positions_the_order_of_what_came_before_does_not_count() -> None:
    history, mask = random_history(), mask_of([6, 6, 6], 6)
    turned = history[:, [3, 1, 4, 0, 2, 5]]
    placed, placeless = random_model(), random_model(n_layers=1)
    placeless.position.data.zero_()  # in one layer; a second would read states that know what they saw
    with torch.no_grad():
        torch.testing.assert_close(placeless(history, mask).vectors, placeless(turned, mask).vectors)
        assert not torch.allclose(placed(history, mask).vectors, placed(turned, mask).vectors, atol=1e-3)


def test_padding_reaches_no_state() -> None:
    model, history, mask = random_model(), random_history(), mask_of([6, 1, 4], 6)
    with torch.no_grad():
        clean, filled = (model.states(history.masked_fill(~mask[..., None], x), mask) for x in (0.0, 1e6))
    assert torch.equal(clean, filled)
    assert (clean[~mask] == 0).all()


def test_a_batch_may_be_padded_wider_than_the_longest_history() -> None:
    model, history = random_model(max_history=6), random_history()
    wider = torch.cat([history, torch.ones(3, 5, 4)], 1)
    with torch.no_grad():
        one, other = model(history, mask_of([6, 1, 4], 6)), model(wider, mask_of([6, 1, 4], 11))
    torch.testing.assert_close(one.vectors, other.vectors)


def test_dropout_falls_only_in_training() -> None:
    model, history, mask = random_model(), random_history(), mask_of([6, 6, 6], 6)
    with torch.no_grad():
        assert torch.equal(model.states(history, mask), model.states(history, mask))
        model.train()
        assert not torch.equal(model.states(history, mask), model.states(history, mask))


@pytest.mark.parametrize(
    "knob", [{"n_layers": 0}, {"n_heads": 0}, {"n_heads": 3}, {"feed_forward_width": -1}, {"dropout": 1.0}], ids=str
)
def test_an_impossible_knob_is_refused_by_its_name(knob: dict[str, float]) -> None:
    with pytest.raises(BadInput, match=rf"model\.{next(iter(knob))} must"):
        SASRec(4, 6, **knob)
