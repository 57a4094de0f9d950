"""Users who have interests, and act on them.

R behaviours, U users, K planted interests at most, C leaf categories, N items, D width, P users with a given interest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.data.synthetic.catalogue import Catalogue, unit_vectors
from experiments.data.synthetic.config import SyntheticConfig

EPOCH = 1_577_836_800  # 2020-01-01, UTC
DAY = 86_400
MINUTES_APART = 2.0  # mean time between two behaviours of a session
HOURS_OF_REST = 1.0  # least time between two sessions


@dataclass(frozen=True)
class Plan:
    """Who wants what; see `PlantedTruth` for the meaning of each field.

    Attributes:
        interests: [U, K] int32; weights: [U, K] float64; slopes: [U, K] float64.
        lengths: [U] int64, behaviours of each user.
    """

    interests: NDArray[np.int32]
    weights: NDArray[np.float64]
    slopes: NDArray[np.float64]
    lengths: NDArray[np.int64]


@dataclass(frozen=True)
class Walk:
    """What moves each user at each behaviour, rows in order of user and time.

    Attributes:
        user: [R] int64.
        slot: [R] int64 in 0..K-1, the column of the interest in the plan; -1 = noise.
        new_session: [R] bool.
    """

    user: NDArray[np.int64]
    slot: NDArray[np.int64]
    new_session: NDArray[np.bool_]


def plan_users(config: SyntheticConfig, catalogue: Catalogue, rng: np.random.Generator) -> Plan:
    """Draw K, the interests one after another (siblings of earlier ones are likelier), weights, slopes, lengths."""
    n_users, most = config.n_users, len(config.interest_weights)
    share = np.array(config.interest_weights) / sum(config.interest_weights)
    planted_k = rng.choice(np.arange(1, most + 1), n_users, p=share)

    top = np.arange(config.n_leaves) // config.leaves_per_top
    everyone = np.arange(n_users)
    interests = np.full((n_users, most), -1, np.int32)
    taken = np.zeros((n_users, config.n_leaves), bool)
    liked = np.zeros((n_users, config.n_top_categories), bool)
    for k in range(most):
        weight = catalogue.leaf_popularity * np.where(liked[:, top], config.sibling_odds, 1.0)  # [U, C]
        leaf = _draw_column(np.where(taken, 0.0, weight), rng)
        taken[everyone, leaf] = True
        liked[everyone, top[leaf]] = True
        interests[:, k] = np.where(k < planted_k, leaf, -1)

    weights = np.where(interests >= 0, rng.gamma(config.concentration, size=interests.shape), 0.0)
    length = rng.lognormal(np.log(config.median_length), config.length_spread, n_users).round()
    return Plan(
        interests=interests,
        weights=weights / weights.sum(1, keepdims=True),
        slopes=rng.uniform(-1, 1, interests.shape),
        lengths=np.clip(length, config.min_length, config.max_length).astype(np.int64),
    )


def walk(config: SyntheticConfig, plan: Plan, rng: np.random.Generator) -> Walk:
    """Draw sessions, an interest for each from the weights of that moment, and the noise that interrupts them."""
    n_rows = int(plan.lengths.sum())
    user = np.repeat(np.arange(config.n_users), plan.lengths)
    first = np.cumsum(plan.lengths) - plan.lengths
    place = np.arange(n_rows) - first[user]
    new_session = (rng.random(n_rows) >= config.stickiness) | (place == 0)

    opening = np.flatnonzero(new_session)
    of = user[opening]
    moment = (2 * place[opening] + 1) / plan.lengths[of] - 1  # -1..1, the beginning and the end of the history
    weight = plan.weights[of] * np.exp(config.drift * plan.slopes[of] * moment[:, None])  # [sessions, K]
    slot = _draw_column(weight, rng)[np.cumsum(new_session) - 1]
    noise = rng.random(n_rows) < config.noise_share
    return Walk(user, np.where(noise, -1, slot), new_session)


def choose_items(
    config: SyntheticConfig, catalogue: Catalogue, plan: Plan, steps: Walk, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Choose an item for each behaviour, [R] int64 in 0..N-1.

    p(item | user, interest) is proportional to popularity * exp(taste * cosine(item's direction, user's direction))
    over the items of the interest's leaf; noise follows popularity alone, over all items. Then some behaviours
    repeat an earlier one of the same user and interest. Loops over leaves.
    """
    item = np.empty(len(steps.user), np.int64)
    noise = steps.slot < 0
    overall = np.cumsum(catalogue.leaf_popularity[catalogue.leaf] * catalogue.popularity)
    place = np.searchsorted(overall, rng.random(int(noise.sum())) * overall[-1], side="right")
    item[noise] = np.minimum(place, config.n_items - 1)

    leaf_of_row = np.where(noise, -1, plan.interests[steps.user, steps.slot])
    by_leaf = np.argsort(leaf_of_row, kind="stable")
    bounds = np.searchsorted(leaf_of_row[by_leaf], np.arange(config.n_leaves + 1))
    pair_of = np.full(config.n_users, -1)  # a user's pair within the leaf at hand; a leaf is an interest only once
    for c in range(config.n_leaves):
        rows = by_leaf[bounds[c] : bounds[c + 1]]
        fans = np.flatnonzero((plan.interests == c).any(1))
        if len(fans) == 0:
            continue
        pair_of[fans] = np.arange(len(fans))
        here = catalogue.items_of(c)
        liking = unit_vectors(rng, len(fans), config.n_factors) @ catalogue.directions[here].T  # [P, items of c]
        weight = catalogue.popularity[here] * np.exp(config.taste * liking)
        item[rows] = here.start + _draw_column_of_row(weight, pair_of[steps.user[rows]], rng)
    return _with_repeats(config, steps, item, rng)


