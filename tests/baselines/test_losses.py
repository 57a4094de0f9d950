"""Softmax losses: worked examples, and the limits that their docstrings claim."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.losses import full_softmax, sampled_softmax
from baselines.samplers import LogUniformProposal, PopularityProposal, Proposal, UniformProposal

N = 12
PROPOSALS = {
    "uniform": UniformProposal(N),
    "log_uniform": LogUniformProposal(N),
    "popularity": PopularityProposal(np.concatenate([[0], 40 // np.arange(1, N + 1)])),
}
every_proposal = pytest.mark.parametrize("proposal", PROPOSALS.values(), ids=list(PROPOSALS))


def random_scores(B: int = 3) -> tuple[Tensor, Tensor]:
    """Return scores [B, N + 1] that need a gradient, and targets [B]."""
    generator = torch.Generator().manual_seed(5)
    scores = torch.randn(B, N + 1, generator=generator, dtype=torch.float64)
    return scores.requires_grad_(), torch.arange(1, 1 + 4 * B, 4)


def gradient(loss: Tensor, scores: Tensor) -> Tensor:
    (grad,) = torch.autograd.grad(loss, scores)
    return grad


def sampled(
    scores: Tensor, target: Tensor, negatives: Tensor, proposal: Proposal | None, *,
    correct_target: bool = True, remove_accidental_hits: bool = True,
) -> Tensor:  # fmt: skip
    """Apply `sampled_softmax` to the columns of full scores; no proposal = no correction."""
    return sampled_softmax(
        scores.gather(1, target[:, None])[:, 0],
        scores[:, negatives],
        target,
        negatives,
        log_q_target=proposal.log_q(target).double() if proposal and correct_target else None,
        log_q_negatives=proposal.log_q(negatives).double() if proposal else None,
        remove_accidental_hits=remove_accidental_hits,
    )


def test_full_softmax_by_hand_ignores_padding() -> None:
    scores = torch.tensor([[100.0, 0.0, math.log(2.0), math.log(5.0)]])  # weights 1, 2, 5 of items 1, 2, 3
    assert float(full_softmax(scores, torch.tensor([3]))) == pytest.approx(-math.log(5 / 8))


def test_sampled_softmax_by_hand() -> None:
    """Target 3 (weight 5), negatives 1 (weight 1, q = 1/4), 1 again, and 3, a hit; q(3) = 1/2."""
    scores = torch.tensor([[0.0, math.log(2.0), math.log(5.0)]])
    negatives, target = torch.tensor([1, 1, 3]), torch.tensor([3])
    arguments = (scores[:, 2], scores[:, negatives - 1], target, negatives)
    log_q_target, log_q_negatives = torch.tensor([0.5]).log(), torch.tensor([0.25, 0.25, 0.5]).log()
    both = {"log_q_target": log_q_target, "log_q_negatives": log_q_negatives}
    loss = {
        "none": sampled_softmax(*arguments),
        "none, hits kept": sampled_softmax(*arguments, remove_accidental_hits=False),
        "both": sampled_softmax(*arguments, **both),
        "both, hits kept": sampled_softmax(*arguments, **both, remove_accidental_hits=False),
        "negatives": sampled_softmax(*arguments, log_q_negatives=log_q_negatives),
    }
    share = {
        "none": 5 / (5 + 1 + 1),
        "none, hits kept": 5 / (5 + 1 + 1 + 5),
        "both": 10 / (10 + 4 + 4),
        "both, hits kept": 10 / (10 + 4 + 4 + 10),
        "negatives": 5 / (5 + 4 / 3 + 4 / 3),  # expected counts among 3 draws: 3/4 each
    }
    for form, value in loss.items():
        assert float(value) == pytest.approx(-math.log(share[form]), rel=1e-6), form


@pytest.mark.parametrize("proposal", [None, PROPOSALS["uniform"]], ids=["uncorrected", "uniform"])
@pytest.mark.parametrize("correct_target", [True, False])
def test_each_item_once_under_a_uniform_proposal_is_the_full_softmax(
    proposal: Proposal | None, correct_target: bool
) -> None:
    scores, target = random_scores()
    full = full_softmax(scores, target)
    once = sampled(scores, target, torch.randperm(N) + 1, proposal, correct_target=correct_target)
    torch.testing.assert_close(once, full, atol=1e-6, rtol=0)
    torch.testing.assert_close(gradient(once, scores), gradient(full, scores), atol=1e-6, rtol=0)


@every_proposal
@pytest.mark.parametrize(
    ("correct_target", "remove_accidental_hits"),
    [(False, True), (True, False)],
    ids=["negatives only", "both, hits kept"],
)
def test_the_corrected_gradient_tends_to_that_of_the_full_softmax(
    proposal: Proposal, correct_target: bool, remove_accidental_hits: bool
) -> None:
    scores, target = random_scores()
    full = gradient(full_softmax(scores, target), scores)
    errors = []
    for S in (100, 1_000_000):
        negatives = proposal.sample(S, torch.Generator().manual_seed(0))
        loss = sampled(scores, target, negatives, proposal, correct_target=correct_target,
                       remove_accidental_hits=remove_accidental_hits)  # fmt: skip
        errors.append(float((gradient(loss, scores) - full).abs().max()))
    assert errors[1] < 1e-3
    assert errors[1] < errors[0] / 10


def test_uncorrected_popular_negatives_do_not_tend_to_the_full_softmax() -> None:
    scores, target = random_scores()
    full = gradient(full_softmax(scores, target), scores)
    negatives = PROPOSALS["popularity"].sample(1_000_000, torch.Generator().manual_seed(0))
    uncorrected = gradient(sampled(scores, target, negatives, None, remove_accidental_hits=False), scores)
    assert float((uncorrected - full).abs().max()) > 0.02


@every_proposal
def test_both_corrected_with_hits_removed_tends_to_a_partition_without_the_target(proposal: Proposal) -> None:
    scores, target = random_scores()
    others = scores.detach()[:, 1:].scatter(1, target[:, None] - 1, -torch.inf)
    limit = others.softmax(1)
    limit = limit.scatter(1, target[:, None] - 1, -1.0) / len(target)
    negatives = proposal.sample(1_000_000, torch.Generator().manual_seed(0))
    loss = sampled(scores, target, negatives, proposal)
    torch.testing.assert_close(gradient(loss, scores)[:, 1:], limit, atol=1e-3, rtol=0)


@every_proposal
def test_correcting_the_negatives_alone_estimates_the_partition_without_bias_at_small_s(proposal: Proposal) -> None:
    scores, target = (tensor[:1].detach() for tensor in random_scores())
    S, repeats = 5, 40_000
    negatives = proposal.sample(S * repeats, torch.Generator().manual_seed(1)).view(repeats, S)
    target_score = scores[0, target].expand(repeats)
    loss = sampled_softmax(
        target_score, scores[0, negatives], target.expand(repeats), negatives,
        log_q_negatives=proposal.log_q(negatives).double(), reduction="none",
    )  # fmt: skip
    partition = (loss + target_score).exp()  # loss = -s_t + log Z
    exact = scores[0, 1:].exp().sum()
    assert abs(float(partition.mean() - exact)) < 4 * float(partition.std()) / math.sqrt(repeats)


@pytest.mark.parametrize("corrected", [False, True])
def test_when_every_negative_is_a_hit_the_loss_is_zero_and_gradients_are_finite(corrected: bool) -> None:
    scores, target = random_scores(1)
    loss = sampled(scores, target, target.expand(7), PROPOSALS["popularity"] if corrected else None)
    assert float(loss.detach()) == 0.0
    assert torch.equal(gradient(loss, scores), torch.zeros_like(scores))


def test_no_negatives_lose_nothing() -> None:
    scores, target = random_scores()
    assert float(sampled(scores.detach(), target, torch.zeros(0, dtype=torch.int64), PROPOSALS["uniform"])) == 0.0


def test_large_scores_stay_finite() -> None:
    scores, target = random_scores()
    huge = (scores.detach() * 1e4).requires_grad_()
    for loss in (full_softmax(huge, target), sampled(huge, target, torch.arange(1, N + 1), PROPOSALS["log_uniform"])):
        assert torch.isfinite(loss)
        assert torch.isfinite(gradient(loss, huge)).all()


def test_the_mean_is_over_users_and_own_negatives_equal_shared_ones() -> None:
    scores, target = (tensor.detach() for tensor in random_scores())
    negatives = torch.tensor([2, 5, 9, 9])
    shared = sampled_softmax(scores[[0, 1, 2], target], scores[:, negatives], target, negatives, reduction="none")
    own = sampled_softmax(
        scores[[0, 1, 2], target], scores[:, negatives], target, negatives.expand(3, 4), reduction="none"
    )
    assert shared.shape == (3,)
    assert torch.equal(shared, own)
    assert float(sampled(scores, target, negatives, None)) == pytest.approx(float(shared.mean()))
    assert float(full_softmax(scores, target)) == pytest.approx(
        float(full_softmax(scores, target, reduction="none").mean())
    )


def test_correcting_the_target_alone_is_refused() -> None:
    scores, target = random_scores()
    with pytest.raises(ValueError, match="without log_q_negatives"):
        sampled_softmax(scores[:, 0], scores, target, target, log_q_target=scores[:, 0])
