"""The recommender around an extractor: scores, losses and rankings against slow twins."""

from __future__ import annotations

import dataclasses
import math
from typing import get_args

import numpy as np
import pytest
import torch
from ragged import batch
from torch import Tensor
from torch.nn import functional as F

from baselines.aggregation import read_out
from baselines.batch import Batch
from baselines.config import Aggregation, LossConfig, Readout, ScoringConfig, Similarity
from baselines.extractors.comirec import ComiRecSA
from baselines.interests import Interests
from baselines.recommender import Recommender
from baselines.samplers import UniformProposal

N, D = 40, 8
HISTORIES = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10, 11, 12, 13], [14, 14]]


def make(loss: LossConfig | None = None, **scoring: object) -> Recommender:
    torch.manual_seed(0)
    config = ScoringConfig(width=D, max_history=6, **scoring)  # type: ignore[arg-type]
    model = Recommender(N, ComiRecSA(D, 6, n_interests=3), config, loss or LossConfig(), UniformProposal(N))
    with torch.no_grad():
        model.table.weight[0] = math.nan  # padding is never read
    return model.eval()


@pytest.mark.parametrize("handicap", [None, torch.arange(N + 1) / N])
@pytest.mark.parametrize("similarity", get_args(Similarity))
@pytest.mark.parametrize("aggregation", get_args(Aggregation))
def test_a_ranking_is_what_sorting_the_scores_of_interests_gives(
    similarity: Similarity, aggregation: Aggregation, handicap: Tensor | None
) -> None:
    model = make(similarity=similarity, aggregation=aggregation, temperature=0.3)
    model.handicap = handicap
    found = model.interests(batch(HISTORIES))
    items = model.item_vectors().detach().double().numpy()
    ranking = model.rank(batch(HISTORIES), N)
    for b in range(len(HISTORIES)):
        matches = found.vectors[b].double().numpy() @ items.T + found.log_weight[b, :, None].double().numpy()
        shares = np.exp(matches) / np.exp(matches).sum(0)  # [K, N]: over interests
        scores = {
            "best_interest": matches.max(0),
            "soft_interests": np.log(np.exp(matches).sum(0)),
            "mean_interests": matches.mean(0),
            "attentive_interests": (shares * matches).sum(0),
        }[aggregation]
        scores = scores if handicap is None else scores - handicap.double().numpy()
        order = sorted(range(1, N + 1), key=lambda i: -scores[i])
        assert ranking.items[b].tolist() == order
        np.testing.assert_allclose(ranking.scores[b], scores[order], rtol=1e-5, atol=1e-6)


def test_under_cosine_an_interest_is_as_long_as_the_inverse_temperature() -> None:
    model = make(similarity="cosine", temperature=0.25)
    lengths = model.interests(batch(HISTORIES)).vectors.norm(dim=-1)
    torch.testing.assert_close(lengths, torch.full_like(lengths, 4.0))
    torch.testing.assert_close(model.item_vectors()[1:].norm(dim=-1), torch.ones(N))


def test_the_dot_product_is_only_divided_by_the_temperature() -> None:
    warm, cold = make(similarity="dot", temperature=1.0), make(similarity="dot", temperature=0.5)
    one, two = (model.interests(batch(HISTORIES)).vectors for model in (warm, cold))
    torch.testing.assert_close(two, 2 * one)
    assert torch.equal(warm.item_vectors(torch.tensor([3])), warm.table.weight[[3]])


def test_the_assignment_of_a_long_history_stands_at_the_behaviours_that_were_read() -> None:
    model = make()
    together = model.interests(batch(HISTORIES)).assignment  # [4, 9, 3]
    latest = model.interests(batch([HISTORIES[2][-6:]])).assignment
    assert torch.equal(together[2, 3:], latest[0])
    assert not together[2, :3].any()
    assert together.sum(-1).tolist() == [[1] * 3 + [0] * 6, [1] + [0] * 8, [0] * 3 + [1] * 6, [1] * 2 + [0] * 7]


