"""The non-linear transformation: its equation by hand and against a NumPy twin."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from baselines.errors import BadInput
from baselines.extractors.nonlinear import NonLinear

MASK = torch.arange(5) < torch.tensor([5, 1, 3])[:, None]
HISTORY = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))


def test_three_items_by_hand() -> None:
    """u = (1 + 2 + 6) / 3 = 3; W = (2, -1), b = (1, -1): LeakyReLU of 7 and -4."""
    model = NonLinear(1, 3, n_interests=2, negative_slope=0.25)
    with torch.no_grad():
        model.transform.weight.copy_(torch.tensor([[2.0], [-1.0]]))
        model.transform.bias.copy_(torch.tensor([1.0, -1.0]))
    found = model(torch.tensor([[[1.0], [2.0], [6.0]]]), torch.ones(1, 3, dtype=torch.bool))
    assert found.vectors.tolist() == [[[7.0], [-1.0]]]


def test_it_agrees_with_a_numpy_twin_user_by_user() -> None:
    torch.manual_seed(0)
    model = NonLinear(4, 8, n_interests=3).eval()
    with torch.no_grad():
        model.pooling.log_recency.normal_()
        found = model(HISTORY, MASK)
    W, b = (p.detach().numpy().reshape(3, 4, -1) for p in (model.transform.weight, model.transform.bias))
    for user, n in enumerate([5, 1, 3]):
        weight = np.exp(model.pooling.log_recency.detach().numpy()[n - 1 :: -1][:n])
        u = weight @ HISTORY[user, :n].numpy() / weight.sum()
        for j in range(3):
            x = W[j] @ u + b[j, :, 0]
            np.testing.assert_allclose(found.vectors[user, j], np.where(x < 0, 0.01 * x, x), rtol=1e-4, atol=1e-6)


def test_behaviours_are_assigned_after_the_fact_and_outside_training_only() -> None:
    model = NonLinear(4, 5)
    assert not model.train()(HISTORY, MASK).assignment.any()
    found = model.eval()(HISTORY, MASK)
    assert torch.equal(found.assignment.sum(-1), MASK.float())
    assert found.routing is None


def test_fewer_than_one_interest_is_refused() -> None:
    with pytest.raises(BadInput, match=r"model\.n_interests must be a finite number of at least 1, got 0"):
        NonLinear(4, 6, n_interests=0)
