"""ComiRec-SA: equations 6 and 7 by hand and against a NumPy twin, and what its positions mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from baselines.errors import BadInput
from baselines.extractors.comirec import ComiRecSA


def extract(model: ComiRecSA, history: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    mask = torch.ones(history.shape[:2], dtype=torch.bool) if mask is None else mask
    with torch.no_grad():
        vectors: torch.Tensor = model.eval()(history, mask).vectors
    return vectors


def random_history(B: int = 3, L: int = 6, D: int = 4) -> torch.Tensor:
    return torch.randn(B, L, D, generator=torch.Generator().manual_seed(0))


def test_three_items_by_hand() -> None:
    """W1 = 1, so the hidden value is tanh x; W2 = (1, 0): interest 1 prefers large x, interest 2 takes the mean.

    x = 0, atanh(log 2 / 2), atanh(log 3 / 2) and W2 = 2 make the attention of interest 1 proportional to 1, 2, 3: the
    softmax is over POSITIONS. Over interests it would be 1/2, 2/3, 3/4.
    """
    model = ComiRecSA(1, 3, n_interests=2, hidden_width=1, positions=False)
    with torch.no_grad():
        model.hidden.weight.fill_(1)
        model.hidden.bias.zero_()
        model.attend.weight.copy_(torch.tensor([[2.0], [0.0]]))
    x = np.arctanh([0.0, np.log(2) / 2, np.log(3) / 2])
    found = extract(model, torch.tensor(x, dtype=torch.float32).view(1, 3, 1)).flatten().tolist()
    assert found == pytest.approx([(1 * x[0] + 2 * x[1] + 3 * x[2]) / 6, x.mean()], rel=1e-5)


@pytest.mark.parametrize(("temperature", "power"), [(1.0, 1.0), (0.3, 1.0), (0.2, 2.5), (3.0, 0.5), (1.0, 0.0)])
def test_it_agrees_with_a_numpy_twin_user_by_user(temperature: float, power: float) -> None:
    torch.manual_seed(0)
    model = ComiRecSA(4, 9, n_interests=3, temperature=temperature, power=power)
    history = random_history()
    lengths = [6, 1, 4]
    mask = torch.arange(6) < torch.tensor(lengths)[:, None]
    found = extract(model, history, mask)
    W1, b1 = model.hidden.weight.detach().numpy(), model.hidden.bias.detach().numpy()
    W2, P = model.attend.weight.detach().numpy(), model.position.detach().numpy()
    for b, n in enumerate(lengths):
        H = history[b, :n].numpy()
        scores = W2 @ np.tanh(W1 @ (H + P[n - 1 :: -1][:n]).T + b1[:, None]) / temperature  # [K, n]
        logits = np.sign(scores) * np.abs(scores) ** power if power else np.ones_like(scores)
        A = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        np.testing.assert_allclose(found[b].numpy(), A @ H, rtol=1e-4, atol=1e-6)


def test_a_high_temperature_and_the_power_zero_make_every_interest_the_mean() -> None:
    torch.manual_seed(0)
    history = random_history()
    mean = history.mean(1, keepdim=True).expand(3, 4, 4)
    for knobs in ({"temperature": 1e6}, {"power": 0.0}):
        torch.testing.assert_close(extract(ComiRecSA(4, 6, **knobs), history), mean)  # type: ignore[arg-type]
    assert not torch.allclose(extract(ComiRecSA(4, 6), history), mean, atol=1e-3)


def test_a_low_temperature_and_a_great_power_attend_to_the_best_behaviour_alone() -> None:
    torch.manual_seed(0)
    history, model = random_history(), ComiRecSA(4, 6)
    with torch.no_grad():
        scores = model.attend(model.hidden(history + model.position.flip(0)).tanh())  # [B, L, K]
    best = history.take_along_dim(scores.argmax(1)[..., None], 1)
    model.temperature = 1e-6
    torch.testing.assert_close(extract(model, history), best)
    model.temperature = 0.5 * float(scores.amax(1).min())  # every best score exceeds it
    assert model.temperature > 0
    model.power = 400.0
    torch.testing.assert_close(extract(model, history), best)


def test_the_power_is_no_temperature() -> None:
    """It stretches scores unequally: of 1, 2, 3 the squares lie 3 and 5 apart, whereas any temperature keeps 1 : 1."""
    model = ComiRecSA(1, 3, n_interests=1, hidden_width=1, positions=False, power=2.0)
    with torch.no_grad():
        model.hidden.weight.fill_(1)
        model.hidden.bias.zero_()
        model.attend.weight.fill_(10.0)
    x = torch.atanh(torch.tensor([0.1, 0.2, 0.3])).view(1, 3, 1)
    routing = model.train()(x, torch.ones(1, 3, dtype=torch.bool)).routing
    assert routing is not None
    assert routing.log().flatten().diff().tolist() == pytest.approx([3, 5], rel=1e-4)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_in_training_the_attention_is_open_to_regularizers(power: float) -> None:
    torch.manual_seed(0)
    model, history = ComiRecSA(4, 6, power=power), random_history()
    mask = torch.arange(6) < torch.tensor([6, 1, 4])[:, None]
    found = model(history, mask)
    assert found.routing is not None
    torch.testing.assert_close(found.routing.sum(1), torch.ones(3, 4))
    assert not found.routing[~mask].any()
    torch.testing.assert_close(found.vectors, found.routing.mT @ history)
    found.routing.square().sum().backward()
    assert model.attend.weight.grad is not None
    assert model.attend.weight.grad.any()
    assert model.eval()(history, mask).routing is None


def test_without_positions_order_does_not_count_and_with_them_it_does() -> None:
    torch.manual_seed(0)
    history = random_history()
    turned = history.flip(1)
    placeless, placed = ComiRecSA(4, 6, positions=False), ComiRecSA(4, 6)
    with torch.no_grad():
        placed.position.normal_()
    torch.testing.assert_close(extract(placeless, history), extract(placeless, turned))
    assert not torch.allclose(extract(placed, history), extract(placed, turned), atol=1e-3)


def test_a_position_is_a_distance_from_the_end() -> None:
    """If only the latest behaviour is attended to, it is found whatever the length of the history."""
    model = ComiRecSA(4, 6, n_interests=1, hidden_width=1)
    with torch.no_grad():
        model.hidden.weight.zero_()
        model.hidden.weight[0, 0] = 1
        model.attend.weight.fill_(200.0)
        model.position.zero_()
        model.position[0, 0] = 9
    history = 0.1 * random_history()
    mask = torch.arange(6) < torch.tensor([2, 6, 3])[:, None]
    torch.testing.assert_close(extract(model, history, mask)[:, 0], history[[0, 1, 2], [1, 5, 2]])


def test_an_interest_lies_within_its_history() -> None:
    torch.manual_seed(0)
    history = random_history(B=20)
    found = extract(ComiRecSA(4, 6, n_interests=5), history)
    assert (found <= history.amax(1, keepdim=True) + 1e-6).all()
    assert (found >= history.amin(1, keepdim=True) - 1e-6).all()


def test_fewer_than_one_interest_is_refused() -> None:
    with pytest.raises(BadInput, match=r"model\.n_interests must be a finite number of at least 1, got 0"):
        ComiRecSA(4, 6, n_interests=0)
