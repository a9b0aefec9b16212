"""Coordinate descent over the columns of X: a sweep in array code, the reference of the compiled one."""

import numpy as np


def sweep(A, columns, shared, D, curvature, l1, ridge, slope, w, u, q):
    """Minimise a model over some columns, one after the other; changes u and q in place.

    The model is slope·(u − w) + ½·(u − w)ᵀ(XᵀDX + ridge)(u − w) + Σ l1·|u|, and q is D·X(u − w) without the
    intercept's part. The intercept, if there is one, is minimised again after every column.

    Parameters
    ----------
    A : `Matrix.column_arrays` of X
    columns : ndarray of int
    shared : ndarray (n,)
        XᵀD; (0,) without an intercept.
    D, q : ndarray (m,)
    curvature, l1, ridge, slope, w, u : ndarray (size,)
        `curvature` is the diagonal of XᵀDX + ridge when the intercept follows each weight; its last element
        is ΣD.

    Returns
    -------
    float
        The largest change of a slope by the change of its own weight.
    """
    most, intercept = 0.0, len(shared) > 0 and curvature[-1] > 0
    total = slope[-1] + q.sum()
    for j in columns[curvature[columns] > 0]:
        x, rows = _column(A, j)
        a = curvature[j]
        model_slope = slope[j] + ridge[j] * (u[j] - w[j]) + x @ q[rows]
        if intercept:
            model_slope -= shared[j] * total / curvature[-1]
        target = a * u[j] - model_slope
        new = np.sign(target) * max(abs(target) - l1[j], 0) / a
        if new != u[j]:
            step, u[j] = new - u[j], new
            most = max(most, abs(step) * a)
            q[rows] += step * x * D[rows]
            total += step * shared[j] if intercept else 0.0
    if intercept:
        u[-1] = w[-1] - total / curvature[-1]
    return most


def _column(A, j):
    """The numbers of a column, and their rows."""
    if not isinstance(A, tuple):
        return A[j], slice(None)
    data, indices, starts = A
    part = slice(int(starts[j]), int(starts[j + 1]))
    return data[part], indices[part]
