"""The usual public way to train ComiRec-SA, as a yardstick: batches made in Python, the whole table moved every step.

The outline of the training loops of THUDM/ComiRec and its PyTorch ports (Tokkiu/REMI): users drawn one by one, a target
and a padded list of behaviours each, lists made into tensors, dot products, the interest that matches the target best,
shared uniform negatives, Adam over all items. What a port assembles and never reads (time and adjacency matrices, four
fifths of REMI's time) is left out: the yardstick is the faster for it.
"""

from __future__ import annotations

import random
import time

import torch
from torch import nn
from torch.nn import functional as F

from baselines.sequences import Sequences


class PlainComiRecSA(nn.Module):
    """Self-attentive interests as the ports write them."""

    def __init__(self, n_items: int, width: int, max_history: int, n_interests: int) -> None:
        super().__init__()
        self.items = nn.Embedding(n_items + 1, width, padding_idx=0)
        self.position = nn.Parameter(torch.randn(1, max_history, width) * 0.02)
        self.hidden = nn.Linear(width, 4 * width, bias=False)
        self.attend = nn.Linear(4 * width, n_interests, bias=False)

    def forward(self, history: torch.Tensor, mask: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the interest [B, D] that matches the target best."""
        behaviours = self.items(history) * mask[..., None]
        logits = self.attend(torch.tanh(self.hidden(behaviours + self.position)))  # [B, L, K]
        attention = logits.masked_fill(mask[..., None] == 0, -(2.0**32) + 1).softmax(1)
        interests = attention.transpose(1, 2) @ behaviours  # [B, K, D]
        best = (interests @ self.items(target)[..., None]).squeeze(-1).argmax(1)
        chosen: torch.Tensor = interests[torch.arange(len(best)), best]
        return chosen


def examples_per_second(
    train: Sequences, *, width: int, max_history: int, n_interests: int, batch_size: int, n_negatives: int, n_steps: int
) -> float:
    """Train for `n_steps` after three that are not timed."""
    graph = {user: train[user].tolist() for user in range(len(train)) if train.lengths[user] > 4}
    users = list(graph)
    model = PlainComiRecSA(train.n_items, width, max_history, n_interests)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    started = 0.0
    for step in range(n_steps + 3):
        if step == 3:
            started = time.perf_counter()
        targets, histories, masks = [], [], []
        for user in random.choices(users, k=batch_size):
            behaviours = graph[user]
            k = random.choice(range(4, len(behaviours)))
            read = behaviours[max(0, k - max_history) : k]
            targets.append(behaviours[k])
            histories.append(read + [0] * (max_history - len(read)))
            masks.append([1.0] * len(read) + [0.0] * (max_history - len(read)))
        target = torch.tensor(targets)
        vector = model(torch.tensor(histories), torch.tensor(masks), target)
        negatives = torch.randint(1, train.n_items + 1, (n_negatives,))
        of_target = (vector * model.items(target)).sum(-1, keepdim=True)
        scores = torch.cat([of_target, vector @ model.items(negatives).T], 1)
        loss = F.cross_entropy(scores, torch.zeros_like(target))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return n_steps * batch_size / (time.perf_counter() - started)
