"""Exact top-N of the whole catalogue, for scores made of several interests, in bounded memory.

BLAS proposes and a canonical kernel disposes: tiles of `queries @ items.T` name the candidates (every item that could
be among the best N given the rounding error of a matrix product), then each candidate is scored again, alone, in a
fixed order of operations. So a ranking depends on the user and the items only: not on the tile, the batch, the number
of threads or the BLAS library's mood, and equal items tie exactly.

B users, R live interests of all users, D width, N items, n places.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray

from baselines.ranker import Ranking

Aggregation = Literal["best_interest", "soft_interests"]
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

_ROWS = 256  # interests a tile: with _COLUMNS, 1 MB of scores, what a core's second-level cache holds
_COLUMNS = 1024  # items a tile
_BLOCK = 64  # items looked at together before any is looked at alone


@dataclass(frozen=True)
class Queries:
    """The live interests of B users, packed: no dead slot is ever multiplied.

    Attributes:
        vectors: [R, D] float32; a temperature is already divided in.
        log_weight: [R] float32, added to the interest's scores.
        offsets: [B + 1] int64; user b's interests are rows `offsets[b] : offsets[b + 1]`, at least one.
    """

    vectors: Floats
    log_weight: Floats
    offsets: Ints


def top_n_of_interests(
    queries: Queries,
    items: Floats,
    top_n: int,
    aggregation: Aggregation = "best_interest",
    memory_budget: int = 64 << 20,
    n_threads: int = 1,
) -> Ranking:
    """Rank all items for each user: score = max, or log-sum-exp, over interests of query . item + log weight.

    Args:
        queries: the users' live interests.
        items: [N + 1, D] float32 item vectors; row 0 is padding and is never recommended.
        top_n: n, places wanted.
        aggregation: `best_interest` (max) or `soft_interests` (log-sum-exp).
        memory_budget: bytes for the score tiles of all threads together.
        n_threads: tiles worked on at a time.

    Returns:
        Ranking [B, n], by descending float32 score and then ascending id.
    """
    B = len(queries.offsets) - 1
    items = np.ascontiguousarray(items, dtype=np.float32)
    vectors = np.ascontiguousarray(queries.vectors, dtype=np.float32)
    out = Ranking(np.zeros((B, top_n), np.int32), np.full((B, top_n), -np.inf, np.float32))
    slack = _rounding_slack(vectors, items, queries.offsets)
    cells = max(memory_budget // (4 * n_threads), 1)
    columns = int(np.clip(cells, 1, _COLUMNS))
    tiles = _user_tiles(queries.offsets, rows=int(np.clip(cells // columns, 1, _ROWS)))

    def work(tile: tuple[int, int]) -> None:
        _rank_tile(queries, vectors, items, slack, tile, columns, aggregation == "soft_interests", out)

    with _one_blas_thread(), ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(work, tiles))
    return out


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
    _top_n_rows(np.ascontiguousarray(scores, dtype=np.float32), out.items, out.scores)
    return out


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    """Give each worker thread a single-threaded matrix product; tiles are what is done side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _rounding_slack(vectors: Floats, items: Floats, offsets: Ints) -> Floats:
    """How far a user's scores from any matrix product may lie from the canonical ones, [B] float32.

    |fl(q . w) - q . w| <= gamma_D |q| |w| for any order of summation (Higham 2002, eq. 3.5); the log weight and
    log-sum-exp add a few units in the last place of the score, which the factor and the added 1 cover.
    """
    longest = math.sqrt(np.einsum("nd,nd->n", items, items, dtype=np.float64).max())
    norms = np.sqrt(np.einsum("rd,rd->r", vectors, vectors, dtype=np.float64))
    widest = np.maximum.reduceat(norms, offsets[:-1]) if len(norms) else norms
    unit = float(np.finfo(np.float32).eps)
    return (unit * (2.0 * vectors.shape[1] + 16.0) * (widest * longest + 1.0)).astype(np.float32)


def _user_tiles(offsets: Ints, rows: int) -> list[tuple[int, int]]:
    """Cut users 0..B into runs [start, stop) of at most `rows` interests (a user with more has a tile alone)."""
    tiles, start = [], 0
    while start < len(offsets) - 1:
        stop = int(np.searchsorted(offsets, offsets[start] + rows, side="right")) - 1
        tiles.append((start, max(stop, start + 1)))
        start = tiles[-1][1]
    return tiles


