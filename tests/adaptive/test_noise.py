"""What becomes of noise, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from adaptive_mi.density import DensityClusters
from adaptive_mi.noise import Noise, settle_noise

STARTS = np.array([0, 5, 7, 8])
FOUND = DensityClusters(np.array([0, 1, -1, 0, -1, -1, -1, -1]), np.array([2, 0, 0]), np.array([0.5, 0.5]))
DISTINCT = np.array([3, 2, 1, 0, 1, 1, 0, 0])
ANGLES = np.deg2rad([0, 90, 80, 10, 80, 0, 0, 0])
VECTORS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1).astype(np.float32)


@pytest.mark.parametrize(
    ("rule", "labels"),
    [
        ("alone", [0, 1, 2, 0, 2, 1, 0, 0]),  # the same item twice stands alone once
        ("shared", [0, 1, 2, 0, 2, 0, 0, 0]),  # all noise is one interest, the only one where there is no cluster
        ("nearest", [0, 1, 1, 0, 1, 0, 0, 0]),  # and who has no cluster has one interest
        ("dropped", [0, 1, -1, 0, -1, 0, 0, 0]),
    ],
)
def test_noise_is_settled_as_the_rule_says(rule: Noise, labels: list[int]) -> None:
    assert settle_noise(VECTORS, STARTS, DISTINCT, FOUND, rule).tolist() == labels
