"""One interest a user, from an encoder that reads every prefix of the history at once.

B users, L behaviours, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.interests import InterestExtractor, Interests


class CausalExtractor(InterestExtractor):
    """A single-vector sequence encoder: the state after the latest behaviour is the user's only interest.

    The state after an earlier behaviour is what the user's interest was then, so that one pass over a history can be
    trained on all its behaviours (`training.positions = "every"`): row l learns to score behaviour l + 1.
    """

    def states(self, history: Tensor, history_mask: Tensor) -> Tensor:
        """Encode every prefix of the histories.

        Args:
            history: [B, L, D] float, left-aligned; padding is arbitrary, but finite.
            history_mask: [B, L] bool, True = a behaviour; every user has at least one.

        Returns:
            [B, L, D] float; row l depends on behaviours 0..l alone. Rows of padding are arbitrary, but finite.
        """
        raise NotImplementedError

    def forward(self, history: Tensor, history_mask: Tensor) -> Interests:
        """See `InterestExtractor.forward`; K = 1, and all behaviours belong to it."""
        states = self.states(history, history_mask)
        row = torch.arange(len(states), device=states.device)
        return Interests.single(states[row, history_mask.sum(-1) - 1], history_mask)
