"""What is measured, and at which thresholds. Free of torch and numba, so that the command line can import it."""

from __future__ import annotations

from dataclasses import dataclass

from baselines.errors import BadInput, require_number

_GROUP_METRICS = ("recall", "hit_rate", "ndcg")


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """Knobs of the evaluation core.

    Raises:
        BadInput: a cutoff below 1 or out of order, a share outside its range, an unknown metric.
    """

    cutoffs: tuple[int, ...] = (10, 20, 50)
    """List lengths n at which every metric is read, ascending; 20 and 50 are the field's habit (ComiRec, REMI)."""

    batch_size: int = 1024
    """Users ranked at once; it changes the speed and no result."""

    head_share: float = 0.2
    """Share of the catalogue, most popular in training first, that counts as head; part of the metrics' names."""

    mid_share: float = 0.3
    """Share of the catalogue that follows the head; the rest is the tail of `:tail50`."""

    alpha: float = 0.5
    """How much a category loses of its worth each time alpha-nDCG meets it again; .5 in Clarke et al. (2008)."""

    metrics: tuple[str, ...] | None = None
    """Metric families to compute (`recall`, `ild`, ...; all their cutoffs and subsets); null = all of them."""

    group_metrics: tuple[str, ...] = _GROUP_METRICS
    """Per-user families whose means are also given for each group of users."""

    collapse_cosine: float = 0.9
    """A user's interests count as collapsed where their mean pairwise cosine reaches this, ..."""

    collapse_rank: float = 1.1
    """... or where the effective rank of several interests is no more than this (it catches opposite vectors too)."""

    collapse_users: float = 0.5
    """The collapse flag is raised where this share of the users with several interests has collapsed."""

    def __post_init__(self) -> None:
        if not self.cutoffs or self.cutoffs[0] < 1 or list(self.cutoffs) != sorted(set(self.cutoffs)):
            raise BadInput(f"cutoffs must be distinct, ascending and at least 1, got {list(self.cutoffs)}")
        if self.batch_size < 1:
            raise BadInput(f"batch_size must be at least 1, got {self.batch_size}")
        if not (self.head_share > 0 and self.mid_share >= 0 and self.head_share + self.mid_share < 1):
            raise BadInput(
                "head_share must be above 0, mid_share at least 0 and their sum below 1, "
                f"got {self.head_share} and {self.mid_share}"
            )
        for name in ("collapse_cosine", "collapse_rank"):
            require_number(f"evaluation.{name}", getattr(self, name))
        for name in ("alpha", "collapse_users"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInput(f"{name} must lie in 0..1, got {getattr(self, name)}")
        if self.metrics is not None or self.group_metrics != _GROUP_METRICS:
            from experiments.evaluation.metrics import check_family  # numba: not before a name has to be checked

            for family in (*(self.metrics or ()), *self.group_metrics):
                check_family(family)

    @property
    def n_max(self) -> int:
        """Return the longest list that is looked at."""
        return self.cutoffs[-1]

    def wants(self, family: str) -> bool:
        """Whether the metrics of a family are to be computed."""
        return self.metrics is None or family in self.metrics
