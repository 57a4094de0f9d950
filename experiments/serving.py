"""A fitted method as it is evaluated: as it was trained, or with what a run asks to be otherwise in serving."""

from __future__ import annotations

import inspect
from dataclasses import replace

import torch

from baselines.config import ServingConfig
from baselines.contrasted import Contrasted
from baselines.errors import BadInput, unknown_name
from baselines.fewer_interests import FewerInterests
from baselines.ranker import Ranker
from baselines.recommender import Recommender
from baselines.reranking import Reranked
from baselines.serving_noise import DropoutEnsemble, Jittered
from experiments.config import RunConfig
from experiments.data.dataset import Dataset
from experiments.methods import AnyMethod, make_method
from experiments.registry import find_method


def served(method: AnyMethod, config: RunConfig, dataset: Dataset) -> Ranker:
    """Return the method as `config.serving` and `config.reranking` say; itself where they say nothing.

    Args:
        method: fitted; it stays as it is.
        config: of the run.
        dataset: what it was fitted on.

    Raises:
        BadInput: a knob that the method has not or that shapes its parameters; or the method has no item vectors, or
            the items have no categories, and re-ranking needs them.
    """
    ranker: Ranker = method
    if config.serving != ServingConfig():
        if not isinstance(method, Recommender):
            raise BadInput(f"{config.method} is fitted without a gradient: set its knobs, and leave 'serving' out.")
        ranker = _otherwise(method, config, dataset)
    if config.reranking.kind == "none":
        return ranker
    vectors = method.item_vectors().detach().cpu().numpy() if isinstance(method, Recommender) else None
    return Reranked(ranker, config.reranking, categories=dataset.metadata.item_categories, vectors=vectors)


def _otherwise(method: Recommender, config: RunConfig, dataset: Dataset) -> Ranker:
    """Return a recommender of the same parameters and other knobs; with what else `config.serving` asks for."""
    serving = config.serving
    entry = find_method(config.method)
    known = set(inspect.signature(entry.load()).parameters) - {"width", "max_history", *entry.given}
    for name in serving.model:
        if name not in known:
            raise unknown_name("key of serving.model", name, known)
    with torch.random.fork_rng(devices=[]):  # it draws parameters that are replaced at once
        made = make_method(
            replace(config, model={**config.model, **serving.model}), dataset.train, dataset.metadata, fresh=False
        )
    assert isinstance(made, Recommender)
    try:
        made.load_state_dict(method.state_dict())
    except RuntimeError as error:
        raise BadInput(
            f"serving.model sets {', '.join(serving.model)}, and with that the parameters of {config.method} are "
            "others than those that were trained; set it under 'model'."
        ) from error
    if serving.dropout:
        made.extractor = DropoutEnsemble(made.extractor, serving.dropout, serving.n_passes, config.seed)
    if serving.popularity_penalty:
        made.handicap = serving.popularity_penalty * torch.from_numpy(dataset.train.item_counts).log1p()
    made.eval()
    if serving.contrast > 1:
        return Contrasted(made, serving.contrast, dataset.train.item_counts, share=serving.contrast_share)
    if serving.keeps_fewer:
        return FewerInterests(made, serving.kept_share, serving.n_kept)
    return Jittered(made, serving.jitter, serving.n_copies, config.seed) if serving.jitter else made
