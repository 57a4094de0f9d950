"""The spanning trees of `spanning_tree` in torch's operations: for behaviours that lie on a GPU.

Prim's algorithm visits one behaviour at a time, but all users of a block at once: L steps over [B, L] numbers after the
distances [B, L, L], which is where the work is and what a GPU is for. What is made of a tree afterwards takes a
microsecond a user, and stays compiled on the host; that a tree crosses to it instead of vectors makes it D times less.

Equal to the compiled trees to the last bit, and so are the labels: distances are float64, the features added one by one
in their order by operations of their own, so that no multiplication is fused with an addition on any device, and the
root is the correctly rounded one (CUDA's for doubles is); the least of several equal ones is the first.

Memory: blocks of users are padded to the longest history among them, users in order of length, and hold as many as fit
into `_BUDGET` bytes of distances, of which a few copies exist at a time.

P behaviours of B users, ragged as in `dendrogram`. L behaviours of a block's longest history, D width, m distinct ones
of a user.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from adaptive_mi.density import Ints
from adaptive_mi.spanning_tree import SpanningTrees

_BUDGET = 256 * 2**20  # bytes of one copy of a block's distances


def device_spanning_trees(vectors: Tensor, starts: Ints, min_samples: int, *, budget: int = _BUDGET) -> SpanningTrees:
    """Grow every user's tree where the vectors lie.

    Args:
        vectors: [P, D] float32, finite, on any device.
        starts: [B + 1] int64, ascending from 0 to P.
        min_samples: at least 1; lowered to m - 1 for a user with fewer others.
        budget: bytes of a block's distances; at least one user is in a block.

    Returns:
        Trees on the host, as `spanning_trees` does.
    """
    P, n = len(vectors), np.diff(starts)
    trees = SpanningTrees(
        starts, np.zeros(len(n), np.int64), np.zeros(P, np.int64), np.zeros(P, np.int64), np.zeros(P, np.float64)
    )
    for users in _blocks(n, budget):
        L = int(n[users].max(initial=0))
        place = starts[users, None] + np.arange(L)  # [B, L]
        mask = np.arange(L) < n[users, None]
        rows = vectors[torch.from_numpy(np.where(mask, place, 0)).to(vectors.device)]  # [B, L, D]
        found = _grow(rows, torch.from_numpy(mask).to(vectors.device), min_samples)
        which, order, length, n_distinct = (tensor.cpu().numpy() for tensor in found)
        trees.n_distinct[users] = n_distinct
        trees.which[place[mask]], trees.order[place[mask]] = which[mask], order[mask]
        trees.length[place[mask]] = length[mask]
    return trees


def _blocks(n: Ints, budget: int) -> Iterator[Ints]:
    """Cut users with any behaviour into blocks of like lengths."""
    order = np.argsort(n, kind="stable")
    order = order[n[order] > 0]
    while len(order):
        fits = np.arange(1, len(order) + 1) * n[order] ** 2 * 8 <= budget
        size = max(1, int(fits.sum()))  # rises with both factors, so the first that does not fit ends it
        yield order[:size]
        order = order[size:]


def _grow(rows: Tensor, mask: Tensor, min_samples: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return which, order, length, [B, L] each as of `SpanningTrees`, and how many are distinct [B]."""
    B, L, _ = rows.shape
    distance = _distances(rows)
    same = (distance == 0) & mask[:, None]
    source = same.to(torch.uint8).argmax(2)  # [B, L] the first behaviour that is equal
    distinct = (source == torch.arange(L, device=rows.device)) & mask
    number = distinct.cumsum(1) - 1  # of each first one
    n_distinct = distinct.sum(1)
    which = number.gather(1, source)
    distance = distance.masked_fill(~distinct[:, None], torch.inf).masked_fill(~distinct[..., None], torch.inf)
    own = torch.zeros(B, L, dtype=torch.float64, device=rows.device)
    if min_samples > 1 and L > 1:
        own = _core_distances(distance, n_distinct, min_samples)
    own = own.masked_fill(~distinct, torch.inf)
    core = own.clone()
    order, length = torch.zeros_like(source), torch.zeros_like(own)
    reach = torch.full_like(own, torch.inf)
    everyone = torch.arange(B, device=rows.device)
    at = torch.zeros(B, dtype=torch.int64, device=rows.device)  # the first behaviour is a distinct one
    own[everyone, at] = torch.inf
    for step in range(1, L):
        mutual = torch.maximum(torch.maximum(distance[everyone, at], own), core[everyone, at][:, None])
        reach = torch.minimum(reach, mutual)
        least = reach.amin(1)
        at = (reach == least[:, None]).to(torch.uint8).argmax(1)
        order[:, step], length[:, step] = number[everyone, at], least
        reach[everyone, at] = torch.inf
        own[everyone, at] = torch.inf
    return which, order, length, n_distinct


def _distances(rows: Tensor) -> Tensor:
    """Distance of every two rows [B, L, D], [B, L, L] float64."""
    total = rows.new_zeros(len(rows), rows.shape[1], rows.shape[1], dtype=torch.float64)
    for feature in rows.double().unbind(2):
        apart = feature[:, :, None] - feature[:, None]
        total += apart * apart
    if total.device.type == "cpu":  # torch's root is MKL's there, which may be off by a bit
        np.sqrt(total.numpy(), out=total.numpy())
        return total
    return total.sqrt_()


def _core_distances(distance: Tensor, n_distinct: Tensor, min_samples: int) -> Tensor:
    """Distance to the min_samples-th nearest other, [B, L]; to the last one of a user with fewer."""
    L = distance.shape[1]
    others = distance.masked_fill(torch.eye(L, dtype=torch.bool, device=distance.device), torch.inf)
    nearest = others.topk(min(min_samples, L - 1), largest=False).values  # ascending
    place = n_distinct.sub(1).clamp(min=1, max=nearest.shape[2]) - 1  # [B]
    return nearest.gather(2, place[:, None, None].expand(-1, L, 1))[..., 0]
