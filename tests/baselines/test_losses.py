"""Softmax losses: worked examples, and the limits that their docstrings claim."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from baselines.errors import BadInput
from baselines.losses import sampled_softmax
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


def full_softmax(scores: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy among all N items, which the others are held to."""
    return F.cross_entropy(scores[:, 1:], target - 1)


def sampled(
    scores: Tensor, target: Tensor, negatives: Tensor, proposal: Proposal | None, *,
    correct_target: bool = True, remove_accidental_hits: bool = True, hardness: float = 0.0,
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
        hardness=hardness,
    )


def test_every_item_once_by_hand_ignores_padding() -> None:
    scores = torch.tensor([[100.0, 0.0, math.log(2.0), math.log(5.0)]])  # weights 1, 2, 5 of items 1, 2, 3
    target = torch.tensor([3])
    for loss in (full_softmax(scores, target), sampled(scores, target, torch.arange(1, 4), None)):
        assert float(loss) == pytest.approx(-math.log(5 / 8))


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


def test_correcting_the_target_alone_is_refused() -> None:
    scores, target = random_scores()
    with pytest.raises(ValueError, match="without log_q_negatives"):
        sampled_softmax(scores[:, 0], scores, target, target, log_q_target=scores[:, 0])


def slow_hard_negatives(
    target_score: float, scores: NDArray[np.float64], q_target: float, q: NDArray[np.float64], hit: NDArray[np.bool_],
    hardness: float,
) -> float:  # fmt: skip
    """One user's loss, negatives weighed from q towards exp(beta s); q = 1 / S everywhere corrects nothing."""
    S, pairs = len(scores), [(float(s), float(p)) for s, p, h in zip(scores, q, hit, strict=True) if not h]
    if not pairs:
        return 0.0
    n_stood_for = sum(1 / (S * p) for _, p in pairs)
    importance = [math.exp(hardness * s) / p for s, p in pairs]
    mean = sum(w * math.exp(s) for w, (s, _) in zip(importance, pairs, strict=True)) / sum(importance)
    positive = math.exp(target_score) / (S * q_target)
    return -math.log(positive / (positive + n_stood_for * mean))


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.1, 1.0, 10.0]), st.booleans(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_hard_negatives_equal_their_slow_twin(seed: int, hardness: float, corrected: bool, removed: bool) -> None:
    generator, proposal = torch.Generator().manual_seed(seed), PROPOSALS["popularity"]
    scores = 3 * torch.randn(4, N + 1, generator=generator, dtype=torch.float64)
    target, negatives = torch.tensor([1, 2, 3, 9]), proposal.sample(6, generator)
    q = proposal.log_q(torch.arange(N + 1)).double().exp().numpy() if corrected else np.full(N + 1, 1 / 6)
    slow = [
        slow_hard_negatives(
            float(row[t]), row[negatives].numpy(), q[t], q[negatives.numpy()],
            (negatives == t).numpy() & removed, hardness,
        )
        for row, t in zip(scores, target, strict=True)
    ]  # fmt: skip
    fast = sampled(
        scores, target, negatives, proposal if corrected else None, remove_accidental_hits=removed, hardness=hardness
    )
    assert float(fast) == pytest.approx(sum(slow) / 4, rel=1e-6)


def test_hard_negatives_by_hand() -> None:
    """Target of weight 5; negatives of weights 1 and 2 and a hit; beta = 1, so they weigh as 1 to 2."""
    scores = torch.tensor([[0.0, math.log(2.0), math.log(5.0)]])
    target, negatives = torch.tensor([3]), torch.tensor([1, 2, 3])
    arguments = (scores[:, 2], scores, target, negatives)
    log_q_target, log_q_negatives = torch.tensor([0.5]).log(), torch.tensor([1 / 4, 1 / 2, 1 / 2]).log()
    plain = sampled_softmax(*arguments, hardness=1.0)
    assert float(plain) == pytest.approx(-math.log(5 / (5 + 2 * (1 + 4) / (1 + 2))))
    kept = sampled_softmax(*arguments, hardness=1.0, remove_accidental_hits=False)
    assert float(kept) == pytest.approx(-math.log(5 / (5 + 3 * (1 + 4 + 25) / (1 + 2 + 5))))
    corrected = sampled_softmax(*arguments, log_q_target=log_q_target, log_q_negatives=log_q_negatives, hardness=1.0)
    # expected counts 3/4, 3/2, 3/2; they stand for 4/3 + 2/3 items, whose mean under the weights 4 and 4 is 3/2
    assert float(corrected) == pytest.approx(-math.log((10 / 3) / (10 / 3 + 2 * 1.5)))


@pytest.mark.parametrize("proposal", [None, *PROPOSALS.values()], ids=["uncorrected", *PROPOSALS])
def test_hardness_zero_changes_no_bit_and_a_little_changes_little(proposal: Proposal | None) -> None:
    scores, target = random_scores()
    negatives = torch.tensor([2, 5, 9, 9, 1])
    usual = sampled(scores, target, negatives, proposal)
    none, little = (sampled(scores, target, negatives, proposal, hardness=hardness) for hardness in (0.0, 1e-9))
    assert torch.equal(none, usual)
    assert torch.equal(gradient(none, scores), gradient(usual, scores))
    torch.testing.assert_close(little, usual, atol=1e-7, rtol=0)


@every_proposal
def test_corrected_hard_negatives_tend_to_the_same_limit_whatever_the_proposal(proposal: Proposal) -> None:
    scores, target = random_scores()
    others = scores.detach()[:, 1:].scatter(1, target[:, None] - 1, -torch.inf)  # hits are removed
    hard = (N - 1) * (others * 2).exp().sum(1) / others.exp().sum(1)
    positive = scores.detach().gather(1, target[:, None])[:, 0].exp()
    negatives = proposal.sample(1_000_000, torch.Generator().manual_seed(0))
    loss = sampled_softmax(
        positive.log(), scores.detach()[:, negatives], target, negatives,
        log_q_negatives=proposal.log_q(negatives).double(), hardness=1.0, reduction="none",
    )  # fmt: skip
    torch.testing.assert_close(loss, -(positive / (positive + hard)).log(), atol=5e-3, rtol=0)


def test_harder_negatives_cost_more_up_to_the_hardest_alone() -> None:
    scores, target = random_scores()
    negatives = torch.tensor([2, 6, 7, 11])
    values = [float(sampled(scores.detach(), target, negatives, None, hardness=beta)) for beta in (0, 0.1, 1, 10, 1e4)]
    assert values == sorted(set(values))
    positive, hardest = (t.detach() for t in (scores.gather(1, target[:, None])[:, 0], scores[:, negatives].amax(1)))
    limit = torch.log1p(4 * (hardest - positive).exp()).mean()  # all S weigh as the hardest does
    assert values[-1] == pytest.approx(float(limit))


def test_the_weights_carry_gradient_so_that_easy_negatives_are_pushed_up() -> None:
    """beta = 1 and weights e^s of 1, 2, 3: under p the mean is 14 / 6, half of which is 7 / 6: only 1 lies below it."""
    negative_scores = torch.tensor([[1.0, 2.0, 3.0]]).log().requires_grad_()
    loss = sampled_softmax(torch.zeros(1), negative_scores, torch.tensor([9]), torch.tensor([1, 2, 3]), hardness=1.0)
    assert gradient(loss, negative_scores).sign().tolist() == [[-1.0, 1.0, 1.0]]
    flat = negative_scores.detach().double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s: sampled_softmax(s.new_zeros(1), s, torch.tensor([2]), torch.tensor([1, 2, 3]), hardness=2.0), flat
    )


