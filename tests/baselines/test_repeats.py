"""Items of the history score by a learned bonus: in every loss, at every position, and in the ranking."""

from __future__ import annotations

import dataclasses
from typing import get_args

import numpy as np
import pytest
import torch
from ragged import batch

from baselines.batch import Batch
from baselines.config import Aggregation, LossConfig, Readout, ScoringConfig
from baselines.extractors.comirec import ComiRecSA
from baselines.extractors.gru4rec import GRU4Rec
from baselines.recommender import Recommender
from baselines.repeats import NEVER, RepeatBonus
from baselines.samplers import UniformProposal

N, D, L = 30, 8, 6
HISTORIES = [[1, 2, 3], [4], [5, 6, 5, 8, 9, 10], [14, 14], [7, 8, 7, 7]]
TARGETS = [2, 11, 5, 14, 9]


class Everything(UniformProposal):
    """Draws each item once, for certain: the sampled loss is then the full one."""

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        del generator
        return torch.arange(1, n + 1)


def make(extractor: type = ComiRecSA, kind: str = "full_softmax", **scoring: object) -> Recommender:
    torch.manual_seed(0)
    config = ScoringConfig(width=D, max_history=L, repeats="learned", **scoring)  # type: ignore[arg-type]
    loss = LossConfig(kind=kind, n_negatives=N)  # type: ignore[arg-type]
    model = Recommender(N, extractor(D, L), config, loss, Everything(N))
    with torch.no_grad():
        assert model.repeats is not None
        model.repeats.by_recency.copy_(0.1 * torch.randn(L))
        model.repeats.by_count.fill_(0.05)
    return model


def training_batch(positions: int = 1) -> Batch:
    histories = batch(HISTORIES)
    if positions == 1:
        return Batch.of(histories.history, torch.tensor(TARGETS)[:, None])
    following = torch.cat([histories.history[:, 1:], torch.zeros(len(HISTORIES), 1, dtype=torch.int64)], 1)
    return Batch.of(histories.history, following)


def test_an_item_counts_once_at_the_place_of_its_latest_occurrence() -> None:
    bonus = RepeatBonus(4)
    with torch.no_grad():
        bonus.by_recency.copy_(torch.tensor([0.4, 0.3, 0.2, 0.1]))
        bonus.by_count.fill_(0.01)
    own = bonus(torch.tensor([[7, 8, 7, 9], [5, 5, 3, 3]]), torch.tensor([[True] * 4, [True, True, False, False]]))
    assert own.ids.tolist() == [[0, 8, 7, 9], [0, 5, 0, 0]]
    twice = 0.1 * np.log(2)
    expected = [[NEVER, 2.0, 3.0 + twice, 4.0], [NEVER, 4.0 + twice, NEVER, NEVER]]
    torch.testing.assert_close(own.bonus, torch.tensor(expected, dtype=torch.float32))


@pytest.mark.parametrize("aggregation", get_args(Aggregation))
def test_a_ranking_is_what_sorting_the_raised_scores_gives(aggregation: Aggregation) -> None:
    model = make(aggregation=aggregation, temperature=0.3).eval()
    plain = make(aggregation=aggregation, temperature=0.3).eval()
    plain.repeats = None
    assert model.repeats is not None
    own = model.repeats(batch(HISTORIES).history, batch(HISTORIES).history_mask)
    ranking, usual = model.rank(batch(HISTORIES), N), plain.rank(batch(HISTORIES), N)
    assert (ranking.items != usual.items).any()
    for b in range(len(HISTORIES)):
        score = dict(zip(usual.items[b].tolist(), usual.scores[b].tolist(), strict=True))
        for item, bonus in zip(own.ids[b].tolist(), own.bonus[b].tolist(), strict=True):
            if item:
                score[item] += bonus
        order = sorted(score, key=lambda item: -score[item])
        assert ranking.items[b].tolist() == order
        np.testing.assert_allclose(ranking.scores[b], [score[item] for item in order], rtol=1e-5)
        shorter = model.rank(batch(HISTORIES), 4)
        assert shorter.items[b].tolist() == order[:4]


def test_of_a_long_history_only_what_is_read_is_raised() -> None:
    model = make().eval()
    long = [[20, 21, 22, *HISTORIES[2]]]
    one, other = model.rank(batch(long), N), model.rank(batch([HISTORIES[2]]), N)
    np.testing.assert_array_equal(one.items, other.items)


@pytest.mark.parametrize("readout", get_args(Readout))
@pytest.mark.parametrize("hardness", [0.0, 1e-9])  # the second goes by the plain loss
def test_against_all_items_the_sampled_loss_is_the_full_one(readout: Readout, hardness: float) -> None:
    """A negative that is the history's own, or the target, is left out; each is there once, as itself."""
    full, sampled = make(readout=readout), make(readout=readout, kind="sampled_softmax")
    sampled.loss = dataclasses.replace(sampled.loss, hardness=hardness)
    found = []
    for model in (full, sampled):
        loss = model.losses(training_batch(), torch.Generator())["softmax"]
        loss.backward()  # type: ignore[no-untyped-call]
        assert model.repeats is not None
        found.append((loss.detach(), model.repeats.by_recency.grad, model.repeats.by_count.grad))
        assert model.repeats.by_recency.grad.abs().sum() > 0
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["full_softmax", "sampled_softmax"])
def test_at_every_position_a_prefix_is_a_history(kind: str) -> None:
    """The loss of all prefixes is the mean of the losses of histories that end where they do."""
    model = make(GRU4Rec, kind).eval()
    whole = training_batch(positions=L)
    together = model.losses(whole, torch.Generator())["softmax"]
    apart = []
    for history, row in zip(HISTORIES, whole.targets, strict=True):
        for n in range(1, len(history)):
            alone = Batch.of(torch.tensor([history[:n]]), row[None, n - 1 : n])
            apart.append(model.losses(alone, torch.Generator())["softmax"])
    torch.testing.assert_close(together, torch.stack(apart).mean(), rtol=1e-4, atol=1e-5)


def test_what_is_learnt_says_whether_items_come_again() -> None:
    """Users who repeat their last item teach a bonus, users who never repeat one a malus."""
    for repeats in (True, False):
        torch.manual_seed(0)
        config = ScoringConfig(width=D, max_history=L, repeats="learned", temperature=1.0)
        model = Recommender(N, GRU4Rec(D, L), config, LossConfig(n_negatives=20), UniformProposal(N))
        optimiser = torch.optim.Adam(model.parameters(), 0.01)
        of, bonus = torch.Generator().manual_seed(1), model.repeats
        assert bonus is not None
        for _ in range(30):
            histories = torch.stack([torch.randperm(N, generator=of)[: L + 1] + 1 for _ in range(32)])
            targets = histories[:, L - 1 : L] if repeats else histories[:, L:]
            optimiser.zero_grad()
            model.losses(Batch.of(histories[:, :L], targets), of)["softmax"].backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        latest = float(bonus(torch.tensor([[1, 2]]), torch.ones(1, 2, dtype=torch.bool)).bonus[0, 1].detach())
        assert latest > 1 if repeats else latest < -1
