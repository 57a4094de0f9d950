"""GRU4Rec: the gates by hand and against a NumPy twin, user by user."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from baselines.errors import BadInput
from baselines.extractors.gru4rec import GRU4Rec

Array = NDArray[np.float64]


def mask_of(lengths: list[int], L: int) -> Tensor:
    return torch.arange(L) < torch.tensor(lengths)[:, None]


def random_history(B: int = 3, L: int = 6, D: int = 4) -> Tensor:
    return torch.randn(B, L, D, generator=torch.Generator().manual_seed(0))


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def numbers(parameter: Tensor) -> Array:
    return parameter.detach().double().numpy()


def steps(model: GRU4Rec, history: Array, layer: int) -> Iterator[Array]:
    """The states [H] of one layer after each behaviour of one user, gate by gate."""
    weights = [numbers(getattr(model.recurrence, f"{name}_l{layer}")) for name in ("weight_ih", "weight_hh")]
    biases = [numbers(getattr(model.recurrence, f"{name}_l{layer}")) for name in ("bias_ih", "bias_hh")]
    (W_r, W_keep, W), (U_r, U_keep, U) = (np.split(weight, 3) for weight in weights)
    (a_r, a_keep, a), (b_r, b_keep, b) = (np.split(bias, 3) for bias in biases)
    h = np.zeros(len(U))
    for x in history:
        r = sigmoid(W_r @ x + a_r + U_r @ h + b_r)
        z = 1 - sigmoid(W_keep @ x + a_keep + U_keep @ h + b_keep)
        candidate = np.tanh(W @ x + a + r * (U @ h + b))
        h = (1 - z) * h + z * candidate
        yield h


@pytest.mark.parametrize(("n_layers", "hidden_width"), [(1, 0), (1, 7), (2, 5)])
def test_it_agrees_with_a_numpy_twin_user_by_user(n_layers: int, hidden_width: int) -> None:
    torch.manual_seed(0)
    model = GRU4Rec(4, 6, n_layers=n_layers, hidden_width=hidden_width).eval()
    history, lengths = random_history(), [6, 1, 4]
    with torch.no_grad():
        states = model.states(history, mask_of(lengths, 6))
        found = model(history, mask_of(lengths, 6))
    assert found.vectors.shape == (3, 1, 4)
    for b, n in enumerate(lengths):
        x = history[b, :n].double().numpy()
        for layer in range(n_layers):
            x = np.stack(list(steps(model, x, layer)))
        expected = x @ numbers(model.project.weight).T + numbers(model.project.bias)
        np.testing.assert_allclose(states[b, :n].numpy(), expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found.vectors[b, 0].numpy(), expected[-1], rtol=1e-4, atol=1e-6)


def test_training_takes_short_histories_together_and_finds_the_same_states_and_gradients() -> None:
    torch.manual_seed(0)
    model, lengths = GRU4Rec(4, 40, n_layers=2), [1, 40, 8, 9, 16, 17, 33, 2]
    history, mask = torch.randn(8, 40, 4, requires_grad=True), mask_of(lengths, 40)
    read = [history, *model.parameters()]
    found, gradients = [], []
    for training in (True, False):
        states = model.train(training).states(history, mask)[mask]
        found.append(states.detach())
        gradients.append(torch.autograd.grad(states.square().sum(), read))
    torch.testing.assert_close(*found)
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_two_behaviours_by_hand() -> None:
    """All gates are half open, the candidate is tanh(x + h / 2): from 0 to tanh(x1) / 2, and so on."""
    model = GRU4Rec(1, 2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.recurrence.weight_ih_l0[2] = 1  # W; torch's order is reset, keep, candidate
        model.recurrence.weight_hh_l0[2] = 1  # U, halved by the reset gate
        model.project.weight.fill_(1)
        states = model.states(torch.tensor([[[0.8], [-0.3]]]), torch.ones(1, 2, dtype=torch.bool)).flatten().tolist()
    first = math.tanh(0.8) / 2
    assert states == pytest.approx([first, first / 2 + math.tanh(-0.3 + first / 2) / 2], rel=1e-6)


def test_a_later_behaviour_changes_no_earlier_state() -> None:
    torch.manual_seed(0)
    model, history, mask = GRU4Rec(4, 6, n_layers=2).eval(), random_history(), torch.ones(3, 6, dtype=torch.bool)
    changed = history.clone()
    changed[:, 4] += 3
    with torch.no_grad():
        before, after = model.states(history, mask), model.states(changed, mask)
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.isclose(before[:, 4:], after[:, 4:]).all(-1).any()


def test_dropout_falls_on_the_output_and_only_in_training() -> None:
    torch.manual_seed(0)
    model, history, mask = GRU4Rec(4, 6, dropout=0.5), random_history(), torch.ones(3, 6, dtype=torch.bool)
    with torch.no_grad():
        noisy = [model.states(history, mask) for _ in range(2)]
        model.eval()
        quiet = [model.states(history, mask) for _ in range(2)]
    assert not torch.equal(*noisy)
    assert torch.equal(*quiet)


def test_one_layer_with_dropout_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GRU4Rec(4, 6, dropout=0.5)


@pytest.mark.parametrize("knob", [{"n_layers": 0}, {"hidden_width": -1}, {"dropout": 1.0}])
def test_an_impossible_knob_is_refused_by_its_name(knob: dict[str, float]) -> None:
    with pytest.raises(BadInput, match=rf"model\.{next(iter(knob))} must be"):
        GRU4Rec(4, 6, **knob)
