"""SASRec: one interest, by causal self-attention over the history.

Kang and McAuley, "Self-Attentive Sequential Recommendation" (ICDM 2018), section III:
    x = Dropout(E + P), E the item vectors, P the positions'                                   (eq. 1)
    x = x + Dropout(SA(LayerNorm(x))),   SA(y) = softmax(y W_Q (y W_K)^T / sqrt(D)) y W_V      (eqs. 2, 3)
    x = x + Dropout(FFN(LayerNorm(x))),  FFN(y) = ReLU(y W_1 + b_1) W_2 + b_2                  (eq. 4)
where the softmax sums over behaviours 0..l for behaviour l, and the last two lines are repeated once a layer (eq. 5).

Full strength asks for more than the encoder: `training.positions = every`, as the paper trains; and in place of its
binary cross-entropy with one negative, `loss.kind = full_softmax`, or `sampled_softmax` with `loss.n_negatives` = 3000.
Klenitskiy and Vasilev, "Turning Dross Into Gold Loss" (RecSys 2023), show that with either SASRec beats BERT4Rec;
Petrov and Macdonald, "gSASRec" (RecSys 2023), trace the overconfidence that a single negative teaches.

Differs from the paper:
* a position is counted from the start of the window that is read, not from its end. So a prefix has one state, whether
  it is the whole history or the start of a longer one: training at one position, training at every position and
  evaluation are one function. The paper pads on the left and trains a prefix at places where it is never evaluated;
* a LayerNorm after the last layer, and several heads if asked for, their outputs side by side with no map after them:
  both as in the authors' code. Where that code strays from the paper the paper is followed: in the code the residual is
  the normalised input, keys and values are not normalised, W_Q, W_K, W_V have biases, and dropout falls on attention
  weights and inside FFN too;
* item vectors are not scaled by sqrt(D) here; the recommender does so for `cosine`. The loss is the recommender's.

B users, L behaviours, D width, n behaviours of all users, packed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.dropout import Dropout
from baselines.errors import BadInput, require_number
from baselines.extractors.causal import CausalExtractor
from baselines.interests import pack, scatter


class SASRec(CausalExtractor):
    """A causal transformer over the history.

    Args:
        width: D.
        max_history: longest history, for the position vectors.
        n_layers: attention blocks (the paper: 2).
        n_heads: attention heads, a divisor of D (the paper: 1).
        dropout: probability with which a coordinate of E + P, of SA and of FFN is dropped in training (the paper: 0.2
            for MovieLens-1M, 0.5 for sparser data); `scoring.dropout` would come on top.
        feed_forward_width: width of FFN's hidden layer; 0 = D, as in the paper.
    """

    def __init__(
        self,
        width: int,
        max_history: int,
        *,
        n_layers: int = 2,
        n_heads: int = 1,
        dropout: float = 0.2,
        feed_forward_width: int = 0,
    ) -> None:
        super().__init__()
        require_number("model.n_layers", n_layers, at_least=1)
        require_number("model.n_heads", n_heads, at_least=1)
        require_number("model.feed_forward_width", feed_forward_width, at_least=0)
        if width % n_heads:
            raise BadInput(f"model.n_heads must divide scoring.width={width}, got {n_heads}.")
        self.position = nn.Parameter(torch.randn(max_history, width) * 0.02)
        self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList(
            _Block(width, n_heads, feed_forward_width or width, dropout) for _ in range(n_layers)
        )
        self.norm = nn.LayerNorm(width)

    def states(self, history: Tensor, history_mask: Tensor) -> Tensor:
        """See `CausalExtractor.states`; rows of padding are 0. Only attention sees padding, all else is packed."""
        place = history_mask.nonzero()[:, 1]  # [n] of each behaviour in its window
        behaviours = self.dropout(pack(history, history_mask) + F.embedding(place, self.position))  # [n, D]
        for block in self.blocks:
            behaviours = block(behaviours, history_mask)
        return scatter(self.norm(behaviours), history_mask)


class _Block(nn.Module):
    """Self-attention, then the point-wise feed-forward network, each added to what it read."""

    def __init__(self, width: int, n_heads: int, feed_forward_width: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm_attention = nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width, bias=False)
        self.norm_feed_forward = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, feed_forward_width), nn.ReLU(), nn.Linear(feed_forward_width, width)
        )
        self.dropout = Dropout(dropout)

    def forward(self, behaviours: Tensor, history_mask: Tensor) -> Tensor:
        """Map packed behaviours [n, D] to [n, D]."""
        behaviours = behaviours + self.dropout(self._attend(self.norm_attention(behaviours), history_mask))
        increment: Tensor = self.dropout(self.feed_forward(self.norm_feed_forward(behaviours)))
        return behaviours + increment

    def _attend(self, behaviours: Tensor, history_mask: Tensor) -> Tensor:
        """Let each behaviour [n, D] attend to itself and those before it; padding is after all of them, so unseen."""
        padded = scatter(self.queries_keys_values(behaviours), history_mask)  # [B, L, 3 D]
        B, L, _ = padded.shape
        q, k, v = (part.view(B, L, self.n_heads, -1).transpose(1, 2) for part in padded.chunk(3, -1))
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # [B, heads, L, D / heads]
        side_by_side: Tensor = attended.transpose(1, 2).flatten(2)  # [B, L, D]
        return pack(side_by_side, history_mask)
