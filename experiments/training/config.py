"""The knobs of training. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from baselines.errors import require_number

Optimiser = Literal["adam", "lazy_adam"]
Positions = Literal["one", "every"]
Schedule = Literal["linear", "constant"]


HORIZON = 2_000
"""Steps of a training where many are compared, in searches and ablations: half of what one training has by default."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How long and how fast to learn."""

    max_steps: int = 4000
    """Optimiser steps at most."""

    batch_size: int = 256
    """B, random users a step; one target position of each, or `every` one."""

    learning_rate: float = 1e-2
    """Adam's step size at the start (ComiRec: 1e-3; with cosine and temperature a larger one is as good in fewer steps,
    the more so where only the rows of a batch move)."""

    schedule: Schedule = "linear"
    """How the step size goes: down to 0 over `max_steps` in a straight line, which suits a budget known beforehand (Li,
    Yumer, Ramanan, "Budgeted Training", ICLR 2020), or nowhere."""

    weight_decay: float = 0.0
    """L2 penalty inside Adam."""

    optimiser: Optimiser = "lazy_adam"
    """`adam` moves every item's vector at every step; `lazy_adam` those of the items in the batch, at a cost that does
    not grow with the catalogue."""

    positions: Positions = "one"
    """Targets of a sampled user: `one` random position (ComiRec), or `every` position of the latest max_history + 1
    behaviours in one pass (SASRec), for methods that read each prefix at once."""

    min_history: int = 1
    """Fewest behaviours before a training target (ComiRec: 4, which leaves out the starts of all sequences)."""

    evaluate_every: int = 250
    """Steps between validations; also between checkpoints, so at most this many steps are repeated on resuming."""

    patience: int = 4
    """Validations without a new best after which training stops."""

    monitor: str = "recall@50"
    """The validation metric that picks the best step."""

    compile: bool = False
    """Let torch compile the extractor, where a C++ compiler is at hand. It takes half a minute; `bench training` tells
    whether that pays."""

    threads: int = 1
    """Torch threads of a training step; 0 = as many as torch chooses. A step of usual size is faster on one than on two
    (`bench training`). Evaluation uses as many as torch chooses."""

    def __post_init__(self) -> None:
        for name in ("max_steps", "batch_size", "learning_rate", "min_history", "evaluate_every", "patience"):
            require_number(f"training.{name}", getattr(self, name), above=0)
        for name in ("weight_decay", "threads"):
            require_number(f"training.{name}", getattr(self, name), at_least=0)
