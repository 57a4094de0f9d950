"""Exact top-N of the whole catalogue, for scores made of several interests, in bounded memory.

BLAS proposes and a canonical kernel disposes: tiles of `queries @ items.T` name the candidates (every item that could
be among the best N given the rounding error of a matrix product), then each candidate is scored again, alone, in a
fixed order of operations. So a ranking depends on the user and the items only: not on the tile, the batch, the number
of threads or the BLAS library's mood, and equal items tie exactly.

B users, R live interests of all users, D width, N items, n places.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from baselines.config import Aggregation
from baselines.mean_queries import mean_queries
from baselines.raised import Raised
from baselines.ranker import Ranking
from baselines.retrieval_kernels import ATTENTIVE, BEST, SOFT, collect, finish, score_candidates, top_n_rows
from baselines.retrieval_pools import Users, empty_pool, pool_bytes

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

_ROWS = 256  # interests a tile: with _COLUMNS, 1 MB of scores, what a core's second-level cache holds
_COLUMNS = 1024  # items a tile

_JOINS = {"best_interest": BEST, "soft_interests": SOFT, "mean_interests": BEST, "attentive_interests": ATTENTIVE}


@dataclass(frozen=True)
class Queries:
    """The live interests of B users, packed: no dead slot is ever multiplied.

    Attributes:
        vectors: [R, D] float32; a temperature is already divided in.
        log_weight: [R] float32, added to the interest's scores.
        offsets: [B + 1] int64; user b's interests are rows `offsets[b] : offsets[b + 1]`, at least one.

    Raises:
        ValueError: a user without an interest, or offsets that do not partition the vectors.
    """

    vectors: Floats
    log_weight: Floats
    offsets: Ints

    def __post_init__(self) -> None:
        if self.offsets[0] != 0 or not len(self.vectors) == len(self.log_weight) == self.offsets[-1]:
            raise ValueError(
                f"offsets {self.offsets[0]}..{self.offsets[-1]} must partition the {len(self.vectors)} vectors and "
                f"{len(self.log_weight)} log weights"
            )
        if np.any(np.diff(self.offsets) < 1):
            raise ValueError("every user needs at least one live interest")


@dataclass(frozen=True)
class Tile:
    """Users `start` up to `stop`, against `columns` items at a time."""

    start: int
    stop: int
    columns: int


def top_n_of_interests(
    queries: Queries,
    items: Floats,
    top_n: int,
    aggregation: Aggregation = "best_interest",
    memory_budget: int = 64 << 20,
    n_threads: int = 1,
    raised: Raised | None = None,
) -> Ranking:
    """Rank all items for each user by the matches of the user's interests, match = query . item + log weight.

    Args:
        queries: the users' live interests.
        items: [N + 1, D] float32 item vectors; row 0 is padding: it is never read.
        top_n: n, places wanted.
        aggregation: how matches are joined, see `aggregation.aggregate`. `mean_interests` searches with one query a
            user, the weighted mean of the user's, itself rounded to float32.
        memory_budget: bytes for the score tiles and candidates of all threads together. One user's candidates and one
            item's scores are held whatever it says.
        n_threads: tiles worked on at a time.
        raised: items that score otherwise than they match, for each user.

    Returns:
        Ranking [B, n], by descending float32 score and then ascending id.

    Raises:
        ValueError: numbers that are not finite, or so large that a float32 score might not be.
    """
    B, N = len(queries.offsets) - 1, len(items) - 1
    n_found = top_n if raised is None else top_n + raised.items.shape[1]  # as many may have to make room
    out = Ranking(np.zeros((B, n_found), np.int32), np.full((B, n_found), -np.inf, np.float32))
    places = min(n_found, N)
    if B == 0 or places == 0:
        return out
    items = np.ascontiguousarray(items, dtype=np.float32)
    if aggregation == "mean_interests":
        queries = Queries(*mean_queries(queries.vectors, queries.log_weight, queries.offsets))
    join = _JOINS[aggregation]
    users = Users(
        np.ascontiguousarray(queries.vectors, dtype=np.float32),
        np.ascontiguousarray(queries.log_weight, dtype=np.float32),
        queries.offsets,
        _rounding_slack(queries, items[1:], join),
    )

    tiles = plan_tiles(queries.offsets, places, memory_budget // n_threads)
    shared = iter(tiles)  # each worker takes the next tile; `next` on a list's iterator is atomic
    cells = max(int(users.offsets[t.stop] - users.offsets[t.start]) * t.columns for t in tiles)

    def work(_: int) -> None:
        torch.set_num_threads(1)  # in each worker: a thread that is not told starts a team of its own
        buffer = np.empty(cells, np.float32)
        for tile in shared:
            _rank_tile(_part(users, tile), items, tile.columns, join, buffer, _part_of_ranking(out, tile, places))

    with _plain_products(), ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(work, range(n_threads)))
    if raised is None:
        return out
    scores = np.empty(raised.items.shape, np.float32)
    score_candidates(users, items, join, raised.items, scores)
    return raised.insert(out, scores, top_n)


def top_n_of_scores(scores: Floats, top_n: int) -> Ranking:
    """Rank by given scores, exactly: descending score, then ascending id.

    Args:
        scores: [B, N + 1] float32; column 0 (padding) is ignored, -inf = never recommended, NaN is not allowed.
        top_n: n, places wanted; where fewer items are recommended the rest is id 0 with score -inf.

    >>> top_n_of_scores(np.array([[9, 1, 3, 3, -np.inf]], np.float32), 4).items
    array([[2, 3, 1, 0]], dtype=int32)
    """
    if np.isnan(scores).any():
        raise ValueError("scores must not be NaN")
    out = Ranking(np.zeros((len(scores), top_n), np.int32), np.full((len(scores), top_n), -np.inf, np.float32))
    top_n_rows(np.ascontiguousarray(scores, dtype=np.float32), out.items, out.scores)
    return out


def plan_tiles(offsets: Ints, top_n: int, memory_budget: int) -> list[Tile]:
    """Cut users 0..B into tiles whose scores and pools fit the budget (`tile_bytes`), as far as one user does."""
    per_row = 4 * _COLUMNS + pool_bytes(top_n)  # a user has at least one row, so this covers the pool
    rows = int(np.clip(memory_budget // per_row, 1, _ROWS))
    tiles, start = [], 0
    while start < len(offsets) - 1:
        stop = int(np.searchsorted(offsets, offsets[start] + rows, side="right")) - 1
        stop = max(stop, start + 1)  # a user with more interests than that has a tile alone
        left = memory_budget - (stop - start) * pool_bytes(top_n)
        columns = int(np.clip(left // (4 * int(offsets[stop] - offsets[start])), 1, _COLUMNS))
        tiles.append(Tile(start, stop, columns))
        start = stop
    return tiles


def tile_bytes(tile: Tile, offsets: Ints, top_n: int) -> int:
    """Return the memory in which a tile is worked on."""
    n_users, n_rows = tile.stop - tile.start, int(offsets[tile.stop] - offsets[tile.start])
    return 4 * n_rows * tile.columns + n_users * pool_bytes(top_n)


@contextmanager
def _plain_products() -> Iterator[None]:
    """Give each worker thread single-threaded float32 matrix products: tiles are what is done side by side."""
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")  # bfloat16 passes would err by more than the slack
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)


def _rounding_slack(queries: Queries, items: Floats, join: int) -> Floats:
    """How far a user's proposed scores may lie from the canonical ones, [B] float32.

    With u = 2^-24: a product errs by gamma_D |q| |w|, gamma_D about D u, for any order of summation (Higham 2002,
    eq. 3.5); adding the log weight, and rounding the canonical score, by a few u of the score's size. Log-sum-exp
    passes these on unmagnified, and adds the error of a sum of K terms, each good to 1e-5, and of a logarithm.

    The mean weighted by softmax, s = sum over k of p_k m_k, passes errors e_k of the matches on as sum of
    p_k (1 + m_k - s) e_k. Since max - log K <= log-sum-exp - log K <= s <= max (log-sum-exp exceeds s by the entropy of
    p), the mean of |m_k - s| is at most 2 log K, and no error grows by more than 1 + 2 log K. A relative error of the
    terms exp(m_k - max) counts as the same absolute one of m_k; where such a term is so small that its exponent is
    cut off, times m_k - max it is below u of the score's size.

    The bound is twice all that, so that the floor, itself rounded, needs no analysis.
    """
    longest = np.sqrt(np.einsum("nd,nd->n", items, items, dtype=np.float64).max())
    norms = np.sqrt(np.einsum("rd,rd->r", queries.vectors, queries.vectors, dtype=np.float64))
    size = np.maximum.reduceat(norms * longest + np.abs(queries.log_weight), queries.offsets[:-1])  # [B]
    if not size.max() < np.finfo(np.float32).max / 4:
        raise ValueError(
            f"interests, log weights and item vectors must be finite and their products within float32: the largest "
            f"possible score is {size.max()}"
        )
    unit, D = 2.0**-24, queries.vectors.shape[1]
    K = np.diff(queries.offsets)
    of_sum = unit * (K + 8 * (1 + np.log(K))) + 2e-5 if join != BEST else 0.0
    growth = 1 + 2 * np.log(K) if join == ATTENTIVE else 1.0
    underflow = D * float(np.finfo(np.float32).tiny)
    return np.asarray(2 * growth * (unit * (D + 4) * size + of_sum + underflow), np.float32)


def _part(users: Users, tile: Tile) -> Users:
    """Return the users of one tile."""
    first, last = users.offsets[tile.start], users.offsets[tile.stop]
    offsets = users.offsets[tile.start : tile.stop + 1] - first
    return Users(users.vectors[first:last], users.log_weight[first:last], offsets, users.slack[tile.start : tile.stop])


def _part_of_ranking(ranking: Ranking, tile: Tile, places: int) -> Ranking:
    """Return a view of the places that one tile fills."""
    some = slice(tile.start, tile.stop)
    return Ranking(ranking.items[some, :places], ranking.scores[some, :places])


def _rank_tile(users: Users, items: Floats, columns: int, join: int, buffer: Floats, out: Ranking) -> None:
    """Rank the users of one tile over all chunks of items, writing into `out`."""
    B, top_n = out.items.shape
    R = len(users.vectors)
    pool = empty_pool(B, top_n)
    for begin in range(1, len(items), columns):
        chunk = items[begin : begin + columns]
        proposed = buffer[: R * len(chunk)].reshape(R, len(chunk))
        torch.mm(torch.from_numpy(users.vectors), torch.from_numpy(chunk).T, out=torch.from_numpy(proposed))
        collect(proposed, begin, users, items, join, top_n, pool)
    finish(users, items, join, pool, out.items, out.scores)
