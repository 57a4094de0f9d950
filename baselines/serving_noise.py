"""Variety from noise alone: a trained method's interests moved at random, or found in histories with parts missing.

Controls of what generates interests (`diffusion_mi`): coverage rises with noise, so a generator has to be above these.

* `Jittered`: v + jitter * |v| * e / sqrt(D), e ~ N(0, I), brought back to the length of v; `n_copies` of each interest.
* `DropoutEnsemble`: several passes with dropout left on, as in Gal and Ghahramani, "Dropout as a Bayesian
  Approximation" (ICML 2016), whose passes are averaged; here the interests of all passes are the user's.

Differs from the paper: the dropout is that of the behaviours' vectors (`scoring.dropout`), which every extractor has,
and not of hidden layers; what a pass drops is drawn once, by place in the history, and is the same for all users.

B users, L behaviours, K interests, C copies, D width.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from baselines.batch import Batch
from baselines.interests import InterestExtractor, Interests
from baselines.ranker import Answer, Ranker, Ranking
from baselines.recommender import Recommender
from baselines.unit import unit


class Jittered(Ranker):
    """A recommender whose interests are moved by noise, drawn for each user by the history that is read.

    Args:
        recommender: in eval mode.
        jitter: length of the noise, in units of the interest's.
        n_copies: C, how many interests each becomes; they share its importance and its behaviours.
        seed: noise is drawn by it and the history.
    """

    def __init__(self, recommender: Recommender, jitter: float, n_copies: int, seed: int) -> None:
        self.recommender, self.jitter, self.n_copies, self.seed = recommender, jitter, n_copies, seed
        self.max_history: int = recommender.scoring.max_history

    def rank(self, batch: Batch, top_n: int) -> Ranking:
        """See `Ranker.rank`."""
        return self.answer(batch, top_n).ranking

    def answer(self, batch: Batch, top_n: int) -> Answer:
        """See `Ranker.answer`."""
        interests = self.interests(batch)
        return Answer(self.recommender.rank_interests(interests, top_n, self.recommender.bonus_items(batch)), interests)

    def interests(self, batch: Batch) -> Interests:
        """Return K C interests a user."""
        found = self.recommender.interests(batch)
        mask, C = found.mask.repeat_interleave(self.n_copies, 1), self.n_copies  # [B, K C]
        vectors = found.vectors.repeat_interleave(C, 1)
        moved = vectors + self._noise(batch, mask, vectors.shape[-1]).to(vectors) * vectors.norm(dim=-1, keepdim=True)
        return Interests(
            vectors=torch.where(mask[..., None], unit(moved) * vectors.norm(dim=-1, keepdim=True), 0),
            mask=mask,
            log_weight=found.log_weight.repeat_interleave(C, 1) - math.log(C),
            assignment=found.assignment.repeat_interleave(C, 2) / C,
        )

    def _noise(self, batch: Batch, mask: Tensor, width: int) -> Tensor:
        """[B, K C, D] of about the length `jitter`; dead slots draw none, so that a user's does not depend on K."""
        noise = np.zeros((*mask.shape, width), np.float32)
        histories, live = batch.history.cpu().numpy(), mask.cpu().numpy()
        for user, (history, read) in enumerate(zip(histories, batch.history_mask.cpu().numpy(), strict=True)):
            latest = history[read][-self.max_history :].astype("<i8")
            digest = hashlib.blake2b(latest.tobytes(), digest_size=16, key=self.seed.to_bytes(8, "little")).digest()
            rng = np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
            noise[user, live[user]] = rng.standard_normal((int(live[user].sum()), width), np.float32)
        return torch.from_numpy(noise * np.float32(self.jitter / math.sqrt(width)))


class DropoutEnsemble(InterestExtractor):
    """The interests that an extractor finds in several passes over a history, each with other coordinates dropped.

    Args:
        inner: the extractor.
        dropout: probability of a coordinate to be dropped.
        n_passes: how many passes.
        width: D; max_history: L.
        generator: draws what each pass drops.
    """

    kept: Tensor

    def __init__(
        self,
        inner: InterestExtractor,
        dropout: float,
        n_passes: int,
        *,
        width: int,
        max_history: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.inner = inner
        self.reads_undropped, self.reads_target = inner.reads_undropped, inner.reads_target
        kept = torch.rand(n_passes, max_history, width, generator=generator) >= dropout
        self.register_buffer("kept", kept / (1 - dropout), persistent=False)  # [passes, L, D]

    def forward(self, history: Tensor, history_mask: Tensor, **more: Tensor) -> Interests:
        """See `InterestExtractor.forward`; passes share what they find of importance and of behaviours."""
        L, n = history.shape[1], len(self.kept)
        passes: list[Interests] = [self.inner(history * kept[:L], history_mask, **more) for kept in self.kept]
        return replace(
            passes[0],
            vectors=torch.cat([one.vectors for one in passes], 1),
            mask=torch.cat([one.mask for one in passes], 1),
            log_weight=torch.cat([one.log_weight for one in passes], 1) - math.log(n),
            assignment=torch.cat([one.assignment for one in passes], 2) / n,
            routing=None,
        )
