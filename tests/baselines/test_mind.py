"""MIND: algorithm 1 and its number of interests by hand and against a slow twin; its random logits and its gradient."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from slow_routing import slow_route

from baselines.errors import BadInput
from baselines.extractors.capsules import squash
from baselines.extractors.mind import MIND, log_length
from baselines.interests import Interests

LENGTHS = [6, 1, 4]
MASK = torch.arange(6) < torch.tensor(LENGTHS)[:, None]


def make(*, training: bool = False, **knobs: object) -> MIND:
    torch.manual_seed(0)
    return MIND(4, 9, **knobs).train(training)  # type: ignore[arg-type]


def random_history(B: int = 3, L: int = 6, D: int = 4) -> torch.Tensor:
    return torch.randn(B, L, D, generator=torch.Generator().manual_seed(1))


def of_lengths(lengths: list[int]) -> torch.Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


@pytest.mark.parametrize("n_rounds", [1, 2])
def test_three_items_by_hand(n_rounds: int) -> None:
    """S = 1 and x = 1, 2, 4. Logits (0, 0), (log 3, 0), (0, log 3) share the items 1:1, 3:1, 1:3 between the interests:

    s = 1/2 + 3/4 2 + 1/4 4 = 3 and 1/2 + 1/4 2 + 3/4 4 = 4, squashed 9/10 and 16/17. Over positions, the shares of
    interest 1 would be 1/5, 3/5, 1/5. In the second round the odds of item x are multiplied by exp(x (9/10 - 16/17)).
    """
    model = MIND(1, 3, n_interests=2, n_rounds=n_rounds).eval()
    with torch.no_grad():
        model.shared_map.fill_(1)
        model.start.copy_(torch.tensor([[0, math.log(3)], [math.log(3), 0], [0, 0]]))  # the latest comes first
    found = model(torch.tensor([[[1.0], [2.0], [4.0]]]), torch.ones(1, 3, dtype=torch.bool))
    odds = [1.0, 3.0, 1 / 3]
    if n_rounds == 2:
        odds = [odd * math.exp(x * (9 / 10 - 16 / 17)) for odd, x in zip(odds, (1, 2, 4), strict=True)]
    share = [odd / (1 + odd) for odd in odds]
    one, two = share[0] + share[1] * 2 + share[2] * 4, 7 - (share[0] + share[1] * 2 + share[2] * 4)
    assert found.vectors.flatten().tolist() == pytest.approx([s**2 / (1 + s**2) for s in (one, two)])
    assert found.assignment[0, :, 0].tolist() == pytest.approx(share)
    if n_rounds == 1:
        assert found.vectors.flatten().tolist() == pytest.approx([9 / 10, 16 / 17])


def agrees_with_twin(found: Interests, model: MIND, history: torch.Tensor, logits: list[np.ndarray]) -> None:
    S = model.shared_map.detach().double().numpy().T
    for b, n in enumerate(LENGTHS):
        K_u = max(1, min(model.n_interests, int(math.log2(n)))) if model.adaptive else model.n_interests
        votes = np.stack([[S @ history[b, i].double().numpy()] * K_u for i in range(n)])
        u, w = slow_route(votes, logits[b][:, :K_u], model.n_rounds)
        for layer in model.hidden:
            if isinstance(layer, torch.nn.Linear):
                weight, bias = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
                u = np.maximum(u @ weight.T + bias, 0)
        assert found.mask[b].tolist() == [j < K_u for j in range(model.n_interests)]
        np.testing.assert_allclose(found.vectors[b, :K_u].detach().numpy(), u, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found.assignment[b, :n, :K_u].numpy(), w, rtol=1e-4, atol=1e-6)
        assert not found.assignment[b, n:].any()
        assert not found.assignment[b, :, K_u:].any()


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize(("n_rounds", "n_hidden_layers"), [(1, 0), (3, 0), (3, 2)])
@pytest.mark.parametrize("training", [False, True])
def test_it_agrees_with_a_slow_twin_user_by_user(
    adaptive: bool, n_rounds: int, n_hidden_layers: int, training: bool
) -> None:
    model = make(n_interests=3, n_rounds=n_rounds, adaptive=adaptive, n_hidden_layers=n_hidden_layers)
    history = random_history()
    if training:
        model.train().generator = torch.Generator().manual_seed(5)
        drawn = torch.randn(sum(LENGTHS), 3, generator=torch.Generator().manual_seed(5)).double().numpy()
        logits = np.split(drawn, np.cumsum(LENGTHS)[:-1])
    else:
        logits = [model.start.double().numpy()[n - 1 :: -1][:n] for n in LENGTHS]
    agrees_with_twin(model(history, MASK), model, history, logits)


def test_the_number_of_interests_follows_the_logarithm_of_the_number_of_behaviours() -> None:
    lengths = list(range(1, 40))
    mask = of_lengths(lengths)
    for K in (1, 3, 4, 8):
        model = MIND(2, 39, n_interests=K, adaptive=True)
        found = model(torch.randn(len(lengths), 39, 2), mask)
        expected = [max(1, min(K, n.bit_length() - 1)) for n in lengths]
        assert found.n_live.tolist() == expected
        assert found.mask.tolist() == [[j < k for j in range(K)] for k in expected]
        assert torch.isfinite(found.vectors).all()


def test_the_log_rule_is_the_whole_part_of_log2_and_at_least_one() -> None:
    n = range(1, 1025)
    assert log_length(torch.tensor(n)).tolist() == [max(1, k.bit_length() - 1) for k in n]
    assert log_length(torch.tensor([1, 2, 3, 4, 7, 8, 50])).tolist() == [1, 1, 1, 2, 2, 3, 5]


def test_in_training_logits_are_drawn_anew_and_otherwise_never() -> None:
    model, history = make(), random_history()
    assert torch.equal(model(history, MASK).vectors, model(history, MASK).vectors)
    model.train()
    assert not torch.allclose(model(history, MASK).vectors, model(history, MASK).vectors)


def test_a_seed_or_a_generator_decides_the_draw_and_padding_does_not() -> None:
    model, history = make(training=True), random_history()
    wide, wide_mask = (torch.nn.functional.pad(x, pad) for x, pad in ((history, (0, 0, 0, 3)), (MASK, (0, 3))))
    found = []
    for h, m, seed in ((history, MASK, 2), (wide, wide_mask, 2), (history, MASK, 3)):
        torch.manual_seed(seed)
        found.append(model(h, m).vectors)
        model.generator = torch.Generator().manual_seed(seed)
        torch.testing.assert_close(model(h, m).vectors, found[-1])
        model.generator = None
    torch.testing.assert_close(found[0], found[1])
    assert not torch.allclose(found[0], found[2])


def test_the_logits_outside_training_are_saved_with_the_parameters() -> None:
    model, history = make(), random_history()
    other = MIND(4, 9).eval()
    assert not torch.allclose(other(history, MASK).vectors, model(history, MASK).vectors)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(history, MASK).vectors, model(history, MASK).vectors)


def test_a_user_alone_has_the_interests_he_has_in_company() -> None:
    model, history = make(), random_history()
    together = model(history, MASK)
    for b, n in enumerate(LENGTHS):
        alone = model(history[b : b + 1, :n], MASK[b : b + 1, :n])
        torch.testing.assert_close(alone.vectors[0], together.vectors[b])


def test_the_spread_of_the_logits_is_what_is_asked_for() -> None:
    torch.manual_seed(0)
    model = MIND(1, 4000, n_interests=5, n_rounds=1, logit_std=2.5)
    assert float(model.start.std()) == pytest.approx(2.5, rel=0.05)
    found = model(torch.ones(1, 4000, 1), torch.ones(1, 4000, dtype=torch.bool))
    spread = found.assignment.log().std(-1).square().mean().sqrt()  # of logits up to a constant per behaviour
    assert float(spread) == pytest.approx(2.5, rel=0.05)


def test_the_gradient_runs_through_the_last_round_only() -> None:
    """As if the last coupling were given: the same gradients for the map and for the history."""
    model, g = make(training=True), torch.randn(3, 4, 4)
    one, other = random_history().requires_grad_(), random_history().requires_grad_()
    found = model(one, MASK)
    (found.vectors * g).sum().backward()
    S = model.shared_map.detach().clone().requires_grad_()
    assert found.routing is not None
    (squash(found.routing.detach().mT @ (other @ S)) * g).sum().backward()
    torch.testing.assert_close(model.shared_map.grad, S.grad)
    torch.testing.assert_close(one.grad, other.grad)


def test_the_coupling_in_training_is_the_assignment_and_can_be_regularized() -> None:
    model, history = make(training=True), random_history()
    found = model(history, MASK)
    assert found.routing is not None
    assert torch.equal(found.routing, found.assignment)
    assert not found.assignment.requires_grad
    found.routing.square().sum().backward()
    assert model.shared_map.grad is not None
    assert float(model.shared_map.grad.abs().max()) > 1e-3
    assert make()(history, MASK).routing is None


@pytest.mark.parametrize("knob", ["n_interests", "n_rounds", "logit_std"])
def test_settings_that_make_no_sense_are_refused(knob: str) -> None:
    with pytest.raises(BadInput, match=rf"model\.{knob} must be a finite number"):
        make(**{knob: 0})
