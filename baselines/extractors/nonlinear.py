"""Non-linear transformation: K interests from one user vector.

Li et al., "Multi-Interest Recommendation: A Survey" (arXiv 2506.15284), its third kind of extractor:
    h_j = LeakyReLU(W_j u + b_j).

Differs from the paper: nothing that it fixes. It leaves open the user vector u, which here is `MeanPooling`'s, with a
learned weight per recency, and where W_j starts: here near the identity, unless told otherwise.

One vector cannot tell a user's behaviours apart: whatever these interests separate, they do by coordinates, not by
grouping the history.

B users, L behaviours, K interests, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.errors import require_number
from baselines.extractors.capsules import new_maps
from baselines.extractors.mean_pooling import MeanPooling
from baselines.interests import InterestExtractor, Interests


class NonLinear(InterestExtractor):
    """One pooled vector, seen through K layers.

    Args:
        width: D.
        max_history: longest history, for the recency weights.
        n_interests: K, the same for every user.
        negative_slope: slope of LeakyReLU below 0 (the usual 0.01; 1 makes the layers linear).
        recency_weights: learn one weight per distance from the end of the history; False pools by the plain mean.
        near_identity: start every W_j near the identity, not at random.
    """

    def __init__(
        self,
        width: int,
        max_history: int,
        *,
        n_interests: int = 4,
        negative_slope: float = 0.01,
        recency_weights: bool = True,
        near_identity: bool = True,
    ) -> None:
        super().__init__()
        require_number("model.n_interests", n_interests, at_least=1)
        require_number("model.negative_slope", negative_slope)
        self.n_interests = n_interests
        self.pooling = MeanPooling(width, max_history, recency_weights=recency_weights)
        self.transform = nn.Linear(width, n_interests * width)  # W_1 .. W_K, one below the other
        with torch.no_grad():
            self.transform.weight.copy_(new_maps(n_interests, width, width, near_identity=near_identity).flatten(0, 1))
            self.transform.bias.zero_()
        self.negative_slope = negative_slope

    def forward(self, history: Tensor, history_mask: Tensor) -> Interests:
        """See `InterestExtractor.forward`; all K interests are live."""
        user = self.pooling(history, history_mask).vectors[:, 0]  # [B, D]
        transformed = nn.functional.leaky_relu(self.transform(user), self.negative_slope)  # [B, K D]
        vectors = transformed.view(len(user), self.n_interests, -1)  # [B, K, D]
        mask = torch.ones(vectors.shape[:2], dtype=torch.bool, device=history.device)
        assignment = self.assigned(history, history_mask, vectors, mask)
        return Interests(vectors=vectors, mask=mask, log_weight=vectors.new_zeros(mask.shape), assignment=assignment)
