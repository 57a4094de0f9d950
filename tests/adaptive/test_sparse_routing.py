"""Sparse routing: by hand, against a NumPy twin, the compiled pass against the plain form, and what lives."""

from __future__ import annotations

import math
from typing import Any, get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaptive_mi.sparse_normalisation import entmax15, sparsemax
from adaptive_mi.sparse_pooling import Pooled
from adaptive_mi.sparse_routing import Normalisation, SparseRouting, sinkhorn
from baselines.errors import BadInput
from baselines.interests import Interests

Floats = NDArray[np.float64]
COMPILED = ("top_m", "sparsemax", "entmax15")
KNOBS: list[dict[str, Any]] = [
    {},
    {"positions": "table", "recency": "per_interest"},
    {"positions": "vectors", "gate": False, "recency": "none"},
    {"prototypes": "by_position", "n_selected": 3},
    {"balance_rate": 1.0, "n_selected": 9, "scale": 2.0},
    {"balance_rate": 1.0},
    {"n_interests": 11},
]


def random_history(B: int = 4, L: int = 7, D: int = 6) -> tuple[Tensor, Tensor]:
    history = torch.randn(B, L, D, generator=torch.Generator().manual_seed(0))
    return history, torch.arange(L) < torch.tensor([7, 1, 4, 5])[:B, None]


def disturbed(**knobs: Any) -> SparseRouting:
    """A model none of whose parameters is where it starts."""
    torch.manual_seed(1)
    model = SparseRouting(6, 7, **{"n_interests": 5, **knobs})
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def test_three_items_by_hand() -> None:
    """Prototypes along the axes, scale log 3, the two best of three kept; the latest behaviour says twice as much.

    x1 = (2, 0, 0): cosines 1, 0, 0: prototypes 1 and 2 (the tie goes to the first), shares 3/4 and 1/4.
    x2 = (0, 3, 0): cosines 0, 1, 0: shares 1/4 and 3/4.
    x3 = (0, 1, 0): the same shares, weight 2.
    Mass of interest 1: 3/4 + 1/4 + 2/4 = 3/2; of 2: 1/4 + 3/4 + 6/4 = 5/2; of 3: none. It is dead.
    """
    model = SparseRouting(3, 3, n_interests=3, scale=math.log(3))
    with torch.no_grad():
        model.prototypes.copy_(torch.eye(3))
        model.recency[0] = math.log(2)
    x = torch.tensor([[[2.0, 0, 0], [0, 3, 0], [0, 1, 0]]])
    found = model.train()(x, torch.ones(1, 3, dtype=torch.bool))
    torch.testing.assert_close(found.assignment, torch.tensor([[[3.0, 1], [1, 3], [1, 3]]]) / 4)
    first = torch.tensor([0.75 * 2, 0.25 * 3 + 0.5 * 1, 0]) / 1.5
    second = torch.tensor([0.25 * 2, 0.75 * 3 + 1.5 * 1, 0]) / 2.5
    torch.testing.assert_close(found.vectors, torch.stack([first, second])[None])
    torch.testing.assert_close(found.log_weight.exp(), torch.tensor([[1.5, 2.5]]) / 4)
    assert model.eval()(x, torch.ones(1, 3, dtype=torch.bool)).mask.tolist() == [[True, True, False]]


def twin(model: SparseRouting, history: Floats) -> tuple[Floats, Floats, Floats]:
    """Vectors [K, D], mass [K] and shares [n, K] of one user, from the equations, in float64."""
    P, t, a, g, b = (
        p.detach().double().numpy() for p in (model.prototypes, model.position, model.recency, model.gate, model.bias)
    )
    n, K, scale = len(history), len(P), math.exp(model.log_scale.item())
    logits, bias = np.zeros((n, K)), scale * model.balance_rate * b
    for i, x in enumerate(history):
        r = n - 1 - i
        for k in range(K):
            if P.shape[1]:
                logits[i, k] = scale * (x @ P[k]) / np.linalg.norm(x) / np.linalg.norm(P[k])
            if model.placed:
                logits[i, k] += t[r, k]
            if model.position_vectors is not None:
                vector = model.position_vectors[r].detach().double().numpy()
                logits[i, k] += scale * (vector @ P[k]) / np.linalg.norm(P[k])
    shares = np.zeros((n, K))
    for i, z in enumerate(logits):
        if model.normalisation == "top_m":
            best = sorted(range(K), key=lambda k, z=z: (-(z[k] + bias[k]), k))[: model.n_selected]  # type: ignore[misc]
            shares[i, best] = np.exp(z[best]) / np.exp(z[best]).sum()
        elif model.normalisation in ("sparsemax", "entmax15"):
            normalise = sparsemax if model.normalisation == "sparsemax" else entmax15
            shares[i] = normalise(torch.from_numpy(z)).numpy()
        else:
            shares[i] = np.exp(z) / np.exp(z).sum() if model.normalisation == "softmax" else 1 / K
    if model.normalisation == "sinkhorn":
        shares = np.exp(logits)
        for _ in range(3):
            shares = shares / shares.sum(0)
            shares = shares / shares.sum(1, keepdims=True)
    weight = np.exp(history @ g)[:, None] * np.exp(a[n - 1 - np.arange(n)])  # [n, 1 or K]
    mass = (shares * weight).sum(0)
    vectors = np.stack([(shares[:, k] * weight[:, k if weight.shape[1] > 1 else 0]) @ history for k in range(K)])
    return vectors / np.maximum(mass, 1e-300)[:, None], mass / mass.sum(), shares


