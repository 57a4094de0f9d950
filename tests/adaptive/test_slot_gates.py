"""Slots may lose their share to the last bit, never all of them, and the gates learn."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from adaptive_mi.extractor import AdaptiveExtractor
from adaptive_mi.slot_gates import GATES, EntmaxGate, GumbelGate
from adaptive_mi.sparse_normalisation import entmax15

B, K, D = 50, 6, 8


def drawn(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(B, K, D, generator=generator)
    mask = torch.rand(B, K, generator=generator) < 0.7
    mask[:, 2] = True
    log_share = torch.randn(B, K, generator=generator).masked_fill(~mask, -torch.inf).log_softmax(1)
    return vectors, log_share.masked_fill(~mask, 0), mask


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", GATES)
def test_shares_of_what_is_kept_sum_to_one_and_somebody_is_always_kept(kind: str, training: bool) -> None:
    vectors, log_share, mask = drawn(0)
    gate = GATES[kind](D).train(training)
    with torch.no_grad():
        gate.of_content.normal_(0, 3)
    log_kept, kept = gate(vectors, log_share, mask)
    assert (kept.sum(1) >= 1).all()
    assert (kept.sum(1) < mask.sum(1)).any(), "some are closed"
    assert not (kept & ~mask).any()
    assert (log_kept[~kept] == 0).all()
    torch.testing.assert_close((log_kept.exp() * kept).sum(1), torch.ones(B))


def test_at_its_start_a_gumbel_gate_changes_nothing_in_serving() -> None:
    vectors, log_share, mask = drawn(1)
    log_kept, kept = GumbelGate(D).eval()(vectors, log_share, mask)
    assert torch.equal(kept, mask)
    torch.testing.assert_close(log_kept, log_share, atol=0.2, rtol=0)  # the heaviest is not gated, others by .96


def test_a_gumbel_gate_that_learned_to_close_leaves_the_heaviest() -> None:
    vectors, log_share, mask = drawn(2)
    gate = GumbelGate(D).eval()
    with torch.no_grad():
        gate.bias.fill_(-9.0)
    _, kept = gate(vectors, log_share, mask)
    assert torch.equal(kept.int().argmax(1), log_share.masked_fill(~mask, -torch.inf).argmax(1))
    assert (kept.sum(1) == 1).all()


def test_entmax_gives_the_shares_of_entmax() -> None:
    vectors, log_share, mask = drawn(3)
    log_kept, kept = EntmaxGate(D)(vectors, 4 * log_share, mask)
    expected = entmax15((4 * log_share).masked_fill(~mask, -torch.inf), 1)
    torch.testing.assert_close(log_kept.exp() * kept, expected, atol=1e-5, rtol=1e-4)
    assert ((expected == 0) & mask).any()


@pytest.mark.parametrize("kind", GATES)
def test_a_finite_gradient_reaches_everything(kind: str) -> None:
    torch.manual_seed(0)
    vectors, log_share, mask = drawn(4)
    vectors.requires_grad_(), log_share.requires_grad_()
    gate = GATES[kind](D).train()
    with torch.no_grad():
        gate.of_content.normal_(0, 0.1)
    log_kept, kept = gate(vectors, log_share, mask)
    (log_kept.masked_fill(~kept, 0) * torch.randn(B, K)).sum().backward()
    for value in (vectors, log_share, *gate.parameters()):
        assert value.grad is not None
        assert value.grad.isfinite().all()
        assert value.grad.abs().max() > 0


@pytest.mark.parametrize("kind", GATES)
def test_a_gated_extractor_keeps_what_an_interest_owes_and_is_the_same_in_any_batch(kind: str) -> None:
    torch.manual_seed(1)
    extractor = AdaptiveExtractor(D, 9, rule="fixed", max_interests=5, kept=kind, whole_share=0.3).eval()  # type: ignore[arg-type]
    assert extractor.gate is not None
    with torch.no_grad():
        extractor.gate.of_content.normal_(0, 3)
    history, mask = torch.randn(7, 9, D), torch.arange(9) < torch.tensor([1, 2, 3, 9, 9, 6, 9])[:, None]
    found = extractor(history, mask)
    assert (found.n_live >= 1).all()
    assert (found.assignment.masked_select(~found.mask[:, None]) == 0).all(), "a dead slot holds no behaviour"
    assert (found.assignment.sum(-1)[mask] == 0).any()
    alone = extractor(history[3:4], mask[3:4])
    torch.testing.assert_close(alone.vectors[0][alone.mask[0]], found.vectors[3][found.mask[3]])
