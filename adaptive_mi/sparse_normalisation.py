"""Softmax and its sparse kin: logits -> shares of which most are exactly 0.

    softmax     p = exp(z) / sum exp(z)
    sparsemax   p = argmin |p - z|^2 over the simplex = [z - tau]_+            Martins & Astudillo, ICML 2016
    entmax15    p = argmax p.z + H_1.5(p) over the simplex = [z / 2 - tau]_+^2  Peters, Niculae, Martins, ACL 2019
    top_m       the softmax of the m largest logits, 0 elsewhere               Shazeer et al., ICLR 2017, eq. 3 to 5

tau makes the shares sum to 1; both thresholds are found exactly, by sorting (algorithms 1 and 2 of the two papers). All
but top_m are alpha-entmax, alpha = 1, 2, 1.5, and have one gradient: with q = p^(2 - alpha), 0 where p is,
    dL/dz = q (g - sum(q g) / sum(q)),  g = dL/dp.

Differs from the papers:
* Logits more than 1 (sparsemax) or 2 (entmax15) below the largest have no share whatever the others are; they are
  raised to that bound before anything is summed, so that -inf, and any finite number, is safe.
* At a tie for the last place, top_m takes the entry that comes first; the noise of Shazeer et al. is left out.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def sparsemax(logits: Tensor, dim: int = -1) -> Tensor:
    """Project onto the simplex along `dim`; every slice needs a finite logit.

    >>> sparsemax(torch.tensor([0.5, 0.0, -1.0])).tolist()
    [0.75, 0.25, 0.0]
    """
    shares: Tensor = _Sparsemax.apply(logits, dim)  # type: ignore[no-untyped-call]
    return shares


def entmax15(logits: Tensor, dim: int = -1) -> Tensor:
    """1.5-entmax along `dim`, between softmax and sparsemax; every slice needs a finite logit.

    >>> entmax15(torch.tensor([2.0, 0.0, 0.0])).tolist()
    [1.0, 0.0, 0.0]
    """
    shares: Tensor = _Entmax15.apply(logits, dim)  # type: ignore[no-untyped-call]
    return shares


def top_m(logits: Tensor, n_selected: int, dim: int = -1, *, bias: Tensor | None = None) -> Tensor:
    """Softmax over the `n_selected` largest logits along `dim`; all of them where there are no more.

    Args:
        logits: a slice needs a finite one.
        n_selected: m, at least 1.
        dim: what shares sum over.
        bias: added to the logits where the largest are picked, not where they are weighed; broadcasts.

    >>> top_m(torch.tensor([1.0, 1.0, 1.0]), 2).tolist()
    [0.5, 0.5, 0.0]
    """
    ranked = logits.detach() if bias is None else (logits + bias).detach()
    order = torch.sort(ranked, dim=dim, descending=True, stable=True).indices  # stable: a tie goes to the first
    picked = torch.zeros_like(ranked, dtype=torch.bool)
    picked.scatter_(dim, order.narrow(dim, 0, min(n_selected, logits.shape[dim])), True)
    return logits.masked_fill(~picked, -torch.inf).softmax(dim)


class _Sparsemax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, dim: int) -> Tensor:
        z = (logits - logits.amax(dim, keepdim=True)).clamp_(min=-1)
        ordered = z.sort(dim, descending=True).values
        excess = ordered.cumsum(dim) - 1  # over the r largest
        r = _counted(ordered, dim)
        size = (r * ordered > excess).sum(dim, keepdim=True)
        tau = (excess.gather(dim, size - 1) / size).clamp_(min=-1)
        shares = (z - tau).clamp_(min=0)
        ctx.save_for_backward(shares > 0)
        ctx.dim = dim
        return shares

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (support,) = ctx.saved_tensors
        return _centred(gradients[0], support.to(gradients[0].dtype), ctx.dim), None


class _Entmax15(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, dim: int) -> Tensor:
        x = ((logits - logits.amax(dim, keepdim=True)) / 2).clamp_(min=-1)
        ordered = x.sort(dim, descending=True).values
        r = _counted(ordered, dim)
        mean = ordered.cumsum(dim) / r
        scatter = ordered.square().cumsum(dim) - r * mean.square()  # around the mean of the r largest
        taus = mean - ((1 - scatter) / r).clamp_(min=0).sqrt_()
        size = (taus <= ordered).sum(dim, keepdim=True)
        tau = taus.gather(dim, size - 1).clamp_(min=-1)  # so that what was raised to -1 has no share by rounding
        root = (x - tau).clamp_(min=0)  # sqrt(p)
        ctx.save_for_backward(root)
        ctx.dim = dim
        return root.square()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (root,) = ctx.saved_tensors
        return _centred(gradients[0], root, ctx.dim), None


def _counted(ordered: Tensor, dim: int) -> Tensor:
    """1, 2, 3, ... along `dim`."""
    shape = [1] * ordered.ndim
    shape[dim] = -1
    return torch.arange(1, ordered.shape[dim] + 1, dtype=ordered.dtype, device=ordered.device).view(shape)


def _centred(gradient: Tensor, q: Tensor, dim: int) -> Tensor:
    """q (g - sum(q g) / sum(q)), sums over `dim`."""
    mean = (q * gradient).sum(dim, keepdim=True) / q.sum(dim, keepdim=True)
    return q * (gradient - mean)
