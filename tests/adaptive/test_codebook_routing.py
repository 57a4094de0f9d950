"""Codebook routing: by hand, against a NumPy twin, the penalty that moves the codes, and the revival of dead ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from adaptive_mi.codebook_routing import CodebookRouting
from baselines.errors import BadInput

ALL = torch.ones(1, 3, dtype=torch.bool)


def random_history(B: int = 4, L: int = 7, D: int = 6) -> tuple[Tensor, Tensor]:
    history = torch.randn(B, L, D, generator=torch.Generator().manual_seed(0))
    return history, torch.arange(L) < torch.tensor([7, 1, 4, 5])[:B, None]


def disturbed(**knobs: object) -> CodebookRouting:
    torch.manual_seed(1)
    model = CodebookRouting(6, 7, **{"n_codes": 5, **knobs})  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def along_the_axes(**knobs: object) -> CodebookRouting:
    model = CodebookRouting(3, 3, n_codes=3, **knobs)  # type: ignore[arg-type]
    with torch.no_grad():
        model.codes.copy_(torch.eye(3))
    return model


def test_three_items_by_hand() -> None:
    """x1 = (2, 0, 0) falls on code 0; x2 = (0, 3, 4) and x3 = (1, 0, 2) on code 2, x3 twice as heavy; code 1 is dead.

    v_2 = (x2 + 2 x3) / 3. Cosines 1, 4/5 and 2/sqrt 5; code 1 is nearest to x2, cosine 3/5.
    """
    model = along_the_axes()
    with torch.no_grad():
        model.recency[0] = np.log(2)
    x = torch.tensor([[[2.0, 0, 0], [0, 3, 4], [1, 0, 2]]])
    found = model.train()(x, ALL)
    torch.testing.assert_close(found.assignment, torch.tensor([[[1.0, 0], [0, 1], [0, 1]]]))
    torch.testing.assert_close(found.vectors, torch.tensor([[[2.0, 0, 0], [2 / 3, 1, 8 / 3]]]))
    torch.testing.assert_close(found.log_weight.exp(), torch.tensor([[0.25, 0.75]]))
    assert found.penalties["codebook"].item() == pytest.approx(1 - (1 + 0.8 + 2 / 5**0.5) / 3 + 1 - 0.6)
    assert model.eval()(x, ALL).mask.tolist() == [[True, True, False]]


@pytest.mark.parametrize("quantised", [False, True])
def test_it_agrees_with_a_numpy_twin_user_by_user(quantised: bool) -> None:
    model = disturbed(quantised=quantised).eval()
    history, mask = random_history()
    found = model(history, mask)
    codes, a, g = (p.detach().double().numpy() for p in (model.codes, model.recency, model.gate))
    codes = codes / np.linalg.norm(codes, axis=1, keepdims=True)
    for u, n in enumerate(mask.sum(1).tolist()):
        H = history[u, :n].double().numpy()
        z = np.array([max(range(5), key=lambda k, x=x: x @ codes[k]) for x in H])  # type: ignore[misc]
        w = np.exp(a[n - 1 - np.arange(n), 0] + H @ g)
        for slot, k in enumerate(sorted(set(z.tolist()))):
            v = (w[z == k] @ H[z == k]) / w[z == k].sum()
            if quantised:
                v = np.linalg.norm(v) * codes[k]
            np.testing.assert_allclose(found.vectors[u, slot].detach().numpy(), v, rtol=1e-4, atol=1e-5)
            share = w[z == k].sum() / w.sum()
            assert found.log_weight[u, slot].item() == pytest.approx(np.log(share), rel=1e-4, abs=1e-5)
            np.testing.assert_array_equal(found.assignment[u, :n, slot].numpy(), z == k)
        assert found.n_live[u] == len(set(z.tolist()))


@pytest.mark.parametrize("quantised", [False, True])
def test_the_compiled_pass_and_the_plain_form_agree_with_their_gradients(quantised: bool) -> None:
    history, mask = random_history()
    seen = []
    for dtype in (torch.float32, torch.float64):  # the second is not compiled
        model = disturbed(quantised=quantised).to(dtype).train()
        x = history.to(dtype).requires_grad_()
        found = model(x, mask)
        total = found.vectors.square().sum() + (found.vectors.sum(-1) * found.log_weight).sum()
        total = total + found.penalties["codebook"]
        seen.append([total, *torch.autograd.grad(total, [x, *model.parameters()])])
    for one, other in zip(*seen, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-3, atol=1e-4)


def test_the_gradient_goes_straight_through_a_code_to_the_behaviours_and_not_to_the_code() -> None:
    x = torch.tensor([[[2.0, 0, 0], [0, 3, 4], [1, 0, 2]]], requires_grad=True)
    found = along_the_axes(quantised=True).train()
    interests = found(x, ALL)
    torch.testing.assert_close(interests.vectors[0, 0], torch.tensor([2.0, 0, 0]))
    assert interests.vectors[0, 1, :2].tolist() == [0, 0]
    (to_x,) = torch.autograd.grad(interests.vectors[0, 0].sum(), x, retain_graph=True)
    torch.testing.assert_close(to_x[0], torch.tensor([[1.0, 1, 1], [0, 0, 0], [0, 0, 0]]))
    assert torch.autograd.grad(interests.vectors.sum(), found.codes, allow_unused=True) == (None,)


def test_codes_come_to_the_groups_that_there_are_and_none_stays_dead() -> None:
    """All codes start at one end of the world, the behaviours lie in four directions."""
    torch.manual_seed(0)
    groups = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    history = (groups[torch.randint(4, (16, 9))] + 0.05 * torch.randn(16, 9, 4)).detach()
    mask = torch.ones(16, 9, dtype=torch.bool)
    model = CodebookRouting(4, 9, n_codes=4).train()
    with torch.no_grad():
        model.codes.copy_(groups[:1] + 0.05 * torch.randn(4, 4))
    optimiser = torch.optim.Adam([model.codes], lr=0.02)
    for _ in range(300):
        optimiser.zero_grad()
        penalty = model(history, mask).penalties["codebook"]
        penalty.backward()
        optimiser.step()
    assert penalty < 0.02
    assert sorted(model.codes_of(groups).tolist()) == [0, 1, 2, 3]


def test_items_are_named_by_the_code_on_which_behaviours_fall() -> None:
    model = disturbed().eval()
    history, mask = random_history()
    found = model(history, mask)
    named = model.codes_of(history[mask])
    for u in range(4):
        mine = named[mask.nonzero()[:, 0] == u]
        assert found.n_live[u] == len(mine.unique())
        for slot, code in enumerate(mine.unique().tolist()):  # slots lie in the order of codes
            assert torch.equal(found.assignment[u, : len(mine), slot] > 0, mine == code)


def test_penalties_move_no_item() -> None:
    history, mask = random_history()
    penalty = disturbed().train()(history.requires_grad_(), mask).penalties["codebook"]
    assert torch.autograd.grad(penalty, history, allow_unused=True) == (None,)


def test_fewer_than_one_code_is_refused() -> None:
    with pytest.raises(BadInput, match=r"model\.n_codes must be a finite number of at least 1"):
        CodebookRouting(6, 7, n_codes=0)
