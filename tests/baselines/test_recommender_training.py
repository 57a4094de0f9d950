"""What a recommender does in training alone: dropout, regularizers, merged interests, targets at every position."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
import torch
from ragged import batch
from torch import Tensor, nn

from baselines.batch import Batch
from baselines.config import LossConfig, Representation, ScoringConfig
from baselines.errors import BadInput
from baselines.extractors.comirec import ComiRecSA
from baselines.extractors.gru4rec import GRU4Rec
from baselines.extractors.sasrec import SASRec
from baselines.interests import InterestExtractor, Interests
from baselines.recommender import Recommender
from baselines.regularization import REGULARIZERS
from baselines.samplers import UniformProposal

N, D, L = 30, 8, 6
HISTORIES = [[1, 2, 3], [4], [5, 6, 7, 8]]


def make(extractor: InterestExtractor, loss: LossConfig | None = None, **scoring: object) -> Recommender:
    config = ScoringConfig(width=D, max_history=L, **scoring)  # type: ignore[arg-type]
    return Recommender(N, extractor, config, loss or LossConfig(n_negatives=20), UniformProposal(N)).train()


def attentive() -> ComiRecSA:
    torch.manual_seed(0)
    return ComiRecSA(D, L, n_interests=3)


def one_target() -> Batch:
    return Batch.of(batch(HISTORIES).history, torch.tensor([[9], [8], [7]]))


def terms(model: Recommender, examples: Batch) -> dict[str, Tensor]:
    return model.losses(examples, torch.Generator().manual_seed(0))


def test_dropout_changes_training_and_nothing_else() -> None:
    plain, dropped = make(attentive(), dropout=0.0), make(attentive(), dropout=0.6)
    dropped.load_state_dict(plain.state_dict())
    one = terms(plain, one_target())["softmax"]
    assert float(terms(dropped, one_target())["softmax"].detach()) != pytest.approx(float(one.detach()), rel=1e-3)
    for model in (plain, dropped):
        model.eval()
    torch.testing.assert_close(
        plain.interests(batch(HISTORIES)).vectors, dropped.interests(batch(HISTORIES)).vectors, rtol=0, atol=0
    )


def test_dropout_keeps_what_the_extractor_reads_the_same_on_average() -> None:
    model = make(attentive(), dropout=0.5)
    examples = batch(HISTORIES)
    vectors = model.item_vectors(examples.history[examples.history_mask])
    read = torch.stack([model._read(vectors, examples.history_mask) for _ in range(4000)])
    model.eval()
    torch.testing.assert_close(read.mean(0), model._read(vectors, examples.history_mask), rtol=0, atol=0.15)
    assert (read[:, 0, :3] == 0).float().mean().item() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("name", sorted(REGULARIZERS))
def test_a_regularizer_is_a_term_where_the_weights_name_it(name: str) -> None:
    model = make(attentive(), LossConfig(n_negatives=20, weights={name: 0.5, "softmax": 1.0}))
    found = terms(model, one_target())
    assert found.keys() == {"softmax", name}
    found[name].backward()
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in model.extractor.parameters())
    assert not model.eval().interests(batch(HISTORIES)).penalties
    assert terms(make(attentive()), one_target()).keys() == {"softmax"}


@pytest.mark.parametrize("kind", ["concat_mlp", "base_attention"])
def test_merged_interests_are_one_live_interest_that_training_reaches(kind: str) -> None:
    model = make(attentive(), representation=kind)
    terms(model, one_target())["softmax"].backward()
    assert model.representation is not None
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.representation.parameters())
    found = model.eval().interests(batch(HISTORIES))
    assert found.vectors.shape == (3, 1, D)
    assert found.mask.all()
    assert found.assignment.sum(-1).tolist() == batch(HISTORIES).history_mask.float().tolist()


class Longer(InterestExtractor):
    """An extractor whose interests are as many times longer."""

    def __init__(self, inner: InterestExtractor, times: float) -> None:
        super().__init__()
        self.inner, self.times = inner, times

    def forward(self, history: Tensor, history_mask: Tensor) -> Interests:
        found: Interests = self.inner(history, history_mask)
        return replace(found, vectors=found.vectors * self.times)


@pytest.mark.parametrize("kind", get_args(Representation))
@pytest.mark.parametrize("times", [0.1, 30.0])
def test_under_cosine_the_length_that_a_method_gives_its_interests_decides_nothing(kind: str, times: float) -> None:
    model = make(attentive(), representation=kind, similarity="cosine")
    if model.representation is not None:
        for parameter in model.representation.parameters():
            nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(1))
    expected = terms(model, one_target())["softmax"]
    model.extractor = Longer(model.extractor, times)
    torch.testing.assert_close(terms(model, one_target())["softmax"], expected)


@pytest.mark.parametrize("kind", ["sampled_softmax", "full_softmax"])
@pytest.mark.parametrize("encoder", [SASRec, GRU4Rec])
def test_the_loss_at_every_position_is_the_mean_of_the_losses_at_each(
    encoder: type[SASRec | GRU4Rec], kind: str
) -> None:
    torch.manual_seed(0)
    loss = LossConfig(kind=kind, n_negatives=20)  # type: ignore[arg-type]
    model = make(encoder(D, L, dropout=0.0), loss)
    long = [[1, 2, 3, 4, 5], [6, 7], [8, 9, 10]]
    apart = [(user[:n], user[n]) for user in long for n in range(1, len(user))]
    windows, following = batch([user[:-1] for user in long]), batch([user[1:] for user in long])
    every = Batch(windows.history, windows.history_mask, following.history, following.history_mask, windows.user)
    one = Batch.of(batch([history for history, _ in apart]).history, torch.tensor([[target] for _, target in apart]))
    torch.testing.assert_close(terms(model, every)["softmax"], terms(model, one)["softmax"], rtol=1e-5, atol=1e-6)


def test_a_method_that_reads_no_prefixes_refuses_targets_at_every_position() -> None:
    windows = batch(HISTORIES)
    every = Batch(windows.history, windows.history_mask, windows.history, windows.history_mask, windows.user)
    with pytest.raises(BadInput, match=r"positions=every needs .* \(gru4rec, sasrec\).* got ComiRecSA"):
        terms(make(attentive()), every)


def test_a_regularizer_is_named_at_every_position_too_and_is_0_of_one_interest() -> None:
    windows = batch(HISTORIES)
    every = Batch(windows.history, windows.history_mask, windows.history, windows.history_mask, windows.user)
    model = make(GRU4Rec(D, L), LossConfig(n_negatives=20, weights={"cosine": 1.0}))
    for examples in (every, one_target()):
        assert float(terms(model, examples)["cosine"].detach()) == 0
