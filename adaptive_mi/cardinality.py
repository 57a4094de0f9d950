"""How many interests a user has by chance: what any rule that looks at the behaviours must beat.

K is drawn at random, as often as the rule finds each K among users of equally long histories. That tells what of the
rule's merit lies in whom it gives how many: all else is the same. The other control is MIND's rule, which looks at the
length alone (`baselines.extractors.mind.log_length`).

B users, L the longest history, n behaviours of one user.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adaptive_mi.density import Floats, Ints


class KByChance(nn.Module):
    """K drawn from the histogram of what a rule found for histories of that length, the same for a user each time.

    Args:
        max_history: L.
        max_interests: the largest K.
    """

    histogram: Tensor

    def __init__(self, max_history: int, max_interests: int) -> None:
        super().__init__()
        counts = torch.zeros(max_history + 1, max_interests + 1, dtype=torch.int64)
        self.register_buffer("histogram", counts)  # users of n behaviours (row) for whom K (column) was found

    def note(self, n_behaviours: Ints, n_clusters: Ints) -> None:
        """Count what the rule found for B users."""
        where = tuple(torch.from_numpy(index).to(self.histogram.device) for index in (n_behaviours, n_clusters))
        self.histogram.index_put_(where, torch.ones_like(where[0]), accumulate=True)

    def draw(self, n_behaviours: Ints, chance: NDArray[np.float64]) -> Ints:
        """Draw K for users of `n_behaviours` [B] by `chance` [B] in [0, 1); 1 where no such length was seen."""
        counts = self.histogram.cpu().numpy()[n_behaviours]  # [B, K + 1]
        below = np.cumsum(counts, 1)
        drawn = (below <= chance[:, None] * np.maximum(below[:, -1:], 1)).sum(1)
        return np.where(below[:, -1] > 0, drawn, 1).astype(np.int64)


def chance_of(vectors: Floats, starts: Ints) -> NDArray[np.float64]:
    """Make a number in [0, 1) out of each user's behaviours, [B]: by chance, yet of these vectors always the same.

    The bits of all entries, summed modulo 2^64, and scrambled as SplitMix64 does (Steele, Lea and Flood, OOPSLA 2014).
    """
    with np.errstate(over="ignore"):
        rows = np.ascontiguousarray(vectors, np.float32).view(np.uint32).astype(np.uint64).sum(1)
        z = np.add.reduceat(rows * np.uint64(0x9E3779B97F4A7C15), starts[:-1])
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    chance: NDArray[np.float64] = (z >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return chance
