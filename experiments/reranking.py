"""A fitted method as it is evaluated: with its lists re-ranked, where a run asks for it."""

from __future__ import annotations

from baselines.config import RerankingConfig
from baselines.ranker import Ranker
from baselines.recommender import Recommender
from baselines.reranking import Reranked
from experiments.data.metadata import ItemMetadata
from experiments.methods import AnyMethod


def reranked(method: AnyMethod, config: RerankingConfig, metadata: ItemMetadata) -> Ranker:
    """Return the method, its lists re-ranked as `config` says; the method itself where it says `none`.

    Raises:
        BadInput: the method has no item vectors, or the items have no categories, and `config` needs them.
    """
    if config.kind == "none":
        return method
    vectors = method.item_vectors().detach().cpu().numpy() if isinstance(method, Recommender) else None
    return Reranked(method, config, categories=metadata.item_categories, vectors=vectors)
