"""Which behaviours of a log are frequent enough to keep.

R behaviours, U users, N items.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baselines.errors import BadInput
from experiments.data.log import InteractionLog
from experiments.data.protocol import ProtocolConfig


def kept_rows(log: InteractionLog, protocol: ProtocolConfig) -> NDArray[np.bool_]:
    """Return the rows [R] that the protocol's filter keeps, True = keep.

    Raises:
        BadInput: nothing is left.
    """
    if protocol.filter == "none":
        return np.ones(len(log), bool)
    rounds = one_pass if protocol.filter == "comirec" else k_core
    keep = rounds(log, protocol.min_item_interactions, protocol.min_user_interactions)
    if not keep.any():
        raise BadInput(
            f"the {protocol.filter} filter leaves nothing of {len(log):,} behaviours: lower "
            f"--data.protocol.min_item_interactions (now {protocol.min_item_interactions}) or "
            f"--data.protocol.min_user_interactions (now {protocol.min_user_interactions}), or say "
            "--data.protocol.filter none"
        )
    return keep


def one_pass(log: InteractionLog, min_item: int, min_user: int) -> NDArray[np.bool_]:
    """Keep items with at least `min_item` behaviours, then users with at least `min_user` of those that are kept.

    Dropping users afterwards may leave an item with fewer than `min_item`; that is the published protocol
    (THUDM/ComiRec, preprocess/data.py).

    Returns:
        [R] bool.
    """
    keep = (np.bincount(log.item, minlength=log.n_items + 1) >= min_item)[log.item]
    keep &= (np.bincount(log.user[keep], minlength=log.n_users) >= min_user)[log.user]
    return keep


def k_core(log: InteractionLog, min_item: int, min_user: int) -> NDArray[np.bool_]:
    """Keep the largest set of behaviours in which every item has `min_item` and every user `min_user` of them.

    Returns:
        [R] bool.
    """
    keep = np.ones(len(log), bool)
    rows = np.arange(len(log))
    while True:
        user, item = log.user[rows], log.item[rows]
        enough = (np.bincount(item, minlength=log.n_items + 1) >= min_item)[item]
        enough &= (np.bincount(user, minlength=log.n_users) >= min_user)[user]
        if enough.all():
            return keep
        keep[rows[~enough]] = False
        rows = rows[enough]
