"""The evaluation protocol: which behaviours are kept, and how they are divided into training and evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from baselines.errors import BadInput, unknown_name

FilterName = Literal["comirec", "k_core", "none"]
SplitName = Literal["user", "leave_last_out", "temporal"]


@dataclass(frozen=True, kw_only=True)
class ProtocolConfig:
    """Filter and split. Two runs are comparable only where these are equal.

    Raises:
        BadInput: a name or a number outside its range.
    """

    filter: FilterName = "comirec"
    """`comirec`: one pass over items, then one over users (THUDM/ComiRec); `k_core`: both, repeated until both minima
    hold at once; `none`: every behaviour is kept."""

    min_item_interactions: int = 5
    """Behaviours an item needs to be kept; repeats count."""

    min_user_interactions: int = 5
    """Behaviours (with kept items) a user needs to be kept; repeats count."""

    split: SplitName = "user"
    """`user`: users are divided, and evaluation users are never trained on (strong generalisation; ComiRec, REMI);
    `leave_last_out`: everybody's last behaviour is the test target, the one before it the validation target;
    `temporal`: two points in time cut all users' behaviours (needs a log with times)."""

    split_seed: int = 0
    """Seed of the permutation of users in the user split. It is not the run's seed: all seeds share one split."""

    validation_share: float = 0.1
    """Share of users (user split) or of behaviours (temporal split) for validation; unused by leave_last_out."""

    test_share: float = 0.1
    """Share of users (user split) or of behaviours (temporal split) for the test; unused by leave_last_out."""

    history_share: float = 0.8
    """User split: the first floor(history_share * n) of an evaluation user's n behaviours are the history, the rest
    are the targets."""

    def __post_init__(self) -> None:
        for kind, name, known in (("filter", self.filter, FilterName), ("split", self.split, SplitName)):
            if name not in get_args(known):
                raise unknown_name(kind, name, get_args(known))
        for knob in ("min_item_interactions", "min_user_interactions"):
            if getattr(self, knob) < 1:
                raise BadInput(f"{knob} must be at least 1, got {getattr(self, knob)}: use filter=none to keep all")
        for knob in ("validation_share", "test_share", "history_share"):
            if not 0 < getattr(self, knob) < 1:
                raise BadInput(f"{knob} must lie strictly between 0 and 1, got {getattr(self, knob)}")
        if not self.validation_share + self.test_share < 1 - 1e-9:
            total = self.validation_share + self.test_share
            raise BadInput(f"validation_share + test_share must leave something to train on, got {total:g} of 1")
        if self.split_seed < 0:
            raise BadInput(f"split_seed must be a non-negative integer, got {self.split_seed}")