def _rank_tile(
    queries: Queries,
    vectors: Floats,
    items: Floats,
    slack: Floats,
    tile: tuple[int, int],
    columns: int,
    soft: bool,
    out: Ranking,
) -> None:
    """Rank the users of one tile over all chunks of items, writing their rows of `out`."""
    start, stop = tile
    B, top_n = stop - start, out.items.shape[1]
    first, last = queries.offsets[start], queries.offsets[stop]
    rows = vectors[first:last]
    offsets = queries.offsets[start : stop + 1] - first
    log_weight = np.ascontiguousarray(queries.log_weight[first:last], dtype=np.float32)
    pool = np.empty((B, 3 * top_n + _BLOCK), np.uint64)
    pool_size = np.zeros(B, np.int64)
    floor = np.full(B, -np.inf, np.float32)
    buffer = torch.empty(len(rows) * columns)
    for begin in range(1, len(items), columns):
        chunk = items[begin : begin + columns]
        scores = buffer[: len(rows) * len(chunk)].view(len(rows), len(chunk))
        torch.mm(torch.from_numpy(rows), torch.from_numpy(chunk).T, out=scores)
        _collect(
            scores.numpy(), begin, rows, items, offsets, log_weight, slack[start:stop], soft, top_n,
            pool, pool_size, floor,
        )  # fmt: skip
    _finish(
        pool, pool_size, rows, items, offsets, log_weight, slack[start:stop], soft,
        out.items[start:stop], out.scores[start:stop],
    )  # fmt: skip


# A candidate is one uint64 key: the score, turned so that a higher one is a smaller number, and below it the item id.
# Ascending keys are then descending scores with ties by ascending id.


@njit(cache=True, nogil=True)
def _key(score, item):  # type: ignore[no-untyped-def]
    bits = np.float32(score + np.float32(0.0)).view(np.uint32)  # adding 0 makes -0 and 0 one score
    turned = bits if bits >= np.uint32(0x80000000) else np.uint32(0x7FFFFFFF) - bits
    return (np.uint64(turned) << np.uint64(32)) | np.uint64(item)


@njit(cache=True, nogil=True)
def _item_of(key):  # type: ignore[no-untyped-def]
    return np.int32(key & np.uint64(0xFFFFFFFF))


@njit(cache=True, nogil=True)
def _score_of(key):  # type: ignore[no-untyped-def]
    turned = np.uint32(key >> np.uint64(32))
    bits = turned if turned >= np.uint32(0x80000000) else np.uint32(0x7FFFFFFF) - turned
    return np.uint32(bits).view(np.float32)


@njit(cache=True, nogil=True)
def _collect(
    scores, begin, rows, items, offsets, log_weight, slack, soft, top_n, pool, pool_size, floor
):  # type: ignore[no-untyped-def]
    """Add to each user's pool the items of this chunk whose score may reach the best n.

    `floor[b]` lies two slacks under a score that n pooled items reach, so what stays under it is not among the best n.
    """
    C = scores.shape[1]
    best = np.empty(C, np.float32)
    for b in range(len(offsets) - 1):
        first, last = offsets[b], offsets[b + 1]
        _best_of_interests(scores, log_weight, first, last, best)
        headroom = np.float32(math.log(last - first)) if soft else np.float32(0.0)  # log-sum-exp <= max + log K
        reach = floor[b] - headroom
        for block in range(0, C, _BLOCK):
            stop = min(block + _BLOCK, C)
            if not _any_reaches(best, block, stop, reach):
                continue
            if pool_size[b] + _BLOCK > pool.shape[1]:
                own, weight = rows[first:last], log_weight[first:last]
                pool_size[b] = _shrink(pool[b], pool_size[b], top_n, slack[b], own, items, weight, soft)
                floor[b] = _score_of(pool[b, top_n - 1]) - np.float32(2.0) * slack[b]
                reach = floor[b] - headroom
            for c in range(block, stop):
                score = best[c]
                if score < reach:
                    continue
                if soft and (score >= floor[b] or _may_reach(scores, log_weight, first, last, c, floor[b])):
                    score = _log_sum_exp(scores, log_weight, first, last, c, score)
                if score >= floor[b]:
                    pool[b, pool_size[b]] = _key(score, begin + c)
                    pool_size[b] += 1


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def _best_of_interests(scores, log_weight, first, last, best):  # type: ignore[no-untyped-def]
    """best[c] = max over the user's interests of score + log weight, for every item of the chunk."""
    C = scores.shape[1]
    for c in range(C):
        best[c] = scores[first, c] + log_weight[first]
    for r in range(first + 1, last):
        for c in range(C):
            best[c] = max(best[c], scores[r, c] + log_weight[r])


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def _any_reaches(best, start, stop, reach):  # type: ignore[no-untyped-def]
    """Whether any of best[start:stop] is at least `reach`; no branch inside, so that it vectorises."""
    top = best[start]
    for c in range(start + 1, stop):
        top = max(top, best[c])
    return top >= reach