@pytest.mark.parametrize("proposal", [None, PROPOSALS["popularity"]], ids=["uncorrected", "corrected"])
def test_hard_negatives_stay_finite_at_large_scores_and_where_all_are_hits(proposal: Proposal | None) -> None:
    scores, target = random_scores()
    huge = (scores.detach() * 1e4).requires_grad_()
    negatives = target[:1].expand(5)  # hits all for the first user, none for the others
    loss = sampled(huge, target, negatives, proposal, hardness=10.0)
    assert torch.isfinite(loss)
    slope = gradient(loss, huge)
    assert torch.isfinite(slope).all()
    assert (slope[0] == 0).all()
    assert float(sampled(scores.detach(), target, torch.zeros(0, dtype=torch.int64), proposal, hardness=1.0)) == 0.0


def test_negatives_of_ones_own_are_as_hard_as_shared_ones() -> None:
    scores, target = (tensor.detach() for tensor in random_scores())
    negatives, log_q = torch.tensor([2, 5, 9, 9]), PROPOSALS["popularity"].log_q(torch.tensor([2, 5, 9, 9]))
    shared, own = (
        sampled_softmax(
            scores[[0, 1, 2], target], scores[:, negatives], target, ids, log_q_negatives=q, hardness=2.0
        )
        for ids, q in ((negatives, log_q), (negatives.expand(3, 4), log_q.expand(3, 4)))
    )  # fmt: skip
    assert torch.equal(shared, own)


def test_negative_hardness_is_refused() -> None:
    scores, target = random_scores()
    with pytest.raises(BadInput, match="hardness"):
        sampled(scores, target, target, None, hardness=-1.0)
