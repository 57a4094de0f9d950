"""Dynamic routing: behaviours are shared out among capsules, round by round. MIND and ComiRec-DR are made of it.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules" (NIPS 2017), procedure 1, as both papers take it over:
    c_ij = softmax over the K INTERESTS of b_ij,  h_j = squash(sum over i of c_ij v_ij),  b_ij += h_j . v_ij,
where v_ij is the vote of behaviour i for interest j: its vector, mapped.

B users, L behaviours, K interests, D width.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from baselines.interests import Interests


def squash(vectors: Tensor) -> Tensor:
    """Keep the direction of `vectors` [..., D] and map their length |s| to |s|^2 / (1 + |s|^2), in [0, 1).

    Zero stays zero, and so does its gradient.
    """
    length: Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors * (length / (1 + length.square()))


def route(
    logits: Tensor,
    history_mask: Tensor,
    n_rounds: int,
    pool: Callable[[Tensor], Tensor],
    agree: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """Route behaviours to capsules.

    The gradient runs through the last round only, and there the coupling is a constant to the capsules, as in the
    code of ComiRec's authors. The coupling that is returned carries the gradient of the last update of its logits, so
    that a regularizer on it has something to act on; where `n_rounds` is 1 it carries none.

    Interests come before behaviours here, [B, K, L]: a softmax over a last dimension of four is ten times as slow.

    Args:
        logits: [B, K, L] where the routing logits start; -inf for dead interests, finite elsewhere.
        history_mask: [B, L] bool, True = a behaviour.
        n_rounds: R, at least 1.
        pool: coupling [B, K, L] -> sums of votes, weighted by it, [B, K, D].
        agree: capsules [B, K, D] -> their dot products with the votes, [B, K, L].

    Returns:
        Capsules [B, K, D] and their coupling [B, K, L]: a behaviour's shares sum to 1 over live interests, padding's
        are 0.
    """
    behaviours = history_mask[:, None, :].to(logits.dtype)

    def couple(logits: Tensor) -> Tensor:
        return logits.softmax(1) * behaviours  # [B, K, L]: a behaviour is shared among interests

    for _ in range(n_rounds - 1):
        with torch.no_grad():
            capsules = squash(pool(couple(logits)))
        logits = logits.detach() + agree(capsules)
    coupling = couple(logits)
    return squash(pool(coupling.detach())), coupling


def new_maps(*shape: int, near_identity: bool) -> Tensor:
    """Draw linear maps [..., D, D]: normal, variance 1 / D, which keeps a length on average.

    With `near_identity`, the identity plus half of such a draw. Mapped items then start close to the items, which their
    sums will be matched with; random maps must first learn that they are the same.
    """
    drawn = torch.randn(*shape) / math.sqrt(shape[-1])
    return torch.eye(shape[-1]) + drawn / 2 if near_identity else drawn


def routed(vectors: Tensor, mask: Tensor, coupling: Tensor, *, training: bool) -> Interests:
    """Make Interests of capsules [B, K, D], which of them live [B, K], and their coupling [B, K, L]."""
    coupling = coupling.mT  # [B, L, K]
    return Interests(
        vectors=vectors,
        mask=mask,
        log_weight=vectors.new_zeros(mask.shape),
        assignment=coupling.detach(),
        routing=coupling if training else None,
    )
