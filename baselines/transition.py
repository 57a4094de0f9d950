"""From what a user has seen to what comes next: one non-linear step, the same for every interest.

A pooled interest lies among the items it was pooled of, and what scores highest with it are those items and their
nearest; where nobody takes an item twice the next one lies elsewhere. A single vector gets such a step from its
encoder's feed-forward network (SASRec, eq. 4), of which this is one block:

    t(v) = v + W_2 relu(W_1 LayerNorm(v) + b_1) + b_2,    W_2 = 0, b_2 = 0 at the start.

What comes next in one interest may depend on the user's other ones. So the step can read v in its context c, the user's
history as a whole: (LayerNorm(v), LayerNorm(c)) then stands for LayerNorm(v).

B users, K interests, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.interests import pack, scatter


class Transition(nn.Module):
    """A residual perceptron that starts as the identity.

    Args:
        width: D; the hidden layer has 4 D.
        in_context: read a context, too.
    """

    def __init__(self, width: int, in_context: bool = False) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.context_norm = nn.LayerNorm(width) if in_context else None
        self.hidden = nn.Linear(2 * width if in_context else width, 4 * width)
        self.out = nn.Linear(4 * width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, vectors: Tensor, mask: Tensor, context: Tensor | None = None) -> Tensor:
        """Move the live vectors, each by itself and its user's context, to [B, K, D]; 0 where dead.

        Args:
            vectors: [B, K, D]; mask: [B, K] bool.
            context: [B, D], where one is read.
        """
        interests = pack(vectors, mask)  # [n, D]
        read = self.norm(interests)
        if self.context_norm is not None:
            assert context is not None, "a step in context reads one"
            of_user = context[mask.nonzero()[:, 0]]
            read = torch.cat([read, self.context_norm(of_user)], 1)
        return scatter(interests + self.out(torch.relu(self.hidden(read))), mask)
