"""name -> class: the only list of methods. A new method is its file and one line here."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from baselines.errors import unknown_name


@dataclass(frozen=True)
class Method:
    """Where a method lives; nothing is imported before `load`.

    Attributes:
        kind: `heuristic` (fitted without gradient) or `extractor` (trained inside a Recommender).
        module, attribute: where its class is.
        settings: what the method sets besides its class, by dotted key: a loss of its own, say. A user's settings win.
        given: what of another room its constructor is given, argument -> `module:attribute`: rooms do not import each
            other.
    """

    kind: Literal["heuristic", "extractor"]
    module: str
    attribute: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)

    def load(self) -> type[Any]:
        """Import and return the class."""
        found: type[Any] = getattr(importlib.import_module(self.module), self.attribute)
        return found

    @property
    def knobs(self) -> dict[str, Any]:
        """Those of its settings that are knobs of the class, by name."""
        return {key.removeprefix("model."): value for key, value in self.settings.items() if key.startswith("model.")}

    def load_given(self) -> dict[str, Any]:
        """Import and return what the constructor is given, by argument."""
        parted = {name: place.split(":") for name, place in self.given.items()}
        return {name: getattr(importlib.import_module(module), found) for name, (module, found) in parted.items()}


_EVERY_POSITION = {"training.positions": "every", "training.batch_size": 64}

_CLUSTERS = {
    "scoring.repeats": "learned",
    "scoring.initialisation": "spectral",  # clusters of a random table say nothing
    "scoring.temperature": 0.15,
    "scoring.dropout": 0.3,
    "loss.n_negatives": 320,
    "loss.proposal": "log_uniform",
    "training.learning_rate": 3e-3,
}

_LINKAGE = {"linkage": "adaptive_mi.linkage:average_linkage"}
_GENERATED = {**_CLUSTERS, "loss.weights": {"denoising": 1.0}}
_GENERATED_SET = {
    **_GENERATED,
    "model.start": 1.0,  # a set is learned from noise, each of its slots an interest
    "model.guidance": 1.0,
    "model.max_distance": 0.0,
    "model.whole_share": 0.5,
    "model.contrast": 2.0,
}

METHODS = {
    "most_popular": Method("heuristic", "baselines.heuristics.most_popular", "MostPopular"),
    "history_repeat": Method("heuristic", "baselines.heuristics.history_repeat", "HistoryRepeat"),
    "item_knn": Method("heuristic", "baselines.heuristics.item_knn", "ItemKNN"),
    "repeat_then_item_knn": Method("heuristic", "baselines.heuristics.item_knn", "RepeatThenItemKNN"),
    "ease": Method("heuristic", "baselines.heuristics.ease", "EASE"),
    "mean_pooling": Method("extractor", "baselines.extractors.mean_pooling", "MeanPooling"),
    "gru4rec": Method("extractor", "baselines.extractors.gru4rec", "GRU4Rec", settings=_EVERY_POSITION),
    "sasrec": Method("extractor", "baselines.extractors.sasrec", "SASRec", settings=_EVERY_POSITION),
    "nonlinear": Method("extractor", "baselines.extractors.nonlinear", "NonLinear"),
    "mind": Method("extractor", "baselines.extractors.mind", "MIND"),
    "comirec_dr": Method("extractor", "baselines.extractors.comirec", "ComiRecDR"),
    "comirec_sa": Method("extractor", "baselines.extractors.comirec", "ComiRecSA"),
    "adaptive": Method("extractor", "adaptive_mi.extractor", "AdaptiveExtractor", settings=_CLUSTERS),
    "adaptive_sequence": Method(
        "extractor", "adaptive_mi.extractor", "AdaptiveExtractor", settings={**_CLUSTERS, "model.whole": "sequence"}
    ),
    "pinnersage": Method("extractor", "adaptive_mi.pinnersage", "PinnerSage", settings=_CLUSTERS),
    "sparse_routing": Method("extractor", "adaptive_mi.sparse_routing", "SparseRouting"),
    "codebook_routing": Method("extractor", "adaptive_mi.codebook_routing", "CodebookRouting"),
    "diffusion_posterior": Method(
        "extractor", "diffusion_mi.extractor", "Posterior", settings=_GENERATED, given=_LINKAGE
    ),
    "diffusion_set": Method(
        "extractor",
        "diffusion_mi.extractor",
        "InterestSet",
        settings=_GENERATED_SET,
        given=_LINKAGE,
    ),
    "diffusion_beside": Method(
        "extractor",
        "diffusion_mi.beside",
        "GeneratedBeside",
        settings={**_GENERATED, "model.extracted": {"whole": "sequence"}},
        given={**_LINKAGE, "extractor": "adaptive_mi.extractor:AdaptiveExtractor"},
    ),
    # Differs from the paper: the readout is a choice, as everywhere, theirs being `hard`; under `soft` a negative is
    # hard for all of a user's interests together. beta multiplies cosines over the temperature, theirs dot products
    # of the order of 1: of their range, .1 to 10, no search chose anything above .06.
    "remi": Method(
        "extractor",
        "baselines.extractors.comirec",
        "ComiRecSA",
        settings={"loss.hardness": 0.05, "loss.weights": {"routing": 1.0}},
    ),
}


def find_method(name: str) -> Method:
    """Return the method of that name.

    Raises:
        BadInput: there is none; names the nearest.
    """
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    return METHODS[name]
