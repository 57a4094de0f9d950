"""Item vectors from co-occurrence alone: what an item table can start from.

Source: O. Levy and Y. Goldberg, "Neural Word Embedding as Implicit Matrix Factorization" (NeurIPS 2014), with items for
words and users' histories for texts: the truncated SVD of shifted positive pointwise mutual information. It factorises
the matrix that skip-gram with k negatives (on items: prod2vec, Grbovic et al., KDD 2015) factorises implicitly. That
multi-interest models gain from co-occurrence is a finding of Liu et al. (WSDM 2024, arXiv 2311.17374): there an item's
vector is a co-occurrence-weighted sum of trained ones at every step; here co-occurrence is only where training starts.

Differs from the paper: one vector an item, no separate context vectors, so the counts are symmetric; no word is
down-sampled; rows get a random part and one length.

U users, R behaviours, N items, D width.
"""

from __future__ import annotations

import weakref
from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import eigsh

from baselines.errors import require_number
from baselines.sequences import Sequences

_NOISE = 0.1  # length of a row's random part, of the mean length of the rows
_DENSE = 500  # rows; the dense solver is quicker below, and at home with any rank
_ZERO = 1e-9  # nats; an eigenvalue below is rounding, and its vector arbitrary

_known: dict[Hashable, NDArray[np.float64]] = {}


def spectral_table(
    train: Sequences,
    width: int,
    init_std: float,
    *,
    window: int = 10,
    shift: float = 1.0,
    exponent: float = 0.5,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Return item vectors [N + 1, D] whose directions tell which items occur together; row 0 (padding) is zeros.

    1. #(i, j): pairs of a user's behaviours, an i and a j, at most `window` places apart, counted both ways (so i = j
       counts double). #(i) = sum_j #(i, j), T = sum_i #(i).
    2. M_ij = max(0, log(#(i, j) T / (#(i) #(j))) - log shift), and 0 where i and j never meet (SPPMI).
    3. M is symmetric, M = sum_d l_d v_d v_d'; its truncated SVD keeps the D largest |l_d|, with left vectors v_d. Item
       i gets x_i = (|l_d|^exponent v_d(i)) over d. Of v_d and -v_d it is the one whose greatest magnitude
       is positive; an l_d of 0 counts as no dimension.
    4. Every row gets a random part, a tenth as long as the mean row. It is the whole vector of an item that meets no
       other, or too few for a share in the D dimensions; it tells apart items with the same companions; and it fills
       the dimensions that a small catalogue leaves empty, which would otherwise never get a gradient.
    5. Every row is scaled to the length init_std sqrt(D), which a random start has on the average. A popular item is
       therefore no longer than a rare one, and Adam turns both at one pace.

    Steps 1-3 are remembered for as long as `train` itself lives (the object, not equal ones): the runs of a study that
    share a dataset compute them once.

    Args:
        train: the training users' behaviours.
        width: D.
        init_std: what the random start would have as standard deviation of its entries.
        window: largest distance of two behaviours that count as together, in behaviours.
        shift: k >= 1; k of the paper, the negatives of the skip-gram that it equals.
        exponent: of the singular values; 1 = the best approximation of M M', 0.5 = that of M (up to signs), 0 = all
            dimensions alike.
        seed: of the noise.

    Raises:
        BadInput: an impossible setting.
    """
    for name, value in {"width": width, "window": window, "shift": shift}.items():
        require_number(name, value, at_least=1)
    require_number("exponent", exponent, at_least=0)
    require_number("init_std", init_std, above=0)
    key = (id(train), width, window, shift, exponent)
    if key not in _known:
        _known[key] = leading_vectors(shifted_ppmi(cooccurrence(train, window), shift), width, exponent)
        weakref.finalize(train, _known.pop, key, None)
    vectors = _known[key]
    noise = np.random.default_rng(seed).normal(size=vectors.shape) * (_NOISE / np.sqrt(width))
    table: NDArray[np.float64] = vectors + noise * (np.linalg.norm(vectors[1:], axis=1).mean() or 1.0)
    table *= init_std * np.sqrt(width) / np.linalg.norm(table, axis=1, keepdims=True)
    table[0] = 0
    return table.astype(np.float32)


def cooccurrence(train: Sequences, window: int) -> sparse.csr_matrix:
    """Return #(i, j), [N + 1, N + 1] float64: step 1 of `spectral_table`."""
    N, R = train.n_items, len(train.items)
    window = min(window, int(train.lengths.max(initial=1)))
    later = np.arange(R)[:, None] + np.arange(1, window + 1)  # [R, window] places of the behaviours that follow
    follows = later < train.offsets[1:][train.users][:, None]
    offsets = np.concatenate([[0], np.cumsum(follows.sum(1))])
    beside = train.items[later[follows]]
    followers = sparse.csr_matrix((np.ones(len(beside)), beside, offsets), shape=(R, N + 1))
    behaviour_of = sparse.csr_matrix((np.ones(R), (train.items, np.arange(R))), shape=(N + 1, R))
    forward = behaviour_of @ followers
    return (forward + forward.T).tocsr()


def shifted_ppmi(count: sparse.csr_matrix, shift: float) -> sparse.csr_matrix:
    """Return M, shaped and symmetric as `count`: step 2 of `spectral_table`."""
    pairs = count.tocoo()
    total = np.asarray(count.sum(1)).ravel()  # [N + 1] #(i)
    information = np.log(pairs.data * total.sum() / (total[pairs.row] * total[pairs.col])) - np.log(shift)
    keep = information > 0
    return sparse.csr_matrix((information[keep], (pairs.row[keep], pairs.col[keep])), shape=count.shape)


def leading_vectors(matrix: sparse.csr_matrix, width: int, exponent: float) -> NDArray[np.float64]:
    """Return x [N + 1, D] of a symmetric matrix, strongest dimension first: step 3 of `spectral_table`."""
    n = matrix.shape[0]
    if n <= max(_DENSE, 2 * width):
        strength, vectors = np.linalg.eigh(matrix.toarray())
    elif matrix.nnz == 0:
        return np.zeros((n, width))
    else:
        start = np.random.default_rng(0).normal(size=n)  # of the iteration; what it converges to does not depend on it
        strength, vectors = eigsh(matrix, k=width, which="LM", v0=start)
    order = np.argsort(-np.abs(strength), kind="stable")[:width]
    order = order[np.abs(strength[order]) > _ZERO]
    strength, vectors = np.abs(strength[order]), vectors[:, order]
    vectors = vectors * np.where(vectors.max(0) >= -vectors.min(0), 1.0, -1.0)
    found = np.zeros((n, width))
    found[:, : len(order)] = vectors * strength**exponent
    return found
