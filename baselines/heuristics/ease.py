"""EASE^R: the best linear item-to-item model that may not predict an item from itself, in closed form.

B users, U training users, N items.

Paper: Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019, equations 3 and 8.
Differs from the paper: in nothing; the items of the history stay in the ranking, as they do for every method here,
unless `repeats` is off.
"""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import get_lapack_funcs

from baselines.errors import BadInput, Refused
from baselines.heuristics.behaviours import Behaviours
from baselines.heuristics.heuristic import Heuristic
from baselines.sequences import Sequences

_BLOCK = 512  # rows treated at a time where a whole N x N temporary would double the memory


class EASE(Heuristic):
    """argmin_W |X - X W|^2 + l2 |W|^2 with diag W = 0; X [U, N] is 1 where a training user has the item.

    With P = (X'X + l2 I)^-1: W_ij = -P_ij / P_jj for i != j (eq. 8). score(j) = sum of W_ij over the distinct items i
    of the history, in ascending order of i. Order and repetition are not used. Every item is recommended.

    Args:
        l2: weight of the squared norm; the only knob that matters, tune it (100 to 1000 is a usual range).
        precision: of the solution and the sums; float64 doubles the memory (4 N^2 bytes in float32).
        max_items: refuse larger catalogues: time grows with N^3 and memory with N^2 (20,000 items: 1.6 GB in float32).
        repeats: recommend items of the history like any others; False suits data where nobody takes an item twice.
    """

    fitted = ("weights",)
    weights: NDArray[Any]  # [N, N] W, in the precision asked for; row and column i - 1 belong to item i

    def __init__(
        self,
        *,
        l2: float = 500.0,
        precision: Literal["float32", "float64"] = "float32",
        max_items: int = 20_000,
        repeats: bool = True,
    ) -> None:
        if not 0.0 < l2 < np.inf:
            raise BadInput(f"l2 must be positive, got {l2}")
        if precision not in ("float32", "float64"):
            raise BadInput(f"precision must be float32 or float64, got '{precision}'")
        self.l2 = l2
        self.precision = precision
        self.max_items = max_items
        self.repeats = repeats

    def fit(self, train: Sequences) -> Self:
        """Solve for W, in the memory of one N x N matrix.

        Raises:
            Refused: more than `max_items` items.
        """
        N, dtype = train.n_items, np.dtype(self.precision)
        if self.max_items < N:
            raise Refused(
                f"EASE inverts a dense item-by-item matrix and is limited to max_items={self.max_items:,}, but the "
                f"catalogue has {N:,} items, which needs {N * N * dtype.itemsize / 1e9:.1f} GB in {dtype}: filter the "
                f"log to fewer items, raise max_items if the memory is there, or use item_knn"
            )
        users = Behaviours.of_sequences(train).distinct(dtype)[:, 1:]  # [U, N] X
        matrix = gram(users)
        matrix[np.diag_indices(N)] += self.l2
        invert(matrix)
        matrix /= -matrix.diagonal()  # column j by -P_jj
        np.fill_diagonal(matrix, 0.0)
        self.n_items, self.weights = N, matrix
        return self

    def scores(self, histories: Behaviours) -> NDArray[np.float32]:
        """Sum the rows of W of each user's distinct items, [B, N + 1]."""
        # a sparse product adds whole rows one by one, so a user's sums cannot depend on the rest of the batch
        scores = np.empty((histories.n_users, self.n_items + 1), np.float32)
        scores[:, 0] = -np.inf
        scores[:, 1:] = histories.distinct(self.weights.dtype)[:, 1:] @ self.weights
        return scores if self.repeats else histories.left_out(scores)


def gram(users: sparse.csr_matrix) -> NDArray[Any]:
    """Return X'X [N, N] of `users` [U, N], dense, with no other temporary of that size."""
    items = users.T.tocsr()  # [N, U]
    result = np.empty((items.shape[0], items.shape[0]), users.dtype)
    for start in range(0, len(result), _BLOCK):
        result[start : start + _BLOCK] = (items[start : start + _BLOCK] @ users).toarray()
    return result


def invert(matrix: NDArray[Any]) -> None:
    """Replace a symmetric positive definite matrix [N, N] by its inverse, in place, by Cholesky.

    Raises:
        BadInput: not positive definite in this precision.
    """
    potrf, potri = get_lapack_funcs(("potrf", "potri"), (matrix,))
    columns = matrix.T  # the Fortran order LAPACK works on without a copy; its lower half is our upper half
    factor, failed = potrf(columns, lower=True, overwrite_a=True)
    if failed:
        raise BadInput(f"the matrix of EASE is not positive definite in {matrix.dtype}: raise l2, or use float64")
    potri(factor, lower=True, overwrite_c=True)
    for start in range(0, len(matrix), _BLOCK):
        stop = start + _BLOCK
        matrix[start:stop, :start] = matrix[:start, start:stop].T
        corner = matrix[start:stop, start:stop]
        corner[:] = np.triu(corner) + np.triu(corner, 1).T
