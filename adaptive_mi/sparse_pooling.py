"""Pooling behaviours by their shares in interests; and choosing and pooling in one compiled pass, for the CPU.

What `sparse_routing` and `codebook_routing` are made of; the equations are in `sparse_routing`. Done with torch alone,
every step writes an array of B x L x K numbers of which nearly all are 0 (`pool_shares`). In the compiled pass a
behaviour is a short list of the interests that it has a share in, nothing is computed on padding, and in training only
live interests have a slot (`choose_and_pool`). Tests hold it to the plain form, value and gradient.

B users, L behaviours, K prototypes, J slots (as many as the user with most live interests has, or K), M longest list,
H longest history, D width.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from adaptive_mi import sparse_choice, sparse_kernels
from baselines.interests import recency_rank

TOP_M, SPARSEMAX, ENTMAX15 = sparse_choice.TOP_M, sparse_choice.SPARSEMAX, sparse_choice.ENTMAX15
_choose: Any = sparse_choice.choose
_pool: Any = sparse_kernels.pool
_pull_back: Any = sparse_kernels.pull_back
_NOTHING = np.empty((0, 0, 0), np.float32)


class Rule(NamedTuple):
    """How behaviours choose, for the compiled code.

    Attributes:
        kind: TOP_M, SPARSEMAX or ENTMAX15.
        n_selected: m of TOP_M.
        compact: whether J is what the batch needs, and not K.
    """

    kind: int
    n_selected: int
    compact: bool


class Pooled(NamedTuple):
    """What is made of a batch.

    Attributes:
        vectors: [B, J, D]; 0 where dead.
        log_mass: [B, J] log share of the interest in the user's whole weight; 0 where dead.
        shares: [B, L, J], of each behaviour in each live interest.
        interests: [B, J] int, which prototype lies in a slot, ascending; -1 where dead.
    """

    vectors: Tensor
    log_mass: Tensor
    shares: Tensor
    interests: Tensor


def pool_shares(
    history: Tensor, history_mask: Tensor, shares: Tensor, recency: Tensor, gate: Tensor, *, compact: bool
) -> Pooled:
    """Pool by shares that are known, in torch's own operations.

    Args:
        history: [B, L, D]; history_mask: [B, L] bool.
        shares: [B, K, L], summing to 1 over K; interests come before behaviours, as a softmax over a last dimension of
            four is ten times as slow.
        recency, gate: as in `choose_and_pool`.
        compact: as in `Rule`.
    """
    log_weight = recency[recency_rank(history_mask)].mT  # [B, 1 or K, L]
    if len(gate):
        log_weight = log_weight + (history @ gate)[:, None]
    log_weight = log_weight.masked_fill(~history_mask[:, None], -torch.inf)
    weight = (log_weight - log_weight.amax((1, 2), keepdim=True)).clamp(min=-30).exp() * history_mask[:, None]
    weighted = shares * weight  # [B, K, L]
    mass = weighted.sum(-1)  # [B, K]
    mask = mass > 0
    vectors = (weighted / mass.masked_fill(~mask, 1)[..., None]) @ history
    log_mass = (mass / mass.sum(-1, keepdim=True)).masked_fill(~mask, 1).log()
    shares = (shares * history_mask[:, None]).mT  # [B, L, K]
    # live interests first, in the order of prototypes
    if mask.all():
        return Pooled(vectors, log_mass, shares, torch.arange(mask.shape[1], device=mask.device).expand_as(mask))
    J = int(mask.sum(-1).max()) if compact else mask.shape[1]
    order = torch.sort((~mask).to(torch.uint8), dim=-1, stable=True).indices[:, :J]  # [B, J]
    return Pooled(
        vectors.gather(1, order[..., None].expand(-1, -1, vectors.shape[2])),
        log_mass.gather(1, order),
        shares.gather(2, order[:, None].expand(-1, shares.shape[1], -1)),
        torch.where(mask.gather(1, order), order, -1),
    )


def choose_and_pool(
    history: Tensor,
    history_mask: Tensor,
    prototypes: Tensor,
    log_scale: Tensor,
    position: Tensor,
    bias: Tensor,
    recency: Tensor,
    gate: Tensor,
    rule: Rule,
) -> Pooled:
    """Route and pool; see `sparse_routing` for the equations.

    Args:
        history: [B, L, D] on the CPU; history_mask: [B, L] bool, left-aligned.
        prototypes: [K, D], of which the direction counts, or [K, 0]: then the position alone decides.
        log_scale: scalar, log of what cosines are multiplied by.
        position: [H, K] logits by distance from the end of the history, or [0, K].
        bias: [K] joins the cosines where interests are picked; its gradient is the sign of load - mean load.
        recency: [H, 1] or [H, K] log weights by distance from the end.
        gate: [D], whose product with a behaviour is a log weight, or [0].
        rule: how shares are made.

    Raises:
        ValueError: a history is longer than H.
    """
    return Pooled(*_compiled(history, history_mask, prototypes, log_scale, position, bias, recency, gate, rule))


class _ChooseAndPool(torch.autograd.Function):
    """A step's cost is in good part that of calling torch: what is short-lived is NumPy's."""

    @staticmethod
    def forward(
        ctx: Any, history: Tensor, mask: Tensor, prototypes: Tensor, log_scale: Tensor, position: Tensor, bias: Tensor,
        recency: Tensor, gate: Tensor, rule: Rule,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        B, L, D = history.shape
        K = len(prototypes)
        M = min(rule.n_selected, K) if rule.kind == TOP_M else K
        history, prototypes = history.detach().contiguous(), prototypes.detach().contiguous()
        x, p, at, added, fading, opens = (
            np.ascontiguousarray(part.detach().numpy()) for part in (history, prototypes, position, bias, recency, gate)
        )
        scale = np.float32(math.exp(log_scale.item()))
        index, count = np.empty((B, M, L), np.int32), np.empty((B, L), np.int32)
        share, ratio, cosine = np.empty((3, B, M, L), np.float32)
        inverse, reach, slot = np.empty((B, L), np.float32), np.empty(K, np.float32), np.full((B, K), -1, np.int32)
        load = np.zeros(K, np.int64)
        J, longest = _choose(
            x, mask.numpy(), p, scale, at, added, fading, opens, rule.kind, index, count, share, ratio, cosine,
            inverse, reach, slot, load,
        )  # fmt: skip
        if longest > len(recency):
            raise ValueError(f"histories of up to {len(recency)} behaviours are expected, got one of {longest}")
        J = J if rule.compact else K
        vectors, log_mass = np.empty((B, J, D), np.float32), np.empty((B, J), np.float32)
        shares, interests = np.zeros((B, L, J), np.float32), np.full((B, J), -1, np.int32)
        _pool(x, index, count, share, ratio, slot, vectors, log_mass, shares, interests)
        found = tuple(torch.from_numpy(part) for part in (vectors, log_mass, shares, interests))
        ctx.save_for_backward(history, prototypes, *found[:2])  # torch sees to it that these are still the same then
        ctx.known = (scale, opens, index, count, share, ratio, cosine, inverse, reach, slot)
        ctx.rule, ctx.load, ctx.shapes = rule, load, (position.shape, recency.shape)
        ctx.mark_non_differentiable(found[3])
        ctx.set_materialize_grads(False)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        x, p, vectors, log_mass = (saved.detach().numpy() for saved in ctx.saved_tensors)
        to_vectors, to_log_mass = (
            np.zeros_like(value) if gradient is None else gradient.contiguous().numpy()
            for value, gradient in zip((vectors, log_mass), gradients[:2], strict=True)
        )
        to_shares = _NOTHING if gradients[2] is None else gradients[2].contiguous().numpy()
        to_history, to_gate = np.empty_like(x), np.zeros_like(ctx.known[1])
        to_prototypes, to_position, to_recency = (np.zeros(shape, np.float32) for shape in (p.shape, *ctx.shapes))
        to_scale = _pull_back(
            x, p, *ctx.known, vectors, log_mass, ctx.rule.kind, to_vectors, to_log_mass, to_shares,
            to_history, to_prototypes, to_position, to_recency, to_gate,
        )  # fmt: skip
        to_bias = np.sign(ctx.load * len(ctx.load) - ctx.load.sum()).astype(np.float32)
        found = (to_history, to_prototypes, to_position, to_bias, to_recency, to_gate)
        history, prototypes, *others = (torch.from_numpy(part) for part in found)
        return history, None, prototypes, torch.tensor(to_scale), *others, None


# there is nothing in it for torch to compile
_compiled: Any = torch.compiler.disable(_ChooseAndPool.apply)  # type: ignore[no-untyped-call]
