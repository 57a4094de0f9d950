"""A log whose interests are known: users who each want between one and eight leaf categories of a tree.

A session has one of its user's interests; each of its behaviours is an item of that leaf, by popularity and the user's
own taste. Noise, repeats and drift are knobs. `PlantedTruth` tells what led to each behaviour, so that "does K adapt?"
has an answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.data.log import InteractionLog
from experiments.data.metadata import ItemMetadata
from experiments.data.synthetic.behaviours import choose_items, draw_times, plan_users, walk
from experiments.data.synthetic.catalogue import make_catalogue, make_metadata
from experiments.data.synthetic.config import SyntheticConfig
from experiments.data.synthetic.truth import PlantedTruth, distinct_interests


@dataclass(frozen=True)
class Synthetic:
    """A generated log with its metadata and its truth, all in the log's numbering."""

    log: InteractionLog
    metadata: ItemMetadata
    truth: PlantedTruth


def generate(config: SyntheticConfig) -> Synthetic:
    """Generate a log; the same configuration gives the same one."""
    for_tree, for_plan, for_walk, for_items, for_times = np.random.default_rng(config.seed).spawn(5)
    catalogue = make_catalogue(config, for_tree)
    plan = plan_users(config, catalogue, for_plan)
    steps = walk(config, plan, for_walk)
    item = choose_items(config, catalogue, plan, steps, for_items)
    log = InteractionLog.from_arrays(steps.user + 1, item + 1, draw_times(config, steps, for_times))
    assert len(log) == len(item), "generated rows are sorted and distinct, so the log keeps them as they are"

    item_ids = log.item_ids.astype(np.int64)  # 1..N of the catalogue, without the items that nobody consumed
    true_interest = np.where(steps.slot < 0, -1, plan.interests[steps.user, steps.slot]).astype(np.int32)
    truth = PlantedTruth(
        config=config,
        true_interest=true_interest,
        realised_k=distinct_interests(steps.user, true_interest, config.n_users),
        interests=plan.interests,
        weights=plan.weights,
        slopes=plan.slopes,
        item_leaf=np.concatenate([[-1], catalogue.leaf]).astype(np.int32)[item_ids],
        item_vectors=np.concatenate([np.zeros((1, config.n_factors), np.float32), catalogue.vectors])[item_ids],
    )
    return Synthetic(log, make_metadata(config, catalogue).take(item_ids), truth)
