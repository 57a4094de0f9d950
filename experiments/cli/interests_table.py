"""A user's interests in words: which behaviours each is made of, what these have in common, what lies nearest to it.

K interests, L behaviours, N items, D width.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from experiments.reporting.table import Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from baselines.interests import Interests
    from experiments.data.metadata import ItemMetadata

_N_CATEGORIES, _N_NEAREST = 3, 3
_LEAST_SHARE = 0.01  # of a behaviour in an interest, to count among its own


def interests_table(
    interests: Interests, history: NDArray[np.int32], item_vectors: Tensor, metadata: ItemMetadata, ids: NDArray[Any]
) -> Table:
    """Describe the live interests of one user, the most important first.

    An interest that no behaviour belongs to, such as the history as a whole beside its clusters, has no categories.

    Args:
        interests: of one user, [1, K, ...].
        history: the behaviours that they were found in, oldest first, [L].
        item_vectors: [N + 1, D], padding first.
        metadata: of the items.
        ids: N + 1 original ids.
    """
    from baselines.unit import unit

    live = interests.mask[0]
    importance = interests.log_weight[0].masked_fill(~live, -float("inf")).softmax(0)
    shares = interests.assignment[0, : len(history)]  # [L, K]
    towards = unit(interests.vectors[0]) @ unit(item_vectors[1:]).T  # [K, N]
    nearest = towards.topk(min(_N_NEAREST, towards.shape[1]), dim=1).indices + 1
    rows: list[list[object]] = []
    for k in importance.argsort(descending=True, stable=True).tolist():
        if live[k]:
            shared = zip(history.tolist(), shares[:, k].tolist(), strict=True)
            own = [(item, share) for item, share in shared if share >= _LEAST_SHARE]
            counted: Counter[str] = Counter()
            for item, share in own:
                for category in metadata.categories[item]:
                    counted[category] += share
            common = [f"{name} ({_shown(n)})" for name, n in counted.most_common(_N_CATEGORIES)]
            titles = [_named(item, metadata, ids) for item in nearest[k].tolist()]
            behaviours = sum((share for _, share in own), 0.0)
            rows.append([k + 1, 100 * float(importance[k]), behaviours, ", ".join(common), "; ".join(titles)])
    columns = ["interest", "importance %", "behaviours", "their categories", "nearest items"]
    title = f"Interests: {len(rows)}, found in the latest {len(history)} behaviours; the most important first"
    return Table(columns, rows, title, digits={"importance %": 0, "behaviours": 1})


def _named(item: int, metadata: ItemMetadata, ids: NDArray[Any]) -> str:
    """The title of an item; where it is unknown the id, and the most specific category."""
    categories = metadata.categories[item]
    return metadata.titles[item] or str(ids[item]) + (f" ({categories[-1]})" if categories else "")


def _shown(n: float) -> str:
    return f"{n:.1f}".removesuffix(".0")
