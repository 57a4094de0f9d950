"""Samples that lie close together are one interest: from S samples of a user to the modes of their density.

What clusters is given from outside, as a function that grows one tree of joins for each user.

B users, S samples, K modes, D width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class Trees(Protocol):
    """One tree for each user, of joins of ever greater distance."""

    @property
    def n_distinct(self) -> Ints:
        """How many different vectors each user has, [B]."""
        ...

    def n_clusters_below(self, height: float) -> Ints:
        """Return how many clusters each user has left once every join up to `height` is made, [B]."""
        ...

    def cut(self, n_clusters: Ints) -> Ints:
        """Label all vectors, [P] from 0 within their user, when user b has `n_clusters[b]` clusters."""
        ...


Linkage = Callable[[Floats, Ints], Trees]
"""Unit vectors [P, D] of all users, back to back, and where each user's begin [B + 1] -> trees; 1 - cosine is the
distance."""


def find_modes(samples: Tensor, linkage: Linkage, max_distance: float) -> tuple[Tensor, Tensor, Tensor]:
    """Join each user's samples into modes.

    Samples that are all alike are one mode, of whose importance nothing is left to say: its log share is 0.

    Args:
        samples: [B, S, D] of unit length.
        linkage: what clusters.
        max_distance: clusters whose mean distance, 1 - cosine, is at most this are joined.

    Returns:
        The modes' mean samples [B, K, D], K being the most a user has; [B, K] bool, True = there is such a mode; and
        the log share of the samples in each, [B, K], 0 where there is none. The gradient runs through the means.
    """
    B, S, D = samples.shape
    trees = linkage(samples.detach().flatten(0, 1).cpu().numpy(), np.arange(B + 1) * S)
    labels = torch.from_numpy(trees.cut(trees.n_clusters_below(max_distance))).to(samples.device)
    K = int(labels.max()) + 1
    mode = torch.arange(B, device=samples.device).repeat_interleave(S) * K + labels  # [B S]
    n_samples = torch.bincount(mode, minlength=B * K)  # [B K]
    total = samples.new_zeros(B * K, D).index_add(0, mode, samples.flatten(0, 1))
    means = (total / n_samples.clamp(min=1)[:, None]).view(B, K, D)
    mask = n_samples.view(B, K) > 0
    return means, mask, (n_samples.view(B, K) / S).log().masked_fill(~mask, 0)
