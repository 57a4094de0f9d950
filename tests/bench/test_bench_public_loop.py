"""The yardstick measures the same thing as ours does: what differs is the time it takes."""

from __future__ import annotations

import pytest

from baselines.config import LossConfig, ScoringConfig
from baselines.extractors.comirec import ComiRecSA
from baselines.recommender import Recommender
from experiments.bench.public_loop import evaluate_in_a_loop, flat_index
from experiments.data.dataset import make_dataset
from experiments.data.metadata import ItemMetadata
from experiments.data.protocol import ProtocolConfig
from experiments.data.synthetic.config import SyntheticConfig
from experiments.data.synthetic.generate import generate
from experiments.evaluation.context import EvaluationContext
from experiments.evaluation.evaluator import evaluate


def test_the_public_loop_and_our_evaluator_agree() -> None:
    made = generate(SyntheticConfig(n_users=400, n_items=300))
    dataset = make_dataset("synthetic", made.log, made.metadata, ProtocolConfig())
    scoring = ScoringConfig(aggregation="best_interest", max_history=20)
    model = Recommender(dataset.n_items, ComiRecSA(64, 20, n_interests=3), scoring, LossConfig()).eval()
    _, search = flat_index(model.item_vectors().detach()[1:].numpy())
    known = dataset.metadata
    one_each = ItemMetadata(known.titles, [names[-1:] for names in known.categories], known.brands)
    category = dict(enumerate(one_each.categories))
    loop = evaluate_in_a_loop(model, dataset.test, 20, search, category, batch_size=16)
    ours = evaluate(model, dataset.test, EvaluationContext(dataset.train, one_each)).means()
    named = {"recall": "recall@20", "ndcg": "ndcg@20", "hit_rate": "hit_rate@20", "diversity": "div@20"}
    for family, name in named.items():
        assert ours[name] == pytest.approx(loop[family], abs=1e-12)
