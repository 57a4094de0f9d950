"""Every knob of the generator. The same configuration always gives the same log."""

from __future__ import annotations

import re
from dataclasses import dataclass

from baselines.errors import BadInput, require_number

MAX_PLANTED_INTERESTS = 8


@dataclass(frozen=True, kw_only=True)
class SyntheticConfig:
    """A world of categories and users. Each stage of the generation draws from its own stream of random numbers, so
    that turning one knob leaves the other stages as they were (more noise: the same users, with the same interests).

    Raises:
        BadInput: a number outside its range.
    """

    name: str = "synthetic"
    """What the log is called, in tables and as a folder; a study of several worlds tells them apart by it."""

    seed: int = 0
    """Seed of everything that is drawn."""

    n_users: int = 4000
    """Users."""

    n_items: int = 2000
    """Items of the catalogue, spread evenly over the leaf categories; those never consumed are not in the log."""

    n_top_categories: int = 8
    """Top categories of the tree."""

    leaves_per_top: int = 5
    """Leaf categories under each top. A leaf is what an interest is an interest in."""

    interest_weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    """Relative frequency of users with K = 1, 2, ... interests, at most 8 entries. K is independent of the length of
    the history, so that no rule on length can guess it."""

    sibling_odds: float = 8.0
    """How many times likelier a leaf becomes a user's next interest when its top category holds one of the user's
    interests already; 1 = the tree is of no consequence."""

    concentration: float = 5.0
    """Of the symmetric Dirichlet from which a user's interest weights are drawn; small = one interest dominates."""

    stickiness: float = 0.5
    """Probability that a behaviour stays in the session, hence the interest, of the one before it."""

    drift: float = 1.5
    """How far interests fade and begin: the log weight of an interest moves by up to +-drift from the middle of the
    history to either end, at a speed of its own; 0 = tastes stand still."""

    noise_share: float = 0.1
    """Share of behaviours of no interest: any item, by popularity. Their true interest is -1."""

    repeat_share: float = 0.05
    """Probability that a behaviour repeats one of the user's earlier behaviours of the same interest."""

    item_exponent: float = 0.8
    """Zipf exponent of popularity within a leaf: the r-th item has weight r^-exponent."""

    leaf_exponent: float = 0.5
    """Zipf exponent of the leaves' own popularity."""

    taste: float = 3.0
    """How much a user's own taste within a leaf counts beside popularity, in log odds for a perfectly fitting item;
    0 = everybody with an interest wants the same items."""

    n_factors: int = 16
    """Width of the latent item vectors."""

    min_length: int = 5
    """Fewest behaviours of a user."""

    median_length: float = 20.0
    """Median of the lognormal from which lengths are drawn."""

    length_spread: float = 0.6
    """Standard deviation of the log length."""

    max_length: int = 500
    """Most behaviours of a user."""

    period_days: float = 365.0
    """Users begin at a uniformly random time of this period."""

    pause_days: float = 3.0
    """Mean time between two sessions; behaviours within a session are minutes apart."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", self.name):
            raise BadInput(f"data.synthetic.name becomes a folder: letters, digits, '_', '-', '.', got {self.name!r}")
        for knob in ("n_users", "n_top_categories", "leaves_per_top", "n_factors", "min_length"):
            if getattr(self, knob) < 1:
                raise BadInput(f"{knob} must be at least 1, got {getattr(self, knob)}")
        for knob in ("stickiness", "noise_share", "repeat_share"):
            if not 0 <= getattr(self, knob) < 1:
                raise BadInput(f"{knob} must be at least 0 and less than 1, got {getattr(self, knob)}")
        for knob in ("sibling_odds", "median_length", "period_days", "pause_days"):
            require_number(f"data.synthetic.{knob}", getattr(self, knob), above=0)
        for knob in ("drift", "taste", "item_exponent", "leaf_exponent", "length_spread"):
            if not 0 <= getattr(self, knob) <= 50:
                raise BadInput(f"{knob} must lie in 0..50, got {getattr(self, knob)}")
        require_number("data.synthetic.concentration", self.concentration, at_least=0.1)  # or all weights may vanish
        if self.seed < 0:
            raise BadInput(f"seed must not be negative, got {self.seed}")
        if self.max_length < self.min_length:
            raise BadInput(f"max_length must be at least min_length = {self.min_length}, got {self.max_length}")
        if self.n_items < self.n_leaves:
            raise BadInput(f"n_items must be at least the {self.n_leaves} leaf categories, got {self.n_items}")
        weights, most = self.interest_weights, min(MAX_PLANTED_INTERESTS, self.n_leaves)
        if not 1 <= len(weights) <= most or min(weights) < 0 or not sum(weights) > 0:
            raise BadInput(
                f"interest_weights must be 1 to {most} weights (of K = 1, 2, ...; one leaf per interest), "
                f"none negative and not all 0, got {weights}"
            )

    @property
    def n_leaves(self) -> int:
        """Leaf categories in all."""
        return self.n_top_categories * self.leaves_per_top
