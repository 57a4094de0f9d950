"""What every method that has interests owes to `Interests`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from under_law import Disturbed, assert_same, every_trained_method, garbage, odd_and_usual_histories, pad

from baselines.batch import Batch
from baselines.config import Readout
from baselines.interests import Interests
from baselines.recommender import Recommender
from experiments.data.dataset import Dataset
from experiments.evaluation.diagnostics import diagnose
from experiments.methods import AnyMethod
from experiments.training.batches import TrainingBatches

Fitted = Callable[[str], AnyMethod]


@pytest.fixture
def model(name: str, fitted: Fitted) -> Recommender:
    """A copy of the fitted method, to disturb at will."""
    made = copy.deepcopy(fitted(name))
    assert isinstance(made, Recommender)
    return made


@pytest.fixture
def histories(model: Recommender, dataset: Dataset) -> list[list[int]]:
    return odd_and_usual_histories(dataset, model.scoring.max_history)


@pytest.fixture
def training(model: Recommender, dataset: Dataset) -> Batch:
    """One training batch, with histories of length 1, of one repeated item and of the longest length in it."""
    L = model.scoring.max_history
    drawn = TrainingBatches(dataset.train, 40, L, 1, np.random.default_rng(0)).next()
    history = torch.nn.functional.pad(drawn.history, (0, L - drawn.history.shape[1]))
    history[0], history[1], history[2] = 0, 4, torch.arange(1, L + 1)
    history[0, 0] = 9
    return Batch.of(history, drawn.targets)


def losses(model: Recommender, batch: Batch) -> dict[str, torch.Tensor]:
    """The loss terms, with the same negatives and the same dropout at every call."""
    torch.manual_seed(3)
    return model.losses(batch, torch.Generator().manual_seed(3))


def gradients(model: Recommender, batch: Batch) -> dict[str, torch.Tensor]:
    model.zero_grad()
    torch.stack(list(losses(model, batch).values())).sum().backward()
    return {name: p.grad.to_dense() for name, p in model.named_parameters() if p.grad is not None}


@every_trained_method
def test_every_user_has_a_live_interest_and_finite_ones(model: Recommender, histories: list[list[int]]) -> None:
    found = model.interests(pad(histories))
    assert (found.n_live >= 1).all()
    assert torch.isfinite(found.vectors[found.mask]).all()
    assert torch.isfinite(found.log_weight[found.mask]).all()


@every_trained_method
def test_a_behaviour_is_shared_out_whole_or_not_at_all(model: Recommender, histories: list[list[int]]) -> None:
    batch = pad(histories)
    found = model.interests(batch)
    assert found.assignment.shape == (*batch.history.shape, found.mask.shape[1])
    assert (found.assignment >= 0).all()
    shares = found.assignment.sum(-1)
    whole = torch.isclose(shares, torch.ones(()), atol=1e-5)
    assert (whole | (shares == 0)).all()
    assert (shares[~batch.history_mask] == 0).all(), "padding belongs to no interest"
    of_dead = found.assignment.masked_select(~found.mask[:, None, :])
    assert (of_dead == 0).all(), "a dead slot holds no behaviour"
    read = batch.history_mask.sum(1, keepdim=True) - torch.arange(batch.history.shape[1]) <= model.scoring.max_history
    assert (shares[~read] == 0).all(), "what is not read belongs to no interest"


@every_trained_method
def test_a_users_interests_keep_their_bits_in_any_company(model: Recommender, histories: list[list[int]]) -> None:
    together = model.interests(pad(histories))
    for user, history in enumerate(histories):
        alone = model.interests(pad([history]))
        assert torch.equal(alone.vectors[0][alone.mask[0]], together.vectors[user][together.mask[user]])
        assert torch.equal(alone.log_weight[0][alone.mask[0]], together.log_weight[user][together.mask[user]])


@every_trained_method
def test_garbage_in_dead_slots_changes_no_ranking_and_no_diagnostic(
    model: Recommender, histories: list[list[int]]
) -> None:
    batch = pad(histories)
    clean, clean_ranking = model.interests(batch), model.rank(batch, 20)
    model.extractor = Disturbed(model.extractor)
    assert_same(model.rank(batch, 20), clean_ranking)
    disturbed = model.interests(batch)
    of_dead = garbage(disturbed.mask.shape[1])[:, None]
    found = diagnose(replace(disturbed, vectors=torch.where(disturbed.mask[..., None], disturbed.vectors, of_dead)))
    for diagnostic, values in diagnose(clean).items():
        np.testing.assert_allclose(found[diagnostic], values, rtol=1e-6, err_msg=diagnostic)


@every_trained_method
@pytest.mark.parametrize("readout", get_args(Readout))
@pytest.mark.parametrize("kind", ["sampled_softmax", "full_softmax"])
def test_garbage_in_dead_slots_changes_no_loss_and_no_gradient(
    model: Recommender, training: Batch, readout: str, kind: str
) -> None:
    model.train()
    model.scoring = replace(model.scoring, readout=readout)  # type: ignore[arg-type]
    hardness = 0.0 if kind == "full_softmax" else model.loss.hardness
    model.loss = replace(model.loss, kind=kind, hardness=hardness)  # type: ignore[arg-type]
    clean, clean_gradients = losses(model, training), gradients(model, training)
    inner = model.extractor
    model.extractor = Disturbed(inner)
    for term, value in losses(model, training).items():
        torch.testing.assert_close(value, clean[term], rtol=1e-5, atol=1e-6)
    disturbed = {name.replace("extractor.inner.", "extractor."): g for name, g in gradients(model, training).items()}
    assert disturbed.keys() == clean_gradients.keys()
    for name, gradient in clean_gradients.items():
        torch.testing.assert_close(disturbed[name], gradient, rtol=1e-4, atol=1e-5)


@every_trained_method
def test_the_order_of_interests_changes_no_bit_of_a_ranking(model: Recommender, histories: list[list[int]]) -> None:
    found = model.interests(pad(histories))
    order = torch.arange(found.mask.shape[1] - 1, -1, -1)
    turned = Interests(
        found.vectors[:, order], found.mask[:, order], found.log_weight[:, order], found.assignment[..., order]
    )
    assert_same(model.rank_interests(turned, 30), model.rank_interests(found, 30))


@every_trained_method
def test_padding_changes_no_loss(model: Recommender, training: Batch) -> None:
    model.train()
    filler = torch.randint(1, 50, training.history.shape, generator=torch.Generator().manual_seed(0))
    filled = replace(training, history=torch.where(training.history_mask, training.history, filler))
    wider = Batch.of(torch.nn.functional.pad(training.history, (0, 5)), training.targets)
    for term, value in losses(model, training).items():
        assert torch.equal(losses(model, filled)[term], value)
        torch.testing.assert_close(losses(model, wider)[term], value, rtol=1e-5, atol=1e-6)


@every_trained_method
def test_an_extractor_reads_no_padding(model: Recommender, training: Batch) -> None:
    history = torch.randn(*training.history.shape, model.scoring.width, generator=torch.Generator().manual_seed(0))
    rubbish = torch.where(training.history_mask[..., None], history, 1e6)
    with torch.no_grad():
        one, other = (model.extractor(vectors, training.history_mask) for vectors in (history, rubbish))
    assert torch.equal(one.mask, other.mask)
    torch.testing.assert_close(one.vectors[one.mask], other.vectors[one.mask], rtol=1e-4, atol=1e-5)


@every_trained_method
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_gradients_are_finite_and_reach_every_trained_parameter(
    model: Recommender, training: Batch, similarity: str
) -> None:
    model.train()
    model.scoring = replace(model.scoring, similarity=similarity)  # type: ignore[arg-type]
    found = gradients(model, training)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert name in found, f"no gradient reaches {name}"
            assert torch.isfinite(found[name]).all(), name
            assert found[name].abs().max() > 1e-7, f"the gradient of {name} is nothing but rounding"


@every_trained_method
def test_penalties_are_scalars_in_training_and_absent_in_evaluation(
    model: Recommender, training: Batch, histories: list[list[int]]
) -> None:
    assert not model.interests(pad(histories)).penalties
    model.train()
    for term in losses(model, training).values():
        assert term.shape == ()
