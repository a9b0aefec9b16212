"""Coordinate descent on a quadratic model with an L1 penalty, for a Hessian H and for columns of X.

For a matrix H, the search for signs starts from the result of its sweeps. For columns of X, H = XᵀDX + ridge
is not formed, where D are the derivatives of the residuals; instead q = D·X(u − w), (m,), without the
intercept's part, is kept up to date.
"""

import numpy as np
from numba import njit, types
from numba.extending import overload

from .caching import CACHE
from .storage import LOOP

ENTRIES = {**LOOP, "fastmath": {"contract"}}
INLINE = {name: value for name, value in ENTRIES.items() if name != "cache"}
DENSE = {**INLINE, "fastmath": {"contract", "reassoc"}}


@njit(nogil=True)
def _shrunk(x, by):
    """Soft thresholding: x moved towards zero, where it stays if it is nearer than that."""
    if x > by:
        return x - by
    if x < -by:
        return x + by
    return 0.0


@njit(nogil=True, cache=CACHE)
def lasso_sweeps(H, slope, u, l1, sweeps):
    """Run sweeps over all coordinates, every other one without the zeros (Friedman, Hastie and Tibshirani
    2010, § 2.6), and return whether the last one moved any coordinate.

    slope is the model's gradient at u without the l1 part; slope and u are changed.
    """
    moved = False
    for sweep in range(sweeps):
        moved = False
        for j in range(u.size):
            a = H[j, j]
            if not a > 0 or (sweep % 2 == 1 and u[j] == 0):
                continue
            new = _shrunk(a * u[j] - slope[j], l1[j]) / a
            step = new - u[j]
            if step != 0:
                moved = True
                u[j] = new
                for i in range(u.size):
                    slope[i] += step * H[j, i]
        if not moved:
            break
    return moved


def _slope(A, j, q):
    """x_j·q."""


def _move(A, j, step, D, q):
    """q += step·D·x_j."""


@njit(**DENSE)
def _dense_slope(A, j, q):
    total = 0.0
    for i in range(q.size):
        total += A[j, i] * q[i]
    return total


@njit(**DENSE)
def _dense_move(A, j, step, D, q):
    for i in range(q.size):
        q[i] += step * A[j, i] * D[i]


@njit(**INLINE)
def _sparse_slope(A, j, q):
    data, rows, starts = A
    total = 0.0
    for e in range(np.uint64(starts[j]), np.uint64(starts[j + np.uint64(1)])):
        total += data[e] * q[rows[e]]
    return total


@njit(**INLINE)
def _sparse_move(A, j, step, D, q):
    data, rows, starts = A
    for e in range(np.uint64(starts[j]), np.uint64(starts[j + np.uint64(1)])):
        i = rows[e]
        q[i] += step * data[e] * D[i]


@overload(_slope, inline="always")
def _slope_of(A, j, q):
    if isinstance(A, types.BaseTuple):
        return lambda A, j, q: _sparse_slope(A, j, q)
    return lambda A, j, q: _dense_slope(A, j, q)


@overload(_move, inline="always")
def _move_of(A, j, step, D, q):
    if isinstance(A, types.BaseTuple):
        return lambda A, j, step, D, q: _sparse_move(A, j, step, D, q)
    return lambda A, j, step, D, q: _dense_move(A, j, step, D, q)


@njit(**ENTRIES)
def column_sweep(A, columns, shared, D, curvature, l1, ridge, slope, w, u, q):
    """One sweep over some columns; the intercept, if there is one, is minimised again after each of them.

    Returns the largest change of a slope by the change of its own weight. `slope` is the model's gradient at
    w without the l1 part, and `shared` is XᵀD, empty without an intercept. A is Xᵀ by rows: an array (n, m),
    or data, indices and indptr.
    """
    most, total, last = 0.0, 0.0, u.size - 1
    intercept = shared.size > 0 and curvature[last] > 0
    if intercept:
        total = slope[last]
        for i in range(q.size):
            total += q[i]
    for k in range(columns.size):
        j = np.uint64(columns[k])
        a = curvature[j]
        if not a > 0:
            continue
        model_slope = slope[j] + ridge[j] * (u[j] - w[j]) + _slope(A, j, q)
        if intercept:
            model_slope -= shared[j] * total / curvature[last]
        new = _shrunk(a * u[j] - model_slope, l1[j]) / a
        step = new - u[j]
        if step != 0:
            u[j] = new
            most = max(most, abs(step) * a)
            _move(A, j, step, D, q)
            if intercept:
                total += step * shared[j]
    if intercept:
        u[last] = w[last] - total / curvature[last]
    return most
