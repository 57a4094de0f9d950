"""The search spaces, as data: what every trained method shares, and what is a method's own.

A method that is not named in `OWN` has the shared dimensions alone. No torch here.
"""

from __future__ import annotations

from collections.abc import Mapping

from experiments.cli.arguments import accepted
from experiments.registry import find_method
from experiments.tuning.dimensions import Branch, Choice, Dimension, Number, one_of, zero_or

FULL_SOFTMAX_ITEMS = 5_000
"""Catalogues up to this size may be trained with the full softmax: beyond, its B x N scores cost several times what the
largest sample of negatives does."""

_SAMPLED = (
    one_of("loss.n_negatives", 320, 1280),  # 10 for each of 32 and of 128 users (ComiRec: of 128)
    one_of("loss.proposal", "uniform", "log_uniform", "popularity"),
)
_LOSS = Choice(
    "loss",
    {
        "sampled": Branch({"loss.kind": "sampled_softmax"}, _SAMPLED),
        "full": Branch({"loss.kind": "full_softmax"}),
    },
)
_BATCH_SIZE = one_of("training.batch_size", 128, 256)
_SHARED: tuple[Dimension, ...] = (
    Number("training.learning_rate", 1e-3, 3e-2, log=True),
    _BATCH_SIZE,
    zero_or("weight decay", "training.weight_decay", 1e-7, 1e-4),
    Choice(
        "similarity",
        {
            "cosine": Branch({"scoring.similarity": "cosine"}, (Number("scoring.temperature", 0.03, 0.2, log=True),)),
            "dot": Branch({"scoring.similarity": "dot", "scoring.temperature": 1.0}),
        },
    ),
    Number("scoring.dropout", 0.0, 0.5),
    one_of("scoring.max_history", 20, 50),
    one_of("scoring.initialisation", "random", "spectral"),
    one_of("scoring.repeats", "as_any", "learned"),
)

_READOUT = Choice(
    "readout",
    {
        "hard": Branch({"scoring.readout": "hard", "scoring.aggregation": "best_interest"}),
        "label_aware": Branch(
            {"scoring.readout": "label_aware", "scoring.aggregation": "best_interest"},
            (one_of("scoring.power", 0.5, 1.0, 2.0),),
        ),
        "soft": Branch({"scoring.readout": "soft", "scoring.aggregation": "soft_interests"}),
    },
)
_SEVERAL: tuple[Dimension, ...] = (one_of("model.n_interests", 2, 4, 8), _READOUT)

_ROUNDS = one_of("model.n_rounds", 1, 2, 3)
_POSITIONS = Choice(
    "positions",
    {
        "one": Branch({"training.positions": "one"}, (_BATCH_SIZE,)),
        "every": Branch(  # a user gives as many targets as behaviours: fewer users make a batch of the same cost
            {"training.positions": "every"}, (one_of("training.batch_size", 16, 32, 64, name="users of a batch"),)
        ),
    },
)
_ITEM_KNN: tuple[Dimension, ...] = (
    one_of("model.window", 10, 20, 50, 0),
    Number("model.popularity_power", 0.0, 1.0),
    zero_or("shrinkage", "model.shrinkage", 0.1, 100.0),
    one_of("model.n_neighbours", 50, 200, 0),
    one_of("model.n_recent", 1, 5, 20, 0),
    Number("model.decay", 0.3, 1.0),
)
_DENOISING = Number("loss.weights.denoising", 1e-2, 1e1, log=True)
_GENERATED: tuple[Dimension, ...] = (
    one_of("model.n_steps", 1, 2, 4),
    Number("model.max_distance", 0.0, 0.9),
    Number("model.encoder_dropout", 0.0, 0.5),
    _DENOISING,
)
_REPEATS = one_of("model.repeats", True, False)

OWN: Mapping[str, tuple[Dimension, ...]] = {
    "item_knn": (*_ITEM_KNN, _REPEATS),
    "repeat_then_item_knn": _ITEM_KNN,
    "ease": (Number("model.l2", 10.0, 1e4, log=True), _REPEATS),
    "mind": (_ROUNDS,),
    "comirec_dr": (_ROUNDS,),
    "comirec_sa": (Number("model.temperature", 0.25, 4.0, log=True),),
    "remi": (
        *_SAMPLED,  # its hard negatives are sampled ones: with the full softmax it would be ComiRec-SA
        Number("model.temperature", 0.25, 4.0, log=True),
        Number("loss.hardness", 1e-2, 10.0, log=True),
        Number("loss.weights.routing", 1e-2, 1e2, log=True),
    ),
    "sparse_routing": (
        one_of("model.n_interests", 16, 32, 64),  # an upper bound here
        one_of("model.n_selected", 1, 2, 4),
        one_of("model.balance_rate", 0.0, 1.0),
    ),
    "codebook_routing": (one_of("model.n_codes", 16, 32, 64),),
    "pinnersage": (Number("model.max_distance", 0.2, 4.0, log=True), one_of("model.n_served", 3, 0)),
    "adaptive_sequence": (one_of("model.n_layers", 1, 2), Number("model.encoder_dropout", 0.0, 0.5)),
    "diffusion_posterior": (one_of("model.n_samples", 8, 16, 32), *_GENERATED),
    "diffusion_set": (one_of("model.n_samples", 4, 8, 16), *_GENERATED),
    "diffusion_beside": (Number("model.trained_share", 0.1, 0.6), _DENOISING),
    "gru4rec": (
        _POSITIONS,
        one_of("model.n_layers", 1, 2),
        one_of("model.hidden_width", 0, 128, 256),
        Number("model.dropout", 0.0, 0.5),
    ),
    "sasrec": (
        _POSITIONS,
        one_of("model.n_layers", 1, 2),
        one_of("model.n_heads", 1, 2, 4),
        Number("model.dropout", 0.0, 0.5),
    ),
}
"""method -> its own dimensions; they stand in for shared ones that set the same keys."""


def space_of(method: str, n_items: int) -> tuple[Dimension, ...]:
    """Return what a search chooses for `method` on a catalogue of `n_items`; empty where there is nothing to choose.

    Raises:
        BadInput: no method of that name.
    """
    own = OWN.get(method, ())
    if find_method(method).kind == "heuristic":
        return own
    loss = (_LOSS,) if n_items <= FULL_SOFTMAX_ITEMS else _SAMPLED
    several = _SEVERAL if "model.n_interests" in accepted({"method": method}) else ()
    theirs = {key for dimension in own for key in dimension.keys}
    return (*(shared for shared in (*_SHARED, *loss, *several) if not shared.keys & theirs), *own)
