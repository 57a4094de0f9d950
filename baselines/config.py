"""How a trained recommender scores and what it minimises: the knobs that all extractors share. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from baselines.errors import BadInput, require_number

Similarity = Literal["dot", "cosine"]
Readout = Literal["hard", "label_aware", "soft", "mean", "attentive"]
Aggregation = Literal["best_interest", "soft_interests", "mean_interests", "attentive_interests"]
Representation = Literal["separate", "concat_mlp", "base_attention", "in_context"]
Initialisation = Literal["random", "spectral"]
Aspect = Literal["categories", "brand"]
RerankingKind = Literal["none", "controllable", "dpp"]
Repeats = Literal["as_any", "learned"]
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
    """How training joins K interests. Knowing the target: the one that matches it best scores all (`hard`, ComiRec), or
    an average weighted by softmax(match ** power) does (`label_aware`, MIND). As serving does, item by item:
    log-sum-exp over interests (`soft`), their mean (`mean`), an average weighted by softmax(match) (`attentive`)."""

    power: float = 1.0
    """The exponent of `label_aware` (MIND, section 3.4: 0 = mean of the interests, infinity = hard)."""

    aggregation: Aggregation = "soft_interests"
    """How serving joins K scores: the maximum (`best_interest`), log-sum-exp (`soft_interests`), the mean
    (`mean_interests`), or an average weighted by softmax(match), target attention (`attentive_interests`)."""

    representation: Representation = "separate"
    """What is made of the K interests before anything is scored: nothing (`separate`); one vector, by a perceptron over
    all of them (`concat_mlp`) or by the attention of a base interest, the mean of the live ones (`base_attention`); or
    K again, each moved by one non-linear step that reads it and the base interest (`in_context`)."""

    repeats: Repeats = "as_any"
    """How an item of the user's own history scores: as any other (`as_any`, the published protocol), or with a bonus,
    or a malus, that is learned by how recent its latest occurrence is (`learned`)."""

    dropout: float = 0.0
    """Probability with which a coordinate of a behaviour's vector is dropped in training, before extraction."""

    initialisation: Initialisation = "random"
    """How the item table starts: normal draws, or the truncated SVD of shifted PPMI co-occurrence (`spectral`)."""

    init_std: float = 0.1
    """Standard deviation of a new item table's entries."""

    side_information: tuple[Aspect, ...] = ()
    """What is known of an item and joins its vector: `categories`, `brand`."""

    memory_budget_mb: float = 64.0
    """Memory for the score tiles of full ranking, in MiB; it changes no result."""

    def __post_init__(self) -> None:
        for name in ("width", "max_history", "temperature", "init_std", "memory_budget_mb"):
            require_number(f"scoring.{name}", getattr(self, name), above=0)
        require_number("scoring.power", self.power, at_least=0)
        require_number("scoring.dropout", self.dropout, at_least=0, below=1)


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
    """Subtract the proposal's log-probability from the scores: the optimum then orders items as the full loss's."""

    remove_accidental_hits: bool = True
    """Ignore negatives equal to the row's target."""

    hardness: float = 0.0
    """beta of REMI's interest-aware hard negatives: a negative weighs exp(beta * score); 0 = all alike. The score is
    what enters the softmax, temperature included (REMI's 10, 1 and 0.1 were for plain dot products)."""

    weights: Mapping[str, float] = field(default_factory=dict)
    """Weight of each named term of the loss: `softmax` and the method's penalties, 1 where none is given, and the
    regularizers (`baselines.regularization`), which are computed where they are named here."""

    def __post_init__(self) -> None:
        require_number("loss.n_negatives", self.n_negatives, above=0)
        require_number("loss.hardness", self.hardness, at_least=0)
        if self.hardness and self.kind == "full_softmax":
            raise BadInput(
                "loss.hardness weighs sampled negatives, and loss.kind=full_softmax draws none; set it to 0."
            )
        for name, weight in self.weights.items():
            require_number(f"loss.weights.{name}", weight)


@dataclass(frozen=True, kw_only=True)
class RerankingConfig:
    """Whether a list trades relevance for variety once it is ranked. Training and its validation never do."""

    kind: RerankingKind = "none"
    """What counts as variety: nothing (`none`), different categories (`controllable`, ComiRec), or item vectors that
    span much (`dpp`, a determinantal point process; for methods that have item vectors)."""

    diversity_weight: float = 0.1
    """lambda, what variety is worth, in units of the distance between the best and the last candidate's score; 0 =
    as ranked."""

    pool: int = 200
    """How many of the best items are candidates, for each user; at least as many as there are places to fill."""

    def __post_init__(self) -> None:
        require_number("reranking.diversity_weight", self.diversity_weight, at_least=0)
        require_number("reranking.pool", self.pool, above=0)


@dataclass(frozen=True, kw_only=True)
class ServingConfig:
    """What is otherwise in serving than it was in training, which never sees it, nor does its validation.

    Runs that differ here or in re-ranking alone share one training. Noise follows from the seed and the user's own
    history: it is the same whenever the user comes, in whatever company.
    """

    model: Mapping[str, Any] = field(default_factory=dict)
    """Knobs of the method with another value than in training; those that shape its parameters cannot have one."""

    jitter: float = 0.0
    """Length of Gaussian noise that is added to each interest, in units of the interest's; 0 = none."""

    n_copies: int = 1
    """How many interests, each with noise of its own, an interest becomes under `jitter`; they share its importance."""

    dropout: float = 0.0
    """Probability with which a coordinate of a behaviour's vector is dropped, as in training by `scoring.dropout`, in
    each of several passes over the history, whose interests are joined; 0 = one pass, nothing dropped."""

    n_passes: int = 8
    """How many passes there are under `dropout`."""

    popularity_penalty: float = 0.0
    """alpha: an item's score loses alpha log(1 + its behaviours in training). Scores are log odds, so that 1 would rank
    by what a history makes likelier than it is for everybody."""

    contrast: float = 1.0
    """Beside each interest a second one, led this many times as far from the mean of what is popular; 1 = none. What
    guidance is to generated interests, for extracted ones."""

    contrast_share: float = 0.5
    """The share of each interest's importance that the second one has under `contrast`."""

    kept_share: float = 1.0
    """The share of the importance that is served: of each user's interests the fewest that have it, most important
    first, so that a request costs as many searches as the user needs; 1 = all."""

    n_kept: int = 0
    """How many interests are served at most, the same for everybody, most important first; 0 = all."""

    def __post_init__(self) -> None:
        require_number("serving.jitter", self.jitter, at_least=0)
        require_number("serving.n_copies", self.n_copies, at_least=1)
        require_number("serving.dropout", self.dropout, at_least=0, below=1)
        require_number("serving.n_passes", self.n_passes, at_least=1)
        require_number("serving.popularity_penalty", self.popularity_penalty, at_least=0)
        require_number("serving.contrast", self.contrast, at_least=1)
        require_number("serving.contrast_share", self.contrast_share, above=0, below=1)
        require_number("serving.kept_share", self.kept_share, above=0, at_most=1)
        require_number("serving.n_kept", self.n_kept, at_least=0)
        asked = {"contrast": self.contrast > 1, "jitter": self.jitter > 0, "kept_share or n_kept": self.keeps_fewer}
        names = [f"serving.{name}" for name, wanted in asked.items() if wanted]
        if len(names) > 1:
            raise BadInput(f"{' and '.join(names)} are each a control of its own: ask for one of them.")

    @property
    def keeps_fewer(self) -> bool:
        """Whether some interests are not served."""
        return self.kept_share < 1 or self.n_kept > 0
