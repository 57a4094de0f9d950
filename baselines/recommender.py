"""Item table + interest extractor + readout -> named losses, interests, item vectors, rankings.

B users, L behaviours, K interests, D width, N items, S negatives.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines import losses
from baselines.aggregation import queries, read_out, read_out_own
from baselines.batch import Batch
from baselines.config import LossConfig, ScoringConfig
from baselines.dropout import dropout
from baselines.errors import BadInput
from baselines.extractors.causal import CausalExtractor
from baselines.fused_softmax import fused_sampled_softmax
from baselines.interests import InterestExtractor, Interests, concatenate, scatter
from baselines.item_aspects import ItemAspects
from baselines.item_table import ItemTable
from baselines.raised import Raised
from baselines.ranker import Answer, Ranker, Ranking
from baselines.regularization import REGULARIZERS
from baselines.repeats import OwnItems, RepeatBonus
from baselines.representation import make_representation
from baselines.retrieval import Queries, top_n_of_interests
from baselines.samplers import Proposal
from baselines.unit import unit

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
        initial: [N + 1, D] what the item table starts from; None = at random.
        aspects: what is known of the items and joins their vectors; None = nothing.

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
        *,
        initial: Tensor | None = None,
        aspects: ItemAspects | None = None,
    ) -> None:
        super().__init__()
        self.n_items = n_items
        self.scoring = scoring
        self.loss = loss
        self.proposal = proposal
        self.max_history = scoring.max_history
        self.extractor = extractor
        n_interests = getattr(extractor, "n_interests", None)
        self.representation = make_representation(scoring.representation, scoring.width, n_interests)
        self.table = ItemTable(n_items, scoring.width, init_std=scoring.init_std, initial=initial, aspects=aspects)
        log_temperature = torch.tensor(math.log(scoring.temperature))
        self.log_temperature = nn.Parameter(log_temperature, requires_grad=scoring.learn_temperature)
        self.repeats = RepeatBonus(scoring.max_history) if scoring.repeats == "learned" else None
        self.handicap: Tensor | None = None  # [N + 1], what serving takes from every item's score

    @property
    def device(self) -> torch.device:
        """Where the parameters lie."""
        return self.log_temperature.device

    def item_vectors(self, ids: Tensor | None = None) -> Tensor:
        """Vectors of items as they are scored, [..., D]; of all N + 1 rows, padding first, where `ids` is None."""
        return self._directed(self.table(ids))

    def extract(self, behaviours: Tensor, history_mask: Tensor, target: Tensor | None = None) -> Interests:
        """Interests as they are scored: unit length over the temperature for `cosine`, over the temperature for `dot`.

        The extractor reads item vectors whose coordinates are of the order of 1 under `cosine`. In training its
        penalties are joined by the regularizers that `loss.weights` names.

        Args:
            behaviours: [n, D], `item_vectors` of the behaviours, packed: one row for each True of `history_mask`.
            history_mask: [B, L] bool.
            target: [B, D], `item_vectors` of the behaviours to come, for extractors that learn by them.
        """
        more = {}
        if self.extractor.reads_undropped:
            more["undropped"] = self._read(behaviours, history_mask, dropping=False)
        if self.extractor.reads_target and target is not None:
            more["target"] = target.detach()
        found: Interests = self.extractor(self._read(behaviours, history_mask), history_mask, **more)
        penalties = {**found.penalties, **self._regularizers(found)} if self.training else {}
        if self.representation is not None:
            found = self.representation(replace(found, vectors=self._lengthened(self._directed(found.live_vectors))))
        return replace(found, vectors=self._scaled(found.live_vectors), penalties=penalties)

    def _read(self, behaviours: Tensor, history_mask: Tensor, *, dropping: bool = True) -> Tensor:
        """What the extractor sees, [B, L, D], of packed item vectors."""
        behaviours = self._lengthened(behaviours)
        return scatter(dropout(behaviours, self.scoring.dropout, self.training and dropping), history_mask)

    def _lengthened(self, vectors: Tensor) -> Tensor:
        """Directions [..., D] at the length that layers read: under `cosine`, coordinates of the order of 1."""
        return vectors * math.sqrt(self.scoring.width) if self.scoring.similarity == "cosine" else vectors

    def _directed(self, vectors: Tensor) -> Tensor:
        """Vectors [..., D] at the length at which they count: 1 under `cosine`, their own under `dot`."""
        return unit(vectors) if self.scoring.similarity == "cosine" else vectors

    def _scaled(self, vectors: Tensor) -> Tensor:
        """Vectors [..., D] as queries: of unit length under `cosine`, over the temperature."""
        return self._directed(vectors) / self.log_temperature.exp()

    def _regularizers(self, interests: Interests) -> Mapping[str, Tensor]:
        return {name: REGULARIZERS[name](interests) for name in self.loss.weights if name in REGULARIZERS}

    def prefix_reader(self) -> CausalExtractor:
        """Return the extractor, as one that can be trained at every position.

        Raises:
            BadInput: it does not read every prefix at once, or its interests are merged.
        """
        if isinstance(self.extractor, CausalExtractor) and self.representation is None:
            return self.extractor
        raise BadInput(
            f"training.positions=every needs a method that reads every prefix at once (gru4rec, sasrec) and "
            f"scoring.representation=separate, got {type(self.extractor).__name__} and "
            f"{self.scoring.representation}; train at one position."
        )

    def _extract_for_targets(self, behaviours: Tensor, target: Tensor, batch: Batch) -> Interests:
        """One set of interests for each True of `batch.targets_mask`, in order: a user's, or a prefix's."""
        if batch.targets.shape[1] == 1:
            return self.extract(behaviours, batch.history_mask, target)
        states = self.prefix_reader().states(
            self._read(behaviours, batch.history_mask), batch.history_mask
        )  # [B, L, D]
        vectors = self._scaled(states[batch.targets_mask])[:, None]  # [T, 1, D]
        mask = torch.ones(vectors.shape[:2], dtype=torch.bool, device=vectors.device)
        found = Interests(vectors, mask, vectors.new_zeros(mask.shape), vectors.new_zeros(len(mask), 1, 1))
        return replace(found, penalties=self._regularizers(found))  # 0 of one interest, as at one position

    def losses(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Named, unweighted scalar terms: `softmax`, the extractor's penalties, and regularizers.

        Args:
            batch: P = 1, every row with a target; or P = L, a target after each behaviour that `targets_mask` names.
            generator: source of the negatives.
        """
        target = batch.targets[batch.targets_mask]  # [T], T = B where P = 1
        behaviours = batch.history[batch.history_mask]
        own = self._own_items(batch)
        readout = (self.scoring.readout, self.scoring.power)
        others, draws = self._others(target, generator)
        looked_up = self.item_vectors(torch.cat([behaviours, target, others]))  # one gather, one gradient
        of_history, of_target, of_others = torch.split(looked_up, [len(behaviours), len(target), len(others)])
        interests = self._extract_for_targets(of_history, of_target, batch)
        if own is not None:
            row = batch.targets_mask.nonzero()[:, 0]  # [T] whose history a target follows
            own_vectors = scatter(of_history, batch.history_mask)[row]  # [T, L, D]
            draws["own"] = own.scores(read_out_own(interests, of_target, own_vectors, *readout), target)
        fused = target.device.type == "cpu" and self.scoring.readout != "attentive"
        if fused:
            of_items = of_target, of_others, target, others
            term = fused_sampled_softmax(
                *queries(interests, of_target, *readout), *of_items, hardness=self.loss.hardness, **draws
            )
        else:
            scored = read_out(interests, of_target, of_others, *readout)
            term = losses.sampled_softmax(*scored, target, others, hardness=self.loss.hardness, **draws)
        return {"softmax": term, **interests.penalties}

    def _others(self, target: Tensor, generator: torch.Generator) -> tuple[Tensor, dict[str, Any]]:
        """Ids of what stands against each target, [S], and how `sampled_softmax` corrects for their being drawn.

        In the full softmax all items stand against it, each once and for certain, itself left out: nothing to correct.
        """
        if self.loss.kind == "full_softmax":
            return torch.arange(1, self.n_items + 1, device=target.device), {}
        assert self.proposal is not None, "sampled_softmax needs a proposal"
        negatives = self.proposal.sample(self.loss.n_negatives, generator)
        return negatives, {
            "log_q_target": self.proposal.log_q(target) if self.loss.log_q else None,
            "log_q_negatives": self.proposal.log_q(negatives) if self.loss.log_q else None,
            "remove_accidental_hits": self.loss.remove_accidental_hits,
        }

    def _own_items(self, batch: Batch) -> OwnItems | None:
        """What each target's history holds, where that scores by a bonus: a user's history, or a prefix of it."""
        if self.repeats is None:
            return None
        if batch.targets.shape[1] == 1:
            return self.repeats(batch.history, batch.history_mask)  # type: ignore[no-any-return]
        row, last = batch.targets_mask.nonzero(as_tuple=True)  # [T] each
        prefix = torch.arange(batch.history.shape[1], device=last.device) <= last[:, None]
        return self.repeats(batch.history[row], prefix & batch.history_mask[row])  # type: ignore[no-any-return]

    @torch.no_grad()
    def interests(self, batch: Batch) -> Interests:
        """The users' interests, as they are scored; eval mode is the caller's to set.

        Users are extracted in blocks of one fixed size, the history padded to a length that follows from the user's
        own: a product of a few rows may round otherwise than one of many, and so a user's interests are the same bits
        in any batch (a law test watches over it). Of a longer history the latest `max_history` behaviours are read; the
        others' assignment is 0. The batch may lie on any device, the interests lie on the model's.
        """
        batch = batch.to(self.device)
        L, width = batch.history.shape[1], self.scoring.max_history
        history, _, place = self._latest(batch)
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

    def _latest(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """The latest `max_history` behaviours [B, W], their mask, and their places in the batch's history."""
        width = self.scoring.max_history
        first_read = (batch.history_mask.sum(-1, keepdim=True) - width).clamp(min=0)  # [B, 1]
        place = first_read + torch.arange(width, device=first_read.device)  # [B, W]
        read = F.pad(batch.history_mask, (0, width))  # all places exist
        history = F.pad(batch.history, (0, width)).masked_fill(~read, 0).gather(1, place)
        return history, history > 0, place

    def _extract_block(self, history: Tensor) -> Interests:
        """Interests of at most _ROWS users [n, W], found among exactly _ROWS."""
        n = len(history)
        block = F.pad(history, (0, 0, 0, _ROWS - n))
        block[n:, 0] = 1  # users of one behaviour: the cheapest there are
        return self.extract(self.item_vectors(block[block > 0]), block > 0)[torch.arange(n, device=history.device)]

    def rank(self, batch: Batch, top_n: int) -> Ranking:
        """See `Ranker.rank`; exact over the whole catalogue."""
        return self.answer(batch, top_n).ranking

    def answer(self, batch: Batch, top_n: int) -> Answer:
        """See `Ranker.answer`."""
        return self.answer_by(self.interests, batch, top_n)

    def answer_by(self, find: Callable[[Batch], Interests], batch: Batch, top_n: int) -> Answer:
        """Return the interests that `find` finds, and the ranking by them, timed."""
        started, batch = time.perf_counter(), batch.to(self.device)
        interests = find(batch)
        if interests.vectors.device.type == "cuda":
            torch.cuda.synchronize()
        found = time.perf_counter()
        ranking = self.rank_interests(interests, top_n, self._bonus_items(batch))
        return Answer(ranking, interests, found - started, time.perf_counter() - found)

    @torch.no_grad()
    def _bonus_items(self, batch: Batch) -> OwnItems | None:
        """Items of what is read of the users' histories, where those score by a bonus; None where they do not."""
        if self.repeats is None:
            return None
        return self.repeats(*self._latest(batch)[:2])  # type: ignore[no-any-return]

    @torch.no_grad()
    def rank_interests(self, interests: Interests, top_n: int, own: OwnItems | None = None) -> Ranking:
        """Rank all items for interests that are known already, and the histories' items with their bonus."""
        live = interests.mask
        offsets = np.concatenate([[0], np.cumsum(interests.n_live.cpu().numpy())])
        towards, items = interests.vectors[live], self.item_vectors()  # [P, D], [N + 1, D]
        if self.handicap is not None:  # one coordinate more, of which every interest asks 1
            towards = F.pad(towards, (0, 1), value=1.0)
            items = torch.cat([items, -self.handicap.to(items)[:, None]], 1)
        queries = Queries(towards.cpu().numpy(), interests.log_weight[live].cpu().numpy(), offsets.astype(np.int64))
        return top_n_of_interests(
            queries,
            items.cpu().numpy(),
            top_n,
            self.scoring.aggregation,
            raised=None if own is None else Raised(own.ids.cpu().numpy(), own.bonus.cpu().numpy()),
            memory_budget=int(self.scoring.memory_budget_mb * 2**20),
            n_threads=torch.get_num_threads(),
        )
