"""How a trained recommender scores and what it minimises: the knobs that all extractors share. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from baselines.errors import require_number

Similarity = Literal["dot", "cosine"]
Readout = Literal["hard", "label_aware", "soft"]
Aggregation = Literal["best_interest", "soft_interests"]
LossKind = Literal["sampled_softmax", "full_softmax"]
ProposalName = Literal["uniform", "log_uniform", "popularity"]


@dataclass(frozen=True, kw_only=True)
class ScoringConfig:
    """From a history to a score of every item."""

    width: int = 64
    """D, the width of item and interest vectors; 64 in most of the field's papers."""

    max_history: int = 50
    """L, how many of the latest behaviours are read (ComiRec: 20 for Books, 50 for Taobao)."""

    similarity: Similarity = "cosine"
    """Match of interest and item. Under `dot`, norms grow with popularity; `cosine` removes that."""

    temperature: float = 0.07
    """What a match is divided by; the cosine needs it, since it cannot exceed 1. With `dot`, 1 is customary."""

    learn_temperature: bool = False
    """Train the temperature (its logarithm), starting from `temperature`."""

    readout: Readout = "soft"
    """How training joins K interests, knowing the target: the one that matches it best (`hard`, ComiRec), an average
    weighted by softmax(match ** power) (`label_aware`, MIND), or log-sum-exp over interests (`soft`)."""

    power: float = 1.0
    """The exponent of `label_aware` (MIND, section 3.4: 0 = mean of the interests, infinity = hard)."""

    aggregation: Aggregation = "soft_interests"
    """How serving joins K scores: the maximum (`best_interest`) or log-sum-exp (`soft_interests`)."""

    init_std: float = 0.1
    """Standard deviation of a new item table's entries."""

    memory_budget_mb: float = 64.0
    """Memory for the score tiles of full ranking, in MiB; it changes no result."""

    def __post_init__(self) -> None:
        for name in ("width", "max_history", "temperature", "init_std", "memory_budget_mb"):
            require_number(f"scoring.{name}", getattr(self, name), above=0)
        require_number("scoring.power", self.power)


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """What training minimises."""

    kind: LossKind = "sampled_softmax"
    """Cross-entropy of the target against `n_negatives` shared sampled items, or against all items (`full_softmax`)."""

    n_negatives: int = 1280
    """S, negatives shared by a batch (ComiRec: 10 for each of 128 users)."""

    proposal: ProposalName = "uniform"
    """What negatives are drawn from: all items alike, Zipf over the frequency-ordered ids, or training popularity."""

    log_q: bool = True
    """Subtract the proposal's log-probability from the scores, so that the sampled loss estimates the full one."""

    remove_accidental_hits: bool = True
    """Ignore negatives equal to the row's target."""

    weights: Mapping[str, float] = field(default_factory=dict)
    """Weight of each named term of the loss, `softmax` and the method's penalties; 1 where none is given."""

    def __post_init__(self) -> None:
        require_number("loss.n_negatives", self.n_negatives, above=0)
        for name, weight in self.weights.items():
            require_number(f"loss.weights.{name}", weight)
