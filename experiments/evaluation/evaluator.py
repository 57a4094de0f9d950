"""From a ranker and its users to everything that is reported of them, in three steps: serve, measure, group.

B users of a batch, U users, n places, Q cutoffs, S subsets.

The evaluator knows a ranker's two verbs, `rank` and `interests`, and never which method it holds. Targets are not
given to the ranker. All N items are candidates; the items of the history are not removed (ComiRec's protocol).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from baselines.batch import Batch
from baselines.errors import BadInput, unknown_name
from baselines.ranker import Ranker
from experiments.data.splits import EvaluationUsers
from experiments.evaluation.accuracy import ACCURACY, accuracy
from experiments.evaluation.categories import category_entropy
from experiments.evaluation.config import EvaluationConfig
from experiments.evaluation.context import EvaluationContext, PlantedAssignment, Segments
from experiments.evaluation.diagnostics import InterestSummary, diagnose
from experiments.evaluation.evaluation import Evaluation
from experiments.evaluation.groups import Group, by_terciles, by_value
from experiments.evaluation.metrics import (
    ALL,
    NOVEL,
    OF_ALL_LISTS,
    PER_LIST,
    Served,
    full_name,
    list_name,
    parse_name,
)
from experiments.evaluation.ranks import TargetRanks
from experiments.evaluation.recovery import planted_k


def evaluate(
    ranker: Ranker,
    users: EvaluationUsers,
    context: EvaluationContext,
    config: EvaluationConfig | None = None,
) -> Evaluation:
    """Rank all items for every user and measure everything the configuration asks for.

    The result does not depend on the batch size nor on the order of the users.

    Args:
        ranker: the method.
        users: histories and targets.
        context: training data and catalogue; made once per dataset.
        config: None = the defaults.

    Raises:
        ValueError: a ranking that breaks its contract.
    """
    config = config or EvaluationConfig()
    targets = TargetRanks.unranked(users.histories, users.targets)
    answered = _serve(ranker, users, targets, config.n_max, config.batch_size, planted=context.planted)
    lists, diagnostics = answered.lists, answered.diagnostics
    segments = Segments.of(context.popularity, config.head_share, config.mid_share)
    cutoffs = np.array(config.cutoffs)
    served = Served(lists, users.histories, targets, context, segments, cutoffs, config.alpha)

    per_user: dict[str, NDArray[np.float64]] = {}
    if any(config.wants(family) for family in ACCURACY):
        member = _subsets(targets, segments)
        measured = accuracy(targets.ranks, targets.offsets, np.array([*member.values()]), cutoffs)
        for family, values in measured.items():
            if config.wants(family):
                for q, n in enumerate(config.cutoffs):
                    per_user |= {full_name(family, n, subset): values[q, s] for s, subset in enumerate(member)}
    overall: dict[str, float] = {}
    for family, metric in {**PER_LIST, **OF_ALL_LISTS}.items():
        if config.wants(family) and (context.categories is not None or not metric.of_categories):
            by_name = {
                list_name(family, n, segments): values
                for n, values in zip(config.cutoffs, metric.compute(served), strict=True)
            }
            if family in PER_LIST:
                per_user |= by_name
            else:
                overall |= {name: float(value) for name, value in by_name.items() if not np.isnan(value)}
    per_user |= {name: values for name, values in diagnostics.items() if config.wants(name)}

    return Evaluation(
        users=users.users,
        items=lists,
        per_user=per_user,
        overall=overall,
        groups=_groups(users, context, config, per_user),
        live_k=diagnostics["live_k"].astype(np.int64) if diagnostics else None,
        interests=InterestSummary.of(diagnostics, config) if diagnostics else None,
        seconds=answered.seconds,
    )


def quick(
    ranker: Ranker,
    users: EvaluationUsers,
    metric: str = "recall@50",
    context: EvaluationContext | None = None,
    config: EvaluationConfig | None = None,
) -> float:
    """Return the mean over users of one accuracy metric, and compute nothing else: for early stopping.

    Equal to `evaluate(...).means()[metric]`; NaN where no user has a target in the subset.

    Args:
        ranker: the method.
        users: histories and targets.
        metric: an accuracy metric with its cutoff, such as `recall@50` or `ndcg@20:novel`.
        context: needed for subsets by popularity (`recall@50:tail80`) only.
        config: None = the defaults; its batch size and shares are used.

    Raises:
        BadInput: a metric that is unknown or is not one of accuracy.
    """
    config = config or EvaluationConfig()
    family, n, subset = parse_name(metric)
    if family not in ACCURACY:
        raise BadInput(f"'{metric}' cannot steer training: expected one of {', '.join(ACCURACY)}, with a cutoff")
    targets = TargetRanks.unranked(users.histories, users.targets)
    segments = Segments.of(context.popularity, config.head_share, config.mid_share) if context else None
    member = _subsets(targets, segments)
    if subset not in member:
        raise unknown_name("subset", subset, filter(None, member))
    _serve(ranker, users, targets, n, config.batch_size, with_interests=False)
    values = accuracy(targets.ranks, targets.offsets, member[subset][None], np.array([n]))[family][0, 0]
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else np.nan


def _subsets(targets: TargetRanks, segments: Segments | None) -> dict[str, NDArray[np.bool_]]:
    """Return the subsets of the targets by name, each [T] bool."""
    member = {ALL: np.ones(len(targets.items), bool), NOVEL: targets.novel}
    if segments is not None:
        member |= {name: items[targets.items] for name, items in segments.members.items()}
    return member


@dataclass(frozen=True)
class _Answered:
    """What a ranker answered to U users.

    Attributes:
        lists: [U, n_max] int32.
        diagnostics: name -> [U]; empty for a method without interests.
        seconds: what the answers took, by verb.
    """

    lists: NDArray[np.int32]
    diagnostics: dict[str, NDArray[np.float64]]
    seconds: dict[str, float]


def _serve(
    ranker: Ranker,
    users: EvaluationUsers,
    targets: TargetRanks,
    n_max: int,
    batch_size: int,
    with_interests: bool = True,
    planted: PlantedAssignment | None = None,
) -> _Answered:
    """Rank for every user, and place the targets.

    Twice n_max places are asked for, which makes the average ranks up to n_max exact (see ranks.py).
    """
    lists = np.zeros((len(users), n_max), np.int32)
    diagnostics: dict[str, NDArray[np.float64]] = {}
    seconds = {"extraction": 0.0, "retrieval": 0.0}
    with torch.no_grad():
        for chosen, batch in _batches(users, ranker.max_history, batch_size):
            answer = ranker.answer(batch, 2 * n_max)
            ranking, interests = answer.ranking, answer.interests
            targets.place(chosen, ranking, n_max)
            lists[chosen, : ranking.items.shape[1]] = ranking.items[:, :n_max]
            if interests is not None and with_interests:
                known = None
                if planted is not None:
                    lengths = users.histories.lengths[chosen]
                    known = planted.of_histories(users.users[chosen], lengths, batch.history.shape[1])
                found = diagnose(interests, known)
                diagnostics = diagnostics or {name: np.empty(len(users)) for name in found}
                for name, values in found.items():
                    diagnostics[name][chosen] = values
            seconds["extraction"] += answer.extraction_seconds
            seconds["retrieval"] += answer.retrieval_seconds
    return _Answered(lists, diagnostics, seconds)


def _batches(
    users: EvaluationUsers, max_history: int | None, batch_size: int
) -> Iterator[tuple[NDArray[np.int64], Batch]]:
    """Cut the users into batches of like history lengths, which are no wider than they need to be."""
    lengths = users.histories.lengths
    order = np.argsort(lengths if max_history is None else np.minimum(lengths, max_history), kind="stable")
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        history = torch.from_numpy(users.histories.padded(chosen, max_history))
        yield chosen, Batch.of(history, user=torch.from_numpy(chosen))


def _groups(
    users: EvaluationUsers,
    context: EvaluationContext,
    config: EvaluationConfig,
    per_user: dict[str, NDArray[np.float64]],
) -> tuple[Group, ...]:
    """Group the users by activity, and by the number of their interests as far as it is known."""
    names = [full_name(family, n) for family in config.group_metrics for n in config.cutoffs]
    metrics = {name: per_user[name] for name in names if name in per_user}
    groups = by_terciles("history length", users.histories.lengths, metrics)
    if context.planted is not None:
        lengths = users.histories.lengths
        whole = context.planted.of_histories(users.users, lengths, int(lengths.max(initial=0)))
        return groups + by_value("true interests", planted_k(whole).astype(np.int64), metrics)
    if context.categories is not None:
        entropy = category_entropy(users.histories, context.categories)
        return groups + by_terciles("category entropy", entropy, metrics)
    return groups
