"""What a set of slots should have been: the clusters of a user's behaviours, that which is to come among them.

    1. the history is cut into as many clusters as there are slots, or as it has distinct items;
    2. the behaviour to come joins the cluster whose mean is nearest, and counts as much as all of that cluster;
    3. each cluster has one slot, and what slots remain go one by one to the cluster with the most behaviours a slot
       (the method of Adams), so that shares of slots are shares of behaviours;
    4. slots have no order, but their noise tells them apart: cluster means are given out so that the sum of
       noise . mean over slots is greatest, a linear assignment. So a slot's noise already points to its interest, as in
       Klein, Krämer and Noé, "Equivariant Flow Matching" (NeurIPS 2023); given out at random, what is best to say of
       pure noise would be the mean of all clusters, the same for every slot.

B users, K slots, L behaviours, D width, n behaviours of one user.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from baselines.interests import pack
from baselines.unit import unit
from diffusion_mi.modes import Floats, Ints, Linkage


def clean_sets(history: Tensor, history_mask: Tensor, target: Tensor, noise: Tensor, linkage: Linkage) -> Tensor:
    """Return the clean vector of each slot, of unit length, [B, K, D]; no gradient.

    Args:
        history: [B, L, D], of any length; history_mask: [B, L] bool.
        target: [B, D], the behaviour to come, of unit length.
        noise: [B, K, D], what the slots will be noised with.
        linkage: what clusters.
    """
    rows = unit(pack(history, history_mask).detach()).cpu().numpy()
    starts = np.concatenate([np.zeros(1, np.int64), history_mask.sum(1).cumsum(0).cpu().numpy()])
    trees = linkage(rows, starts)
    K = noise.shape[1]
    labels = trees.cut(np.clip(trees.n_distinct, 1, K))
    sources, to_come = noise.detach().cpu().numpy(), target.detach().cpu().numpy()
    sets = np.empty(sources.shape, np.float32)
    for user, (first, end) in enumerate(pairwise(starts)):
        means, sizes = _means(rows[first:end], labels[first:end])
        nearest = int((means @ to_come[user]).argmax())
        means[nearest] = _unit(means[nearest] + to_come[user])
        sizes[nearest] += 1
        given = means[_slots(sizes, K)]  # [K, D]
        slot, mean = linear_sum_assignment(sources[user] @ given.T, maximize=True)
        sets[user, slot] = given[mean]
    return torch.from_numpy(sets).to(noise.device)


def _means(rows: Floats, labels: Ints) -> tuple[Floats, Ints]:
    """Unit means [C, D] and sizes [C] of clusters 0..C-1."""
    belongs = labels == np.arange(labels.max() + 1)[:, None]  # [C, n]
    return _unit(belongs.astype(np.float32) @ rows), belongs.sum(1)


def _slots(sizes: Ints, n_slots: int) -> Ints:
    """Which cluster each of the slots belongs to, [K]; there are at most as many clusters as slots.

    >>> _slots(np.array([1, 5, 2]), 6).tolist()
    [0, 1, 1, 1, 2, 2]
    """
    n = np.ones(len(sizes), np.int64)
    while n.sum() < n_slots:
        n[(sizes / n).argmax()] += 1
    return np.repeat(np.arange(len(sizes)), n)


def _unit(rows: Floats) -> Floats:
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    scaled: Floats = rows / np.maximum(length, 1e-12)
    return scaled