@njit(cache=True, nogil=True)
def _may_reach(scores, log_weight, first, last, c, floor):  # type: ignore[no-untyped-def]
    """Whether log sum exp of an item's scores, all under `floor`, can reach it: sum exp(score - floor) >= 1?

    Answered without an exponential, by exp(-y) <= 1 / (1 + y + y^2 / 2 + y^3 / 6) for y >= 0.
    """
    one, half, sixth = np.float32(1.0), np.float32(0.5), np.float32(1 / 6)
    total = np.float32(0.0)
    for r in range(first, last):
        y = floor - (scores[r, c] + log_weight[r])
        total += one / (one + y * (one + y * (half + y * sixth)))
    return total >= np.float32(0.9999)


@njit(cache=True, nogil=True)
def _log_sum_exp(scores, log_weight, first, last, c, top):  # type: ignore[no-untyped-def]
    """log sum exp over interests of score + log weight of one item; `top` is their maximum."""
    total = np.float32(0.0)
    for r in range(first, last):
        total += np.exp(scores[r, c] + log_weight[r] - top)
    return top + np.log(total)


@njit(cache=True, nogil=True)
def _shrink(keys, size, top_n, slack, rows, items, log_weight, soft):  # type: ignore[no-untyped-def]
    """Drop what cannot be among the best n and return how many stay, with the n-th best at place n - 1.

    Where ties within rounding would leave the pool half full, the pool is scored exactly and n are kept.
    """
    kept = _drop(keys, size, top_n, slack)
    if 2 * (kept - top_n) > len(keys) - top_n:
        _rescore(keys, kept, rows, items, log_weight, soft)
        keys[:kept].sort()
        kept = top_n
    return kept


@njit(cache=True, nogil=True)
def _drop(keys, size, top_n, slack):  # type: ignore[no-untyped-def]
    """Order the n best of keys[:size] first and keep, of the rest, those within two slacks of the n-th."""
    if size <= top_n:
        return size
    parted = np.partition(keys[:size], top_n - 1)
    keys[:top_n] = parted[:top_n]
    floor = _score_of(parted[top_n - 1]) - np.float32(2.0) * slack
    kept = top_n
    for j in range(top_n, size):
        if _score_of(parted[j]) >= floor:
            keys[kept] = parted[j]
            kept += 1
    return kept


@njit(cache=True, nogil=True)
def _rescore(keys, size, rows, items, log_weight, soft):  # type: ignore[no-untyped-def]
    """Give the candidates their canonical scores: float64 sums in a fixed order, rounded once to float32."""
    K = len(rows)
    matches = np.empty(K, np.float64)
    for j in range(size):
        item = _item_of(keys[j])
        for k in range(K):
            _insert(matches, k, _dot(rows[k], items[item]) + log_weight[k])
        score = matches[0]
        if soft and K > 1:
            total = 1.0
            for k in range(1, K):
                total += math.exp(matches[k] - matches[0])
            score += math.log(total)
        keys[j] = _key(np.float32(score), item)


@njit(cache=True, nogil=True)
def _insert(descending, size, value):  # type: ignore[no-untyped-def]
    """Insert into descending[:size]: summed in this order, the order of a user's interests changes no bit."""
    place = size
    while place > 0 and descending[place - 1] < value:
        descending[place] = descending[place - 1]
        place -= 1
    descending[place] = value


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _dot(left, right):  # type: ignore[no-untyped-def]
    """Inner product in float64; the compiler fixes the order of summation once for all calls."""
    total = 0.0
    for d in range(len(left)):
        total += np.float64(left[d]) * np.float64(right[d])
    return total


@njit(cache=True, nogil=True)
def _finish(pool, pool_size, rows, items, offsets, log_weight, slack, soft, out_items, out_scores):  # type: ignore[no-untyped-def]
    """Score the survivors canonically, sort them and write each user's best n."""
    top_n = out_items.shape[1]
    for b in range(len(offsets) - 1):
        first, last = offsets[b], offsets[b + 1]
        size = _drop(pool[b], pool_size[b], top_n, slack[b])
        _rescore(pool[b], size, rows[first:last], items, log_weight[first:last], soft)
        _write(np.sort(pool[b, :size])[:top_n], out_items[b], out_scores[b])


@njit(cache=True, nogil=True)
def _write(keys, out_items, out_scores):  # type: ignore[no-untyped-def]
    for place in range(len(keys)):
        out_items[place] = _item_of(keys[place])
        out_scores[place] = _score_of(keys[place])


@njit(cache=True, nogil=True)
def _top_n_rows(scores, out_items, out_scores):  # type: ignore[no-untyped-def]
    """Write each row's best n by descending score, then ascending id; -inf is never recommended."""
    B, columns = scores.shape
    top_n = out_items.shape[1]
    keys = np.empty(columns, np.uint64)
    for b in range(B):
        size = 0
        for c in range(1, columns):
            if scores[b, c] > -np.inf:
                keys[size] = _key(scores[b, c], c)
                size += 1
        best = np.partition(keys[:size], top_n - 1)[:top_n] if size > top_n else keys[:size]
        _write(np.sort(best), out_items[b], out_scores[b])