@pytest.mark.parametrize("n_users", [1, 255, 256, 257])
def test_a_user_has_the_same_bits_in_blocks_of_any_number(n_users: int) -> None:
    model = make()
    crowd = [HISTORIES[i % 4] for i in range(n_users)]
    found, alone = model.interests(batch(crowd)), model.interests(batch(HISTORIES[:1]))
    assert len(found.vectors) == n_users
    assert torch.equal(found.vectors[::4], alone.vectors.expand(len(found.vectors[::4]), -1, -1))


def training_batch() -> Batch:
    return Batch.of(batch([[1, 2, 3], [4], [5, 6]]).history, torch.tensor([[9], [8], [7]]))


@pytest.mark.parametrize("readout", get_args(Readout))
def test_the_full_loss_is_the_cross_entropy_of_what_is_read_out_of_all_items(readout: Readout) -> None:
    model = make(LossConfig(kind="full_softmax"), readout=readout).train()
    with torch.no_grad():
        model.table.weight[0] = 0
    batch, weight = training_batch(), model.table.weight
    target, table = batch.targets[:, 0], model.item_vectors()
    interests = model.extract(table[batch.history[batch.history_mask]], batch.history_mask)
    _, scores = read_out(interests, table[target], table, readout, model.scoring.power)
    plain = F.cross_entropy(scores[:, 1:], target - 1)
    loss = model.losses(batch, torch.Generator())["softmax"]
    torch.testing.assert_close(loss, plain)
    gradients = [torch.autograd.grad(value, weight)[0] for value in (loss, plain)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)
    assert not gradients[0][0].any(), "padding learns nothing"


def test_the_loss_by_hand() -> None:
    """One interest equal to the history's only item: a softmax over N items of the cosine by temperature."""
    model = make(LossConfig(kind="full_softmax"), temperature=0.5).train()
    with torch.no_grad():
        model.table.weight[0] = 0
    one = Batch.of(torch.tensor([[4]]), torch.tensor([[8]]))
    items = torch.nn.functional.normalize(model.table.weight[1:].detach().double(), dim=-1)
    scores = 2 * items @ items[3] + math.log(3)  # soft readout: three equal interests
    expected = scores.logsumexp(0) - scores[7]
    assert float(model.losses(one, torch.Generator())["softmax"].detach()) == pytest.approx(float(expected), rel=1e-5)


def test_the_temperature_learns_only_where_it_is_told_to() -> None:
    for learn in (False, True):
        model = make(learn_temperature=learn).train()
        with torch.no_grad():
            model.table.weight[0] = 0
        model.losses(training_batch(), torch.Generator().manual_seed(0))["softmax"].backward()
        assert (model.log_temperature.grad is not None) == learn
        assert float(model.log_temperature.detach().exp()) == pytest.approx(0.07)


def test_penalties_travel_beside_the_softmax_term(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make().train()
    with torch.no_grad():
        model.table.weight[0] = 0
    plain = model.extractor.forward

    def with_penalty(history: torch.Tensor, history_mask: torch.Tensor) -> Interests:
        return dataclasses.replace(plain(history, history_mask), penalties={"cosine": torch.tensor(3.5)})

    monkeypatch.setattr(model.extractor, "forward", with_penalty)
    terms = model.losses(training_batch(), torch.Generator().manual_seed(0))
    assert terms.keys() == {"softmax", "cosine"}
    assert float(terms["cosine"]) == 3.5


def test_a_batch_is_brought_to_where_the_model_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    model, plain, asked = make(repeats="learned"), Batch.to, list[torch.device | str]()

    def to(self: Batch, device: torch.device | str) -> Batch:
        asked.append(device)
        return plain(self, device)

    monkeypatch.setattr(Batch, "to", to)
    model.interests(batch(HISTORIES))
    assert asked == [model.device]
    model.rank(batch(HISTORIES), 5)
    assert asked == [model.device] * 3  # for the interests, and for the items with a bonus


def test_both_verbs_at_once_say_the_same() -> None:
    model = make()
    answer = model.answer(batch(HISTORIES), 7)
    ranking, interests = model.rank(batch(HISTORIES), 7), model.interests(batch(HISTORIES))
    np.testing.assert_array_equal(answer.ranking.items, ranking.items)
    np.testing.assert_array_equal(answer.ranking.scores, ranking.scores)
    assert answer.interests is not None
    assert torch.equal(answer.interests.vectors, interests.vectors)
