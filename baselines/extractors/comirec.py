"""ComiRec-SA: K interests by self-attention over the history.

Cen et al., "Controllable Multi-Interest Framework for Recommendation" (KDD 2020), section 3.2:
    A = softmax(W2^T tanh(W1 H))^T over positions  (eq. 6),  V = A H  (eq. 7).

Differs from the paper: a position is counted from the end of the history (0 = latest), so that it means the same for
histories of every length; similarity, readout and loss are the recommender's choice, ComiRec's own being dot product,
hard readout, maximum at serving, and a log-uniform proposal.

B users, L behaviours, K interests, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.errors import require_number
from baselines.interests import InterestExtractor, Interests, assign, recency_rank, scatter


class ComiRecSA(InterestExtractor):
    """Self-attentive interests.

    Args:
        width: D.
        max_history: longest history, for the position vectors.
        n_interests: K, the same for every user (the paper: 4).
        hidden_width: width of the attention's hidden layer; 0 = 4 D, as in the authors' code.
        positions: add a learned vector per position to what the attention reads (not to what it averages).
    """

    def __init__(
        self, width: int, max_history: int, *, n_interests: int = 4, hidden_width: int = 0, positions: bool = True
    ) -> None:
        super().__init__()
        require_number("model.n_interests", n_interests, at_least=1)
        require_number("model.hidden_width", hidden_width, at_least=0)
        self.hidden = nn.Linear(width, hidden_width or 4 * width)
        self.attend = nn.Linear(hidden_width or 4 * width, n_interests, bias=False)  # it would cancel in the softmax
        self.position = nn.Parameter(torch.randn(max_history, width) * 0.02, requires_grad=positions)
        if not positions:
            nn.init.zeros_(self.position)

    def forward(self, history: Tensor, history_mask: Tensor) -> Interests:
        """See `InterestExtractor.forward`; all K interests are live."""
        placed = history[history_mask] + self.position[recency_rank(history_mask)[history_mask]]  # [n, D]
        logits = scatter(self.attend(self.hidden(placed).tanh_()), history_mask)  # [B, L, K]
        logits = logits.masked_fill(~history_mask[..., None], -torch.inf)
        attention = logits.softmax(1)  # [B, L, K]: sums over behaviours
        vectors = attention.mT @ history  # [B, K, D]
        mask = torch.ones(vectors.shape[:2], dtype=torch.bool, device=history.device)
        unread = self.training  # nothing in training reads an assignment made after the fact
        assignment = torch.zeros_like(attention) if unread else assign(history, history_mask, vectors, mask)
        return Interests(
            vectors=vectors,
            mask=mask,
            log_weight=vectors.new_zeros(mask.shape),
            assignment=assignment,
        )