@pytest.mark.parametrize("knobs", KNOBS, ids=str)
@pytest.mark.parametrize("normalisation", get_args(Normalisation))
def test_it_agrees_with_a_numpy_twin_user_by_user(normalisation: str, knobs: dict[str, Any]) -> None:
    model = disturbed(normalisation=normalisation, **knobs).eval()
    history, mask = random_history()
    found = model(history, mask)
    for u, n in enumerate(mask.sum(1).tolist()):
        vectors, mass, shares = twin(model, history[u, :n].double().numpy())
        k = int(found.n_live[u])
        assert k == (mass > 0).sum()
        order = np.flatnonzero(mass > 0)
        np.testing.assert_allclose(found.vectors[u, :k].detach().numpy(), vectors[order], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.log_weight[u, :k].detach().numpy(), np.log(mass[order]), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.assignment[u, :n, :k].numpy(), shares[:, order], atol=1e-5)


def value_and_gradients(model: SparseRouting, found: Pooled, history: Tensor) -> dict[str, Tensor]:
    """A random linear function of all that is live, and its gradient to everything."""
    generator = torch.Generator().manual_seed(2)
    live = found.interests >= 0
    parts = (found.vectors * live[..., None], found.log_mass * live, found.shares)
    total = torch.stack([(part * torch.randn(part.shape, generator=generator)).sum() for part in parts]).sum()
    learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
    found_gradients = torch.autograd.grad(total, [history, *learned.values()], allow_unused=True)
    return {"value": total, **dict(zip(["history", *learned], found_gradients, strict=True))}


@pytest.mark.parametrize("knobs", KNOBS, ids=str)
@pytest.mark.parametrize("normalisation", COMPILED)
def test_the_compiled_pass_and_the_plain_form_agree_with_their_gradients(
    normalisation: str, knobs: dict[str, Any]
) -> None:
    model = disturbed(normalisation=normalisation, **knobs).train()
    history, mask = random_history()
    history.requires_grad_()
    one, other = (
        value_and_gradients(model, route(history, mask), history) for route in (model._in_one_pass, model._plainly)
    )
    assert one.keys() == other.keys()
    for name, expected in other.items():
        if expected is not None:
            torch.testing.assert_close(one[name], expected, rtol=2e-3, atol=2e-4, msg=lambda m, name=name: name + m)


