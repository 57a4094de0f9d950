"""Item table + interest extractor + readout -> named losses, interests, item vectors, rankings.

B users, L behaviours, K interests, D width, N items, S negatives.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines import losses
from baselines.aggregation import read_out
from baselines.batch import Batch
from baselines.config import LossConfig, ScoringConfig
from baselines.interests import InterestExtractor, Interests, concatenate, scatter
from baselines.ranker import Answer, Ranker, Ranking
from baselines.retrieval import Queries, top_n_of_interests
from baselines.samplers import Proposal

_ROWS = 256  # users extracted together outside training, always this many, so that a user's bits depend on no neighbour
_WIDTHS = (8, 16, 32, 64, 128, 256, 512, 1024)  # history lengths they are padded to; the longest is max_history


class Recommender(nn.Module, Ranker):
    """Any InterestExtractor made into something that can be trained and ranked.

    Args:
        n_items: N; ids run from 1, row 0 of the table is padding.
        extractor: history vectors -> Interests.
        scoring: width, similarity, readout, aggregation.
        loss: what is minimised.
        proposal: where negatives come from; not needed for `full_softmax` nor for ranking.

    Initial parameters come from torch's default generator, which the entry point of a run seeds.
    """

    stochastic = True

    def __init__(
        self,
        n_items: int,
        extractor: InterestExtractor,
        scoring: ScoringConfig,
        loss: LossConfig,
        proposal: Proposal | None = None,
    ) -> None:
        super().__init__()
        self.n_items = n_items
        self.scoring = scoring
        self.loss = loss
        self.proposal = proposal
        self.max_history = scoring.max_history
        self.extractor = extractor
        table = torch.randn(n_items + 1, scoring.width) * scoring.init_std
        table[0] = 0
        self.table = nn.Parameter(table)
        log_temperature = torch.tensor(math.log(scoring.temperature))
        self.log_temperature = nn.Parameter(log_temperature, requires_grad=scoring.learn_temperature)

    def item_vectors(self, ids: Tensor | None = None) -> Tensor:
        """Vectors of items as they are scored, [..., D]; of all N + 1 rows, padding first, where `ids` is None."""
        raw = self.table if ids is None else F.embedding(ids, self.table)
        return F.normalize(raw, dim=-1) if self.scoring.similarity == "cosine" else raw

    def extract(self, behaviours: Tensor, history_mask: Tensor) -> Interests:
        """Interests as they are scored: unit length over the temperature for `cosine`, over the temperature for `dot`.

        The extractor reads item vectors whose coordinates are of the order of 1 under `cosine`.

        Args:
            behaviours: [n, D], `item_vectors` of the behaviours, packed: one row for each True of `history_mask`.
            history_mask: [B, L] bool.
        """
        scale = math.sqrt(self.scoring.width) if self.scoring.similarity == "cosine" else 1.0
        interests: Interests = self.extractor(scatter(behaviours * scale, history_mask), history_mask)
        found = interests.vectors.masked_fill(~interests.mask[..., None], 0)  # whatever a dead slot holds, NaN included
        if self.scoring.similarity == "cosine":
            found = F.normalize(found, dim=-1)
        return replace(interests, vectors=found / self.log_temperature.exp())

    def losses(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Named, unweighted scalar terms: `softmax`, and the extractor's penalties.

        Args:
            batch: P = 1, every row with a target.
            generator: source of the negatives.
        """
        target = batch.targets[:, 0]
        behaviours = batch.history[batch.history_mask]
        readout = (self.scoring.readout, self.scoring.power)
        if self.loss.kind == "full_softmax":
            table = self.item_vectors()
            interests = self.extract(table[behaviours], batch.history_mask)
            _, scores = read_out(interests, table[target], table, *readout)
            return {"softmax": losses.full_softmax(scores, target), **interests.penalties}

        assert self.proposal is not None, "sampled_softmax needs a proposal"
        negatives = self.proposal.sample(self.loss.n_negatives, generator)
        looked_up = self.item_vectors(torch.cat([behaviours, target, negatives]))  # one gather, one dense gradient
        of_history, of_target, of_negatives = torch.split(looked_up, [len(behaviours), len(target), len(negatives)])
        interests = self.extract(of_history, batch.history_mask)
        target_scores, negative_scores = read_out(interests, of_target, of_negatives, *readout)
        term = losses.sampled_softmax(
            target_scores,
            negative_scores,
            target,
            negatives,
            log_q_target=self.proposal.log_q(target) if self.loss.log_q else None,
            log_q_negatives=self.proposal.log_q(negatives) if self.loss.log_q else None,
            remove_accidental_hits=self.loss.remove_accidental_hits,
        )
        return {"softmax": term, **interests.penalties}

    @torch.no_grad()
    def interests(self, batch: Batch) -> Interests:
        """The users' interests, as they are scored; eval mode is the caller's to set.

        Users are extracted in blocks of one fixed size, the history padded to a length that follows from the user's
        own: a product of a few rows may round otherwise than one of many, and so a user's interests are the same bits
        in any batch (a law test watches over it). Of a longer history the latest `max_history` behaviours are read; the
        others' assignment is 0.
        """
        L, width = batch.history.shape[1], self.scoring.max_history
        first_read = (batch.history_mask.sum(-1, keepdim=True) - width).clamp(min=0)  # [B, 1]
        place = first_read + torch.arange(width, device=first_read.device)  # [B, width] in the batch's history
        read = F.pad(batch.history_mask, (0, width))  # all places exist
        history = F.pad(batch.history, (0, width)).masked_fill(~read, 0).gather(1, place)
        ladder = torch.tensor([w for w in _WIDTHS if w < width] + [width], device=history.device)
        rung = torch.bucketize((history > 0).sum(-1), ladder)  # [B] the narrowest that holds the history
        rows = [block for r in range(len(ladder)) for block in torch.split((rung == r).nonzero().squeeze(-1), _ROWS)]
        rows = [block for block in rows if len(block)]
        parts = [self._extract_block(history[block, : ladder[rung[block[0]]]]) for block in rows]
        joined = concatenate(parts, width)[torch.cat(rows).argsort()]
        K = joined.mask.shape[1]
        whole = joined.assignment.new_zeros(len(history), L + width, K)
        whole.scatter_(1, place[..., None].expand(-1, -1, K), joined.assignment)
        return replace(joined, assignment=whole[:, :L])

    def _extract_block(self, history: Tensor) -> Interests:
        """Interests of at most _ROWS users [n, W], found among exactly _ROWS."""
        n = len(history)
        block = F.pad(history, (0, 0, 0, _ROWS - n))
        block[n:, 0] = 1  # users of one behaviour: the cheapest there are
        return self.extract(self.item_vectors(block[block > 0]), block > 0)[torch.arange(n, device=history.device)]

    def rank(self, batch: Batch, top_n: int) -> Ranking:
        """See `Ranker.rank`; exact over the whole catalogue."""
        return self.rank_interests(self.interests(batch), top_n)

    def answer(self, batch: Batch, top_n: int) -> Answer:
        """See `Ranker.answer`."""
        interests = self.interests(batch)
        return Answer(self.rank_interests(interests, top_n), interests)

    @torch.no_grad()
    def rank_interests(self, interests: Interests, top_n: int) -> Ranking:
        """Rank all items for interests that are known already."""
        live = interests.mask
        offsets = np.concatenate([[0], np.cumsum(interests.n_live.cpu().numpy())])
        queries = Queries(
            interests.vectors[live].cpu().numpy(), interests.log_weight[live].cpu().numpy(), offsets.astype(np.int64)
        )
        return top_n_of_interests(
            queries,
            self.item_vectors().cpu().numpy(),
            top_n,
            self.scoring.aggregation,
            memory_budget=int(self.scoring.memory_budget_mb * 2**20),
            n_threads=torch.get_num_threads(),
        )
