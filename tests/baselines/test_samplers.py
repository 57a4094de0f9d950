"""Proposals draw what they say they draw."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from scipy import stats

from baselines.errors import BadInput
from baselines.samplers import (
    PROPOSALS,
    LogUniformProposal,
    PopularityProposal,
    Proposal,
    UniformProposal,
    make_proposal,
)
from baselines.sequences import Sequences

TRAIN = Sequences(np.array([1, 1, 1, 1, 2, 2, 3, 1, 5, 2], np.int32), np.array([0, 6, 10]), 6)
every_proposal = pytest.mark.parametrize("proposal", [make_proposal(name, TRAIN) for name in PROPOSALS])


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@every_proposal
def test_frequencies_match_the_stated_probabilities(proposal: Proposal) -> None:
    n = 200_000
    drawn = np.bincount(proposal.sample(n, generator(0)).numpy(), minlength=proposal.n_items + 1)
    expected = n * proposal.log_q(torch.arange(1, proposal.n_items + 1)).double().exp().numpy()
    assert drawn[0] == 0
    assert stats.chisquare(drawn[1:], expected * n / expected.sum()).pvalue > 1e-4


@every_proposal
def test_probabilities_sum_to_one_and_padding_has_none(proposal: Proposal) -> None:
    q = proposal.log_q(torch.arange(proposal.n_items + 1)).double().exp()
    assert q[0] == 0
    assert float(q.sum()) == pytest.approx(1.0, abs=1e-6)


@every_proposal
def test_the_generator_decides_the_draw(proposal: Proposal) -> None:
    first, again, other = (proposal.sample(50, generator(seed)) for seed in (3, 3, 4))
    assert first.dtype == torch.int64
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@every_proposal
def test_tables_move_with_the_module_and_are_not_saved(proposal: Proposal) -> None:
    assert not proposal.state_dict()
    assert {name for name, _ in proposal.named_buffers()} == {"cumulative", "log_probability"}


def test_log_uniform_is_tensorflows() -> None:
    """log_uniform_candidate_sampler: P(class) = (log(class + 2) - log(class + 1)) / log(range_max + 1)."""
    q = LogUniformProposal(1000).log_q(torch.tensor([1, 2, 1000])).double().exp()
    expected = [(math.log(c + 2) - math.log(c + 1)) / math.log(1001) for c in (0, 1, 999)]
    np.testing.assert_allclose(q, expected, rtol=1e-6)


def test_uniform_is_uniform() -> None:
    np.testing.assert_allclose(UniformProposal(8).log_q(torch.arange(1, 9)), -math.log(8), rtol=1e-6)


def test_popularity_is_smoothed_and_tempered() -> None:
    counts = np.array([99, 3, 0, 7])
    q = PopularityProposal(counts, power=0.5, smoothing=1.0).log_q(torch.tensor([1, 2, 3])).exp()
    weight = np.sqrt([4.0, 1.0, 8.0])
    np.testing.assert_allclose(q, weight / weight.sum(), rtol=1e-6)
    flat = PopularityProposal(counts, power=0.0).log_q(torch.tensor([1, 2, 3]))
    np.testing.assert_allclose(flat, -math.log(3), rtol=1e-6)


def test_rare_items_of_a_large_catalogue_are_drawn() -> None:
    """In single precision the cumulative sum of a million items would skip or favour some."""
    proposal = PopularityProposal(np.concatenate([[0, 10**9], np.zeros(10**6, np.int64)]))
    drawn = proposal.sample(2_000_000, generator(0))
    rare = int((drawn > 1).sum())
    assert stats.binomtest(rare, 2_000_000, 10**6 / (10**9 + 1 + 10**6)).pvalue > 1e-4
    assert max(Counter(drawn[drawn > 1].tolist()).values()) <= 3


def test_an_item_that_could_never_be_drawn_is_bad_input() -> None:
    with pytest.raises(BadInput, match=r"item 2 has 0\.0"):
        PopularityProposal(np.array([0, 3, 0, 7]), smoothing=0.0)


def test_an_unknown_proposal_names_the_nearest() -> None:
    with pytest.raises(BadInput, match="did you mean 'log_uniform'"):
        make_proposal("loguniform", TRAIN)