@pytest.mark.parametrize("normalisation", get_args(Normalisation))
def test_gradients_agree_with_finite_differences(normalisation: str) -> None:
    model = disturbed(normalisation=normalisation, positions="table", balance_rate=0.0).double().train()
    history, mask = random_history(B=2, L=4)
    learned = [p for name, p in model.named_parameters() if p.requires_grad]

    def route(history: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
        return model(history, mask[:, :4]).vectors, model(history, mask[:, :4]).log_weight

    assert torch.autograd.gradcheck(route, (history.double().requires_grad_(), *learned), fast_mode=True)


@pytest.mark.parametrize("normalisation", COMPILED)
def test_training_leaves_out_the_slots_that_nobody_needs_and_nothing_else(normalisation: str) -> None:
    model = disturbed(normalisation=normalisation, n_interests=40)
    history, mask = random_history()
    with torch.no_grad():
        short: Interests = model.train()(history, mask)
        long: Interests = model.eval()(history, mask)
    J = short.mask.shape[1]
    assert J == short.n_live.max() < long.mask.shape[1] == 40
    for name in ("vectors", "mask", "log_weight"):
        torch.testing.assert_close(getattr(long, name)[:, :J], getattr(short, name))
    assert not long.mask[:, J:].any()
    assert short.routing is not None
    assert long.routing is None


@pytest.mark.parametrize("m", [1, 2, 3])
def test_a_behaviour_has_at_most_m_interests_and_an_interest_lives_if_a_behaviour_has_it(m: int) -> None:
    found = disturbed(n_interests=30, n_selected=m).eval()(*random_history())
    assert ((found.assignment > 0).sum(-1) <= m).all()
    assert torch.equal(found.mask, found.assignment.sum(1) > 0)
    assert found.n_live.tolist()[1] == m  # one behaviour


@pytest.mark.parametrize("normalisation", get_args(Normalisation))
def test_of_one_item_repeated_every_interest_is_that_item(normalisation: str) -> None:
    history, _ = random_history(B=1)
    found = disturbed(normalisation=normalisation).eval()(
        history[:, :1].expand(1, 7, 6), torch.ones(1, 7, dtype=torch.bool)
    )
    torch.testing.assert_close(found.vectors[found.mask], history[0, :1].expand(int(found.n_live), 6))


def test_the_balance_gives_its_bias_the_sign_of_too_much_load() -> None:
    model = disturbed(balance_rate=1.0, n_interests=4, n_selected=1)
    with torch.no_grad():
        model.prototypes.copy_(torch.eye(4, 6))
        model.bias.zero_()
    history = torch.zeros(1, 6, 6)
    history[0, [0, 1, 2], 0] = history[0, [3, 4], 1] = history[0, 5, 2] = 1.0
    for route in (model._in_one_pass, model._plainly):
        found = route(history.requires_grad_(), torch.ones(1, 6, dtype=torch.bool))
        (step,) = torch.autograd.grad(found.vectors.sum(), model.bias)
        assert step.tolist() == [1, 1, -1, -1]  # loads 3, 2, 1, 0 around a mean of 3/2


def test_balanced_behaviours_come_to_share_the_prototypes_out_evenly() -> None:
    torch.manual_seed(0)
    history = torch.randn(32, 7, 6) + torch.tensor([3.0, 0, 0, 0, 0, 0])
    mask = torch.ones(32, 7, dtype=torch.bool)

    def loads(rate: float) -> Tensor:
        torch.manual_seed(0)
        model = SparseRouting(6, 7, n_interests=8, n_selected=2, prototypes="frozen", balance_rate=rate)
        optimiser = torch.optim.Adam([model.bias], lr=0.01)
        for _ in range(200 if rate else 0):
            optimiser.zero_grad()
            model(history, mask).vectors.sum().backward()
            optimiser.step()
        return (model.eval()(history, mask).assignment > 0).sum((0, 1)).double()

    before, after = loads(0), loads(1)
    assert before.max() > 2 * before.mean()
    assert after.max() < 1.5 * after.mean()
    assert before.sum() == after.sum()


def test_a_prototype_that_cannot_learn_says_so() -> None:
    for knobs in ({"n_selected": 1}, {"prototypes": "frozen"}, {"normalisation": "uniform"}, {"n_interests": 1}):
        assert not disturbed(**knobs).prototypes.requires_grad
    assert disturbed(normalisation="sparsemax", n_selected=1).prototypes.requires_grad


def test_without_routing_every_interest_is_the_mean() -> None:
    model = SparseRouting(6, 7, n_interests=3, normalisation="uniform").eval()
    history, mask = random_history()
    mean = (history * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    torch.testing.assert_close(model(history, mask).vectors, mean[:, None].expand(4, 3, 6))


def test_a_softmax_leaves_no_interest_out() -> None:
    assert disturbed(normalisation="softmax").eval()(*random_history()).mask.all()


def test_sinkhorn_spreads_a_users_behaviours_evenly() -> None:
    _, mask = random_history()
    logits = torch.randn(4, 5, 7, generator=torch.Generator().manual_seed(0))
    shares = sinkhorn(logits, mask, n_rounds=200)
    torch.testing.assert_close(shares.sum(1), mask.float())
    torch.testing.assert_close(shares.sum(2), (mask.sum(1, keepdim=True) / 5).expand(4, 5))


def test_positions_move_behaviours_to_other_interests() -> None:
    history, mask = random_history(B=1)
    for positions in ("table", "vectors"):
        model = disturbed(positions=positions).eval()
        with torch.no_grad():
            (model.position if positions == "table" else model.position_vectors).mul_(20)  # type: ignore[union-attr]
        forth, back = model(history, mask), model(history.flip(1), mask)
        assert not torch.allclose(forth.assignment, back.assignment.flip(1))


def test_what_cannot_be_is_refused() -> None:
    for knobs, said in (
        ({"n_interests": 0}, "model.n_interests must be a finite number of at least 1"),
        ({"n_selected": 0}, "model.n_selected"),
        ({"normalisation": "sparsmax"}, "did you mean 'sparsemax'"),
        ({"recency": "shard"}, "did you mean 'shared'"),
    ):
        with pytest.raises(BadInput, match=said):
            SparseRouting(6, 7, **knobs)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="histories of up to 3 behaviours are expected, got one of 7"):
        SparseRouting(6, 3)(*random_history())


@pytest.mark.parametrize("n_interests", [5, 11])
@pytest.mark.parametrize("normalisation", COMPILED)
def test_a_user_is_routed_to_the_same_bits_beside_any_others(normalisation: str, n_interests: int) -> None:
    model = disturbed(normalisation=normalisation, n_interests=n_interests).eval()
    history, mask = random_history()
    together = model(history, mask)
    for u, n in enumerate(mask.sum(1).tolist()):
        alone = model(history[[u], :n], mask[[u], :n])
        for name in ("vectors", "log_weight", "mask"):
            assert torch.equal(getattr(alone, name)[0], getattr(together, name)[u])


def test_what_was_changed_between_the_passes_is_refused() -> None:
    model = disturbed().train()
    history, mask = random_history()
    total = model(history.requires_grad_(), mask).vectors.sum()
    with torch.no_grad():
        model.prototypes.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()
