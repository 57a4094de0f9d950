"""Variety from noise alone: a trained method's interests moved at random, or found in histories with parts missing.

Controls of what generates interests (`diffusion_mi`): coverage rises with noise, so a generator has to be above these.

* `Jittered`: v + jitter * |v| * e / sqrt(D), e ~ N(0, I), brought back to the length of v; `n_copies` of each interest.
* `DropoutEnsemble`: several passes with dropout left on, as in Gal and Ghahramani, "Dropout as a Bayesian
  Approximation" (ICML 2016), whose passes are averaged; here the interests of all passes are the user's.

Differs from the paper: the dropout is that of the behaviours' vectors (`scoring.dropout`), which every extractor has,
and not of hidden layers; what a pass drops is drawn for each user by the history, the same each time.

B users, L behaviours, K interests, C copies, D width.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from baselines.batch import Batch
from baselines.interests import InterestExtractor, Interests
from baselines.moved_interests import Floats, MovedInterests, at_length, length_of
from baselines.recommender import Recommender


class Jittered(MovedInterests):
    """A recommender whose interests are moved by noise, drawn for each user by the history that is read.

    Args:
        recommender: in eval mode.
        jitter: length of the noise, in units of the interest's.
        n_copies: C, how many interests each becomes; they share its importance and its behaviours.
        seed: noise is drawn by it and the history.
    """

    def __init__(self, recommender: Recommender, jitter: float, n_copies: int, seed: int) -> None:
        super().__init__(recommender)
        self.jitter, self.n_copies, self.seed = jitter, n_copies, seed

    def interests(self, batch: Batch) -> Interests:
        """Return K C interests a user."""
        found, C = self.recommender.interests(batch), self.n_copies
        vectors = torch.zeros(found.mask.shape[0], found.mask.shape[1] * C, found.vectors.shape[-1])
        mask = found.mask.repeat_interleave(C, 1)
        live = found.vectors.repeat_interleave(C, 1)[mask].cpu().numpy()  # [P, D] of all users, back to back
        n_live = mask.sum(1).cpu().numpy()
        users = zip(batch.history.cpu().numpy(), batch.history_mask.cpu().numpy(), n_live, strict=True)
        draws = [self._draw(history[read], n, live.shape[1]) for history, read, n in users]
        vectors[mask.cpu()] = torch.from_numpy(_moved(live, np.concatenate(draws), self.jitter))
        return Interests(
            vectors=vectors.to(found.vectors),
            mask=mask,
            log_weight=found.log_weight.repeat_interleave(C, 1) - math.log(C),
            assignment=found.assignment.repeat_interleave(C, 2) / C,
            notes=found.notes,
        )

    def _draw(self, history: NDArray[np.int64], n_vectors: int, width: int) -> Floats:
        """Normal draws [n_vectors, D] that follow from the seed and from what is read of a history, [n] ids."""
        rng = _generator(history[-self.max_history :].astype("<i8"), self.seed)
        return rng.standard_normal((n_vectors, width), np.float32)


def _moved(vectors: Floats, draws: Floats, jitter: float) -> Floats:
    """Add noise to vectors [P, D], their length staying as it is."""
    length = length_of(vectors)
    return at_length(vectors + draws * np.float32(jitter / math.sqrt(vectors.shape[1])) * length, length)


class DropoutEnsemble(InterestExtractor):
    """The interests that an extractor finds in several passes over a history, each with other coordinates dropped.

    Args:
        inner: the extractor.
        dropout: probability of a coordinate to be dropped.
        n_passes: how many passes; the more, the more of the noise is averaged away where scores are joined.
        seed: what is dropped is drawn by it and the history.
    """

    def __init__(self, inner: InterestExtractor, dropout: float, n_passes: int, seed: int) -> None:
        super().__init__()
        self.inner, self.dropout, self.n_passes, self.seed = inner, dropout, n_passes, seed
        self.reads_undropped, self.reads_target = inner.reads_undropped, inner.reads_target

    def forward(self, history: Tensor, history_mask: Tensor, **more: Tensor) -> Interests:
        """See `InterestExtractor.forward`; passes share importance, and those that give a behaviour away share it."""
        n = self.n_passes
        kept = self.kept(history, history_mask)
        passes: list[Interests] = [self.inner(history * of_pass, history_mask, **more) for of_pass in kept]
        n_giving = torch.stack([one.assignment.sum(2) > 0 for one in passes]).sum(0)  # [B, L]
        return replace(
            passes[0],
            vectors=torch.cat([one.vectors for one in passes], 1),
            mask=torch.cat([one.mask for one in passes], 1),
            log_weight=torch.cat([one.log_weight for one in passes], 1) - math.log(n),
            assignment=torch.cat([one.assignment for one in passes], 2) / n_giving.clamp(min=1)[..., None],
            routing=None,
        )

    def kept(self, history: Tensor, history_mask: Tensor) -> Iterator[Tensor]:
        """Yield what each pass multiplies behaviours by, [B, L, D]: 0, or 1 over the share that is kept."""
        rows, read = history.detach().cpu().numpy(), history_mask.cpu().numpy()
        draws = [_generator(own[whose], self.seed) for own, whose in zip(rows, read, strict=True)]
        for _ in range(self.n_passes):
            factors = np.zeros(rows.shape, np.float32)
            for user, (rng, whose) in enumerate(zip(draws, read, strict=True)):
                factors[user, whose] = rng.random((whose.sum(), rows.shape[2]), np.float32) >= self.dropout
            yield torch.from_numpy(factors / np.float32(1 - self.dropout)).to(history)


def _generator(history: NDArray[Any], seed: int) -> np.random.Generator:
    """A generator that follows from the seed and from what is read of a history, ids or vectors."""
    digest = hashlib.blake2b(np.ascontiguousarray(history).tobytes(), digest_size=16, key=seed.to_bytes(8, "little"))
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest.digest(), "little")))
