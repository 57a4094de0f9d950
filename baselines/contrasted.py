"""Guidance without a generator: a second interest beside each, led away from what everybody likes.

A control of what diffusion makes of classifier-free guidance (Ho and Salimans, "Classifier-Free Diffusion Guidance",
2022): there the answer to a history is led away from the answer to none, null + contrast (said - null), and both are
served (`diffusion_mi.extractor`). Here what is said is an extractor's interest v, and null is what is popular, the mean
of the items by their training behaviours, of the length of v:

    v' = |v| unit(m + contrast (v - m)),  m = |v| unit(sum over items of n_i e_i / |e_i|)

v' has a share of the importance and of the behaviours of v, and v the rest. Nothing is trained, and nothing drawn.

Differs from the paper: all of it but the formula.

B users, K interests, N items, D width.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from baselines.batch import Batch
from baselines.interests import Interests
from baselines.moved_interests import Floats, MovedInterests, at_length, length_of
from baselines.recommender import Recommender


class Contrasted(MovedInterests):
    """A recommender that serves two vectors for each interest: as it is, and led away from what is popular.

    Args:
        recommender: in eval mode.
        contrast: how far; 1 = both are the interest.
        item_counts: [N + 1] training behaviours of each item; of padding, first, none.
        share: of an interest's importance, what is led away has.
    """

    def __init__(
        self, recommender: Recommender, contrast: float, item_counts: NDArray[np.int64], *, share: float = 0.5
    ) -> None:
        super().__init__(recommender)
        self.contrast, self.shares = contrast, (1 - share, share)
        items = recommender.item_vectors().detach().cpu().numpy().astype(np.float64)
        length = np.linalg.norm(items, axis=1, keepdims=True)
        mean = item_counts @ (items / np.maximum(length, 1e-12))
        self.popular = (mean / np.maximum(np.linalg.norm(mean), 1e-12)).astype(np.float32)  # [D]

    def interests(self, batch: Batch) -> Interests:
        """Return 2 K interests a user: his K, and each led away."""
        found = self.recommender.interests(batch)
        away = torch.zeros_like(found.vectors)
        led = self._led_away(found.vectors[found.mask].cpu().numpy())  # [P, D] of all users, back to back
        away[found.mask] = torch.from_numpy(led).to(away)
        return Interests(
            vectors=torch.cat([found.vectors, away], 1),
            mask=found.mask.repeat(1, 2),
            log_weight=torch.cat([found.log_weight + math.log(share) for share in self.shares], 1),
            assignment=torch.cat([found.assignment * share for share in self.shares], 2),
            notes=found.notes,
        )

    def _led_away(self, vectors: Floats) -> Floats:
        """Lead vectors [P, D] away, their length staying as it is."""
        length = length_of(vectors)
        popular = length * self.popular
        return at_length(popular + np.float32(self.contrast) * (vectors - popular), length)
