"""One run, said completely. No torch here: the command line builds these before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from baselines.config import LossConfig, RerankingConfig, ScoringConfig, ServingConfig
from baselines.errors import BadInput
from experiments.data.protocol import ProtocolConfig
from experiments.data.readers.config import ReaderConfig
from experiments.data.synthetic.config import SyntheticConfig
from experiments.evaluation.config import EvaluationConfig
from experiments.tracking import TrackingConfig
from experiments.training.config import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which behaviours, and how they are divided."""

    source: str = "synthetic"
    """A registered name (`adaptive-mi data list`) or a path."""

    root: str | None = None
    """Folder where registered names are looked for; None = $ADAPTIVE_MI_DATA, else a cache folder."""

    reader: ReaderConfig = field(default_factory=ReaderConfig)
    """How the file is read."""

    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    """What the built-in generator makes; used where the source is `synthetic`."""

    protocol: ProtocolConfig = field(default_factory=ProtocolConfig)
    """Filter and split."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Method x data x seed."""

    method: str
    """A name of `experiments.registry.METHODS`."""

    seed: int = 0
    """Seeds initial parameters, batches and negatives; the split has a seed of its own."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where training runs; `auto` takes a GPU if there is one. Bit-exact repetition is promised on cpu."""

    model: Mapping[str, Any] = field(default_factory=dict)
    """The method's own knobs: the keyword arguments of its class."""

    data: DataConfig = field(default_factory=DataConfig)
    scoring: ScoringConfig = field(default_factory=ScoringConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    serving: ServingConfig = field(default_factory=ServingConfig)
    reranking: RerankingConfig = field(default_factory=RerankingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise BadInput(f"seed must not be negative, got {self.seed}.")
