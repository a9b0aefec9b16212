"""Linear algebra on the host: symmetric systems, factored on one BLAS thread.

NumPy and SciPy each bring their own BLAS, and the idle, spinning threads of one slow down those of the other:
factoring a small matrix takes many times as long on two threads as on one.
"""

import numpy as np
import scipy.linalg
from scipy.linalg import lapack

from ..clock import slices
from .threads import blas_limit

_WHOLE = 2048  # a matrix up to this size is factored by one call of LAPACK, a larger one block by block
_BLOCK = 256
_PANEL = 64


def factor(H, rounding):
    """Factor a symmetric, positive semidefinite H (p, p).

    H is scaled to a unit diagonal, since the scales of columns may differ by orders of magnitude. Its
    diagonal is then lifted by `rounding`, the relative error of its entries; the lift grows tenfold until the
    Cholesky factorisation succeeds.

    Parameters
    ----------
    H : ndarray (p, p)
    rounding : float

    Returns
    -------
    function v -> H⁻¹v
        For v (p,) or (p, k).

    Raises
    ------
    FloatingPointError
        H has entries that are not finite.
    """
    with blas_limit(1):
        diagonal = np.diagonal(H)
        scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1))
        i = np.arange(len(H))

        def lifted(lift):
            scaled = np.empty_like(H)
            for rows in slices(len(H), _WHOLE):
                scaled[rows] = H[rows] * scale
                scaled[rows] *= scale[rows, None]
            scaled[i, i] += lift
            return scaled

        solve = first_factor(lifted, host_cholesky, rounding)

    def solve_scaled(v):
        if v.ndim == 1:  # BLAS does that on one thread anyway
            return scale * solve(scale * v)
        with blas_limit(1):
            return (scale * solve((scale * v.T).T).T).T

    return solve_scaled


def host_cholesky(A):
    """Return a function v -> A⁻¹v on host vectors and matrices; A is overwritten.

    Raises LinAlgError unless A is positive definite.
    """
    if len(A) > _WHOLE:
        factor = _blocked_cholesky(A).T, False  # transposed, since LAPACK expects Fortran's order
        return lambda v: scipy.linalg.cho_solve(factor, v, check_finite=False)
    found = cholesky(A, overwrite=True)
    if found is None:
        raise np.linalg.LinAlgError("a pivot is not positive")
    return found[0]


def cholesky(A, overwrite=False):
    """See `Backend.cholesky`."""
    # cho_factor and cho_solve inspect their arguments, which takes longer than factoring a small matrix.
    lower, failed = lapack.dpotrf(A.T, lower=1, clean=0, overwrite_a=overwrite)
    if failed:
        return None
    return lambda v: lapack.dpotrs(lower, v, lower=1)[0], lower.diagonal()


def _blocked_cholesky(A):
    """Return L, in the lower triangle of A; the deadline is checked before each block."""
    for columns in slices(len(A), _BLOCK):
        left = A[columns, : columns.start]
        L = A[columns, columns] = np.linalg.cholesky(A[columns, columns] - left @ left.T)
        for i in slices(len(A) - columns.stop, _BLOCK):
            rows = slice(columns.stop + i.start, columns.stop + i.stop)
            part = A[rows, columns] - A[rows, : columns.start] @ left.T
            A[rows, columns] = scipy.linalg.solve_triangular(L, part.T, lower=True, check_finite=False).T
    return A


def pivoted_cholesky(A):
    """Factor a symmetric, positive semidefinite A (m, m), with pivots.

    Returns
    -------
    L : ndarray (m, rank)
        A = LLᵀ; row pivots[j] of L has zeros beyond column j.
    pivots : ndarray (m,)
        The order of the rows; those that depend linearly on earlier ones come last.
    """
    m = len(A)
    if m > _WHOLE // 2:
        packed, pivots, rank = _blocked_pivoted_cholesky(A.copy())
    else:
        packed, pivots, rank, _ = scipy.linalg.lapack.dpstrf(A, lower=1)
        pivots = pivots - 1
    L = np.empty((m, max(rank, 1)))  # all rows are zero: their one column is, too
    L[pivots] = np.tril(packed)[:, : L.shape[1]]
    return L, pivots


def _blocked_pivoted_cholesky(A):
    """As LAPACK's dpstrf, on the lower triangle of A; the deadline is checked before each block."""
    m, pivots = len(A), np.arange(len(A))
    rest = A.diagonal().copy()
    least = m * np.finfo(np.float64).eps * rest.max()
    for panel in slices(m, _PANEL):
        for j in range(panel.start, panel.stop):
            p = j + int(rest[j:].argmax())
            if not rest[p] > least:
                return A, pivots, j
            _swap(A, j, p)
            rest[[j, p]], pivots[[j, p]] = rest[[p, j]], pivots[[p, j]]
            known = slice(panel.start, j)
            A[j, j] = np.sqrt(rest[j])
            A[j + 1 :, j] = (A[j + 1 :, j] - A[j + 1 :, known] @ A[j, known]) / A[j, j]
            rest[j + 1 :] -= A[j + 1 :, j] ** 2
        below = A[panel.stop :, panel.stop :]
        for rows in slices(len(below), _WHOLE):
            below[rows, : rows.stop] -= A[panel.stop :, panel][rows] @ A[panel.stop :, panel][: rows.stop].T
    return A, pivots, m


def _swap(A, j, p):
    """Exchange rows and columns j < p of a symmetric A, of which only the lower triangle is stored."""
    if j == p:
        return
    A[[j, p], :j] = A[[p, j], :j]
    A[p + 1 :, [j, p]] = A[p + 1 :, [p, j]]
    between = slice(j + 1, p)
    A[between, j], A[p, between] = A[p, between].copy(), A[between, j].copy()
    A[p, p], A[j, j] = A[j, j], A[p, p]


def first_factor(lifted, cholesky, lift):
    """Return the factor of lifted(lift) for the smallest lift for which it exists; lifts grow tenfold."""
    while True:
        try:
            return cholesky(lifted(lift))
        except np.linalg.LinAlgError:
            lift *= 10
            if not lift < 1e3:
                raise FloatingPointError("The Hessian has entries that are not finite.") from None