def draw_times(config: SyntheticConfig, steps: Walk, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw Unix seconds [R], strictly increasing within a user: minutes within a session, days between sessions."""
    n_rows = len(steps.user)
    within = 60 * rng.exponential(MINUTES_APART, n_rows)
    between = 3600 * HOURS_OF_REST + DAY * rng.exponential(config.pause_days, n_rows)
    gap = 1 + np.where(steps.new_session, between, within).astype(np.int64)
    first = np.flatnonzero(np.concatenate([[True], steps.user[1:] != steps.user[:-1]]))
    elapsed = np.cumsum(gap)
    start = EPOCH + (DAY * config.period_days * rng.random(len(first))).astype(np.int64)
    times: NDArray[np.int64] = elapsed + (start - elapsed[first])[steps.user]
    return times


def _with_repeats(
    config: SyntheticConfig, steps: Walk, item: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Let a share of behaviours take the item of an earlier behaviour of the same user and interest."""
    rows = np.flatnonzero(steps.slot >= 0)
    group = steps.user[rows] * len(config.interest_weights) + steps.slot[rows]
    order = np.argsort(group, kind="stable")
    rows, group = rows[order], group[order]
    opens = np.concatenate([[True], group[1:] != group[:-1]])[: len(group)]
    start = np.flatnonzero(opens)[np.cumsum(opens) - 1]
    place = np.arange(len(rows)) - start
    repeats = (rng.random(len(rows)) < config.repeat_share) & (place > 0)
    source = np.where(repeats, start + (rng.random(len(rows)) * place).astype(np.int64), np.arange(len(rows)))
    while not np.array_equal(source, source[source]):  # a repeat of a repeat: follow both, halving the chain
        source = source[source]
    chosen = item.copy()
    chosen[rows] = item[rows][source]
    return chosen


def _draw_column(weight: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw one column per row, [rows] int64, with probability proportional to `weight` [rows, columns]."""
    return _draw_column_of_row(weight, np.arange(len(weight)), rng)


def _draw_column_of_row(
    weight: NDArray[np.float64], row: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw a column for each entry of `row` [M], with probability proportional to `weight[row]`, [M] int64.

    Inverse transform over all rows at once: row r's cumulative shares are shifted to (r, r + 1], and one sorted
    search serves everybody. A column of weight 0 is never drawn.
    """
    cumulative = np.cumsum(weight, axis=1)
    shares = np.arange(len(weight))[:, None] + cumulative / cumulative[:, -1:]
    place = np.searchsorted(shares.ravel(), row + rng.random(len(row)), side="right") - row * weight.shape[1]
    last = weight.shape[1] - 1 - np.argmax(weight[:, ::-1] > 0, axis=1)
    column: NDArray[np.int64] = np.minimum(place, last[row])  # rounding may push a draw past the row's end
    return column
