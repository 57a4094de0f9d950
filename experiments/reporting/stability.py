"""Whether a user has as many interests again when a method is trained with another seed.

U users.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from experiments.evaluation.diagnostics import correlation
from experiments.reporting.columns import LIVE_K_OF_USERS
from experiments.reporting.repeats import Repeats


def between_seeds(arm: Repeats) -> float | None:
    """Return the mean over pairs of seeds of the correlation over users of the number of live interests.

    None for one seed, where K does not vary, or where a run does not hold it by user.
    """
    found = [arm.of_seed(LIVE_K_OF_USERS, seed) for seed in range(len(arm.runs))]
    known = [values for values in found if values is not None]
    if len(known) < len(found):
        return None
    pairs = [correlation(one, other) for one, other in combinations(known, 2)]
    return float(np.mean([r for r in pairs if r is not None])) if pairs and None not in pairs else None
