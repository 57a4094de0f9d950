"""What do a user's interests look like, whatever they recommend?

B users, L behaviours, K interests, D width. Only live interests count; dead slots may hold anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from experiments.evaluation.recovery import RECOVERY, planted_k

if TYPE_CHECKING:  # torch: the names of metrics are checked without it
    from baselines.interests import Interests
    from experiments.evaluation.config import EvaluationConfig

_RESOLUTION = 1e-12
"""Eigenvalues of a Gram matrix below this share of the largest are rounding: singular values below float32's 1e-6."""


def live_k(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Number of the user's live interests.

    >>> live_k(np.array([[True, True, False]]))
    array([2.])
    """
    number: NDArray[np.float64] = mask.sum(-1, dtype=np.float64)
    return number


def gram(vectors: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the inner products of each user's vectors [B, K, D] with one another, [B, K, K]; 0 for dead slots."""
    live = np.where(mask[..., None], vectors, 0)
    return live @ live.transpose(0, 2, 1)


def mean_pairwise_cosine(products: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean cosine over pairs of the user's live interests; near 1 = collapsed.

    A vector of zeros has cosine 0 with every other. From the `gram` matrix; returns [B], NaN for a single interest.

    >>> mask = np.array([[True, True, False]])
    >>> mean_pairwise_cosine(gram(np.array([[[3.0, 0], [0, 1], [9, 9]]]), mask), mask)
    array([0.])
    """
    squares = np.diagonal(products, axis1=1, axis2=2)  # [B, K] squared lengths
    inverse = 1 / np.sqrt(np.where(squares > 0, squares, np.inf))
    cosines = inverse[:, :, None] * products * inverse[:, None]  # [B, K, K]
    all_pairs = cosines.reshape(len(cosines), -1).sum(1)  # row by row: in an order that B does not decide
    pairs = (all_pairs - (squares > 0).sum(-1)) / 2
    k = live_k(mask)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(k > 1, pairs / (k * (k - 1) / 2), np.nan)


def effective_rank(products: NDArray[np.float64]) -> NDArray[np.float64]:
    """exp(entropy of the singular values of the user's live vectors, normalised to sum to 1); 1 = all parallel.

    Roy and Vetterli (2007), of the matrix [live K, D], not centred. From the `gram` matrix, whose eigenvalues are the
    squared singular values; returns [B], NaN where all live vectors are 0.

    >>> effective_rank(gram(np.array([[[2.0, 0], [0, 2]], [[1, 1], [2, 2]]]), np.ones((2, 2), bool))).round(6)
    array([2., 1.])
    """
    squares = np.linalg.eigvalsh(products)  # [B, K], ascending
    singular = np.sqrt(np.where(squares > _RESOLUTION * squares[:, -1:], squares, 0))
    with np.errstate(invalid="ignore"):
        return _exp_entropy(singular / singular.sum(-1, keepdims=True))


def interest_shares(
    assignment: NDArray[np.float64], log_weight: NDArray[np.float64], mask: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Share of the user's behaviours that each live interest holds, [B, K]; rows sum to 1.

    From the column sums of the assignment [B, L, K]; where those are all 0 (every behaviour is noise, or the method
    assigns none) from the softmax of `log_weight` over the live interests.

    >>> assignment = np.array([[[1.0, 0], [1, 0], [0, 1], [0, 0]]])
    >>> interest_shares(assignment, np.zeros((1, 2)), np.ones((1, 2), bool)).round(3)
    array([[0.667, 0.333]])
    """
    mass = np.where(mask, assignment.sum(1), 0)
    log_weight = np.where(mask, log_weight, -np.inf)
    weight = np.exp(log_weight - log_weight.max(-1, keepdims=True))
    mass = np.where(mass.sum(-1, keepdims=True) > 0, mass, weight)
    shares: NDArray[np.float64] = mass / mass.sum(-1, keepdims=True)
    return shares


def effective_k(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """exp(entropy of the shares of behaviours that the interests hold): how many interests are really used.

    >>> effective_k(np.array([[0.5, 0.5, 0], [1, 0, 0]]))
    array([2., 1.])
    """
    return _exp_entropy(shares)


def dominant_share(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the behaviours that the user's largest interest holds.

    >>> dominant_share(np.array([[0.25, 0.75]]))
    array([0.75])
    """
    largest: NDArray[np.float64] = shares.max(-1)
    return largest


def held_k(assignment: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Number of the user's live interests that hold a behaviour; the whole history beside its clusters holds none.

    >>> held_k(np.array([[[1.0, 0, 0], [0, 1, 0]]]), np.ones((1, 3), bool))
    array([2.])
    """
    number: NDArray[np.float64] = ((assignment.sum(1) > 0) & mask).sum(-1, dtype=np.float64)
    return number


DIAGNOSTICS: Mapping[str, Callable[..., NDArray[np.float64]]] = {
    "live_k": live_k,
    "mean_pairwise_cosine": mean_pairwise_cosine,
    "effective_rank": effective_rank,
    "effective_k": effective_k,
    "dominant_share": dominant_share,
    "held_k": held_k,
}
"""Name -> its function."""

PLANTED_K, K_ERROR = "planted_k", "k_error"
"""Of users whose interests are known: how many the behaviours that were read come from, and |held_k - that|."""

NOTES: Mapping[str, str] = {
    PLANTED_K: "How many planted interests the behaviours that the method read come from.",
    K_ERROR: "How far the number of interests that hold a behaviour is from that of planted interests.",
    "one_item": "Whether the user's history is one item, however often: one interest, whatever the rule says.",
    "capped": "Whether the rule found more interests than a user may have.",
    "noise_share": "Share of the behaviours that were in no dense group, before the noise rule settled them.",
    "no_dense_group": "Whether several items held no dense group: the noise rule alone makes the user's interests.",
}
"""What is told by user beside `DIAGNOSTICS`, mostly by the method itself (`Interests.notes`): name -> its meaning."""


def diagnose(interests: Interests, planted: NDArray[np.int32] | None = None) -> dict[str, NDArray[np.float64]]:
    """Compute every diagnostic of B users, each [B] float64: `DIAGNOSTICS`; `RECOVERY` where `planted` is known; and
    what the method itself notes.

    Users with equally many live interests are measured together, without their dead slots: how many of these there are
    depends on the batch, and the last bits of an eigenvalue on them.

    Args:
        interests: of the users.
        planted: [B, L], the planted interest of each behaviour, -1 = none; None = nobody knows.
    """
    vectors, log_weight, assignment = (
        tensor.detach().cpu().double().numpy()
        for tensor in (interests.vectors, interests.log_weight, interests.assignment)
    )
    mask = interests.mask.cpu().numpy()
    n_live = mask.sum(-1)
    live_first = np.argsort(~mask, axis=-1, kind="stable")
    found = {name: np.empty(len(mask)) for name in DIAGNOSTICS}
    for k in np.unique(n_live):
        users = np.flatnonzero(n_live == k)
        slots = live_first[users, :k]  # [U, k]
        live = np.ones(slots.shape, bool)
        products = gram(vectors[users[:, None], slots], live)
        of_each = np.take_along_axis(assignment[users], slots[:, None], 2)  # [U, L, k]
        shares = interest_shares(of_each, log_weight[users[:, None], slots], live)
        values = (
            live_k(live),
            mean_pairwise_cosine(products, live),
            effective_rank(products),
            effective_k(shares),
            dominant_share(shares),
            held_k(of_each, live),
        )
        for name, value in zip(DIAGNOSTICS, values, strict=True):
            found[name][users] = value
    if planted is not None:
        given_to = assigned(assignment, mask)
        found |= {name: recovery(given_to, planted) for name, recovery in RECOVERY.items()}
        found[PLANTED_K] = planted_k(planted)
        found[K_ERROR] = np.abs(found["held_k"] - found[PLANTED_K])
    return found | {name: values.detach().cpu().double().numpy() for name, values in interests.notes.items()}


def assigned(assignment: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the live interest [B, L] that holds the largest share of each behaviour, of equal ones the first.

    -1 where no live interest has a share: padding, and what the method calls noise.

    >>> assigned(np.array([[[0.2, 0.8], [0.5, 0.5], [0, 0]]]), np.array([[True, True]]))
    array([[ 1,  0, -1]])
    """
    shares = np.where(mask[:, None], assignment, 0)
    return np.where(shares.max(-1) > 0, shares.argmax(-1), -1)


@dataclass(frozen=True)
class InterestSummary:
    """The interests of all users.

    Attributes:
        live_k_histogram: number of live interests -> number of users.
        collapsed_share: share of the users with several live interests whose interests have collapsed (thresholds in
            `EvaluationConfig`); None where nobody has several.
        collapsed: the flag: whether that share reaches `collapse_users`.
        k_found: share of the users for whom as many interests hold a behaviour as were planted; None where nobody knows
            how many were.
        k_correlation: of these two numbers over users (Pearson); None also where one of them does not vary.
    """

    live_k_histogram: dict[int, int]
    collapsed_share: float | None
    collapsed: bool
    k_found: float | None = None
    k_correlation: float | None = None

    @classmethod
    def of(
        cls,
        diagnostics: dict[str, NDArray[np.float64]],
        config: EvaluationConfig,
    ) -> InterestSummary:
        """Summarise the diagnostics [U] of all users."""
        true_k = diagnostics.get(PLANTED_K)
        k, users = np.unique(diagnostics["live_k"].astype(np.int64), return_counts=True)
        several = diagnostics["live_k"] > 1
        collapsed = (diagnostics["mean_pairwise_cosine"] >= config.collapse_cosine) | (
            diagnostics["effective_rank"] <= config.collapse_rank
        )
        share = float(collapsed[several].mean()) if several.any() else None
        return cls(
            live_k_histogram=dict(zip(k.tolist(), users.tolist(), strict=True)),
            collapsed_share=share,
            collapsed=share is not None and share >= config.collapse_users,
            k_found=None if true_k is None else float((diagnostics["held_k"] == true_k).mean()),
            k_correlation=None if true_k is None else correlation(diagnostics["held_k"], true_k),
        )


def correlation(one: NDArray[np.generic], other: NDArray[np.generic]) -> float | None:
    """Pearson's correlation of two numbers of U users, [U] each; None where one of them does not vary.

    >>> correlation(np.array([1, 2, 3]), np.array([2, 4, 6])), correlation(np.array([1, 2]), np.array([3, 3]))
    (1.0, None)
    """
    x, y = (values.astype(np.float64) - values.mean(dtype=np.float64) for values in (one, other))
    scale = np.sqrt((x @ x) * (y @ y))
    return float(np.clip(x @ y / scale, -1, 1)) if scale > 0 else None


def _exp_entropy(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """exp(-sum of p log p) over the last axis, 0 log 0 = 0."""
    entropy = -(p * np.log(np.where(p > 0, p, 1))).sum(-1)
    return np.asarray(np.exp(entropy))
